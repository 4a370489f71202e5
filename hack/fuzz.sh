#!/usr/bin/env bash
# Runs every fuzz target of the repository for a time (default 5s).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for file in $(git ls-files --cached --others --exclude-standard '*_test.go'); do
  for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
    echo "fuzz $(dirname "$file") $target"
    go test -run='^$' -fuzz="^$target\$" -fuzztime="${1:-5s}" -fuzzminimizetime=1x "./$(dirname "$file")" >/tmp/fuzz.$$ 2>&1 || { cat /tmp/fuzz.$$; rm -f /tmp/fuzz.$$; exit 1; }
  done
done
rm -f /tmp/fuzz.$$
