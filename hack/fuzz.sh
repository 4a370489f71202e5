#!/usr/bin/env bash
# Runs every fuzz target of the repository for a time (default 5s). With KEEP=1 the inputs that reached something new go
# into the repository, beside the targets: up to 40 for each, the smallest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
fuzz() { go test -run='^$' -fuzz="^$2\$" -fuzztime="$3" -fuzzminimizetime=1x "./$1" >"$out" 2>&1; }
# Go fails a target whose worker does not end in time when the time is over: such a run found nothing.
ended() { grep -q 'context deadline exceeded' "$out" && ! grep -q 'Failing input' "$out"; }
keep() {
  local from to="$1/testdata/fuzz/$2"
  from="$(go env GOCACHE)/fuzz/$(go list "./$1")/$2"
  [[ -d $from ]] || return 0
  mkdir -p "$to"
  find "$from" -type f -size -5k -printf '%s %p\n' | sort -n | head -40 | cut -d' ' -f2- | xargs -r -d '\n' cp -t "$to"
}
for file in $(git ls-files --cached --others --exclude-standard '*_test.go'); do
  for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
    echo "fuzz $(dirname "$file") $target"
    fuzz "$(dirname "$file")" "$target" "${1:-5s}" || { ended && fuzz "$(dirname "$file")" "$target" "${1:-5s}"; } || { cat "$out"; exit 1; }
    sed -n 's/.*\(execs: .*\)/  \1/p' "$out" | tail -1
    [[ -z ${KEEP:-} ]] || keep "$(dirname "$file")" "$target"
  done
done
