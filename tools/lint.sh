#!/usr/bin/env bash
# gofumpt, go vet and staticcheck over every module of the repository. Fails with what they say.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bin=$PWD/bin/tools
mkdir -p "$bin"
go -C tools build -o "$bin/" tool

files=$(git ls-files --cached --others --exclude-standard '*.go')
unformatted=$(xargs -r "$bin/gofumpt" -l <<<"$files")
if [ -n "$unformatted" ]; then
  echo "lint: not formatted as gofumpt does (make fmt mends it):" >&2
  echo "$unformatted" >&2
  exit 1
fi
for module in . test; do
  echo "lint: go vet and staticcheck in $module"
  (cd "$module" && go vet ./... && "$bin/staticcheck" ./...)
done
echo "lint: clean"
