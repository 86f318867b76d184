#!/usr/bin/env bash
# Runs every fuzz target of the repository, one after another. Usage: fuzz.sh EACH, where EACH is how long one runs: a number of
# inputs ("3000x") or a time ("1m"). What it finds to be of interest stays in go's cache; an input that fails is written into
# the target's testdata, which is where the test suite finds it from then on.
#
# With a time go ends a target, now and then, with "context deadline exceeded" and no input (go.dev/issue/75804): so the
# tests count.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
each=${1:?how long each target runs: a number of inputs as 3000x, or a time as 1m}
root=$PWD
cache=$(go env GOCACHE)/fuzz
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT

found=0
while IFS=: read -r dir names; do
  package=$(go list "./$dir")
  go test -c -fuzz=. -o "$built/tests" "./$dir"
  for name in $names; do
    found=$((found + 1))
    begun=$SECONDS
    if ! (cd "$dir" && "$built/tests" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "$each" -test.fuzzminimizetime 10x \
      -test.fuzzcachedir "$cache/$package" >"$built/output" 2>&1); then
      cat "$built/output"
      echo "fuzz: $name in $dir failed; a new input, if there is one, is in $root/$dir/testdata/fuzz/$name"
      # The output may be all that is left of a clone: the input belongs into it.
      input=$(sed -n 's/^ *Failing input written to //p' "$built/output" | tail -1)
      if [[ -n $input ]]; then
        head -c 10000 "$dir/$input"
      fi
      exit 1
    fi
    echo "fuzz: $name in $dir, $((SECONDS - begun)) s: $(grep -o 'execs: [0-9]*.*' "$built/output" | tail -1)"
  done
done < <(git ls-files '*_test.go' | grep -v '^test/' | xargs grep -oE '^func Fuzz[A-Za-z0-9_]+' |
  sed -E 's|/[^/]*:func |:|' | awk -F: '{of[$1] = of[$1] " " $2} END {for (d in of) print d ":" of[d]}' | sort)
echo "fuzz: $found targets ran $each each, no failure"
