#!/usr/bin/env bash
# Runs every fuzz target of the repository for a while, one after another. Usage: fuzz.sh DURATION-PER-TARGET
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
each=${1:-10s}

found=0
while IFS=: read -r file name; do
  found=$((found + 1))
  echo "fuzz: $name in ${file%/*} for $each"
  go test "./${file%/*}" -run '^$' -fuzz "^$name\$" -fuzztime "$each" -timeout 0
done < <(git ls-files '*_test.go' | grep -v '^test/' | xargs -r grep -oE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/')
echo "fuzz: $found targets ran $each each, no failure"
