#!/usr/bin/env bash
# Fails if a generator or `go mod tidy` would change a committed file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# A copy, so that nothing of the working tree is touched.
git ls-files --cached --others --exclude-standard -z | xargs -0 -I{} sh -c '[ ! -e "{}" ] || printf "%s\0" "{}"' | tar -c --null -T - | tar -x -C "$copy"
cd "$copy"
git init -q && git add -A && git -c user.name=verify -c user.email=verify@localhost commit -qm before
make --no-print-directory generate >/dev/null
for module in . $(git ls-files '*/go.mod' | xargs -n1 dirname); do
  (cd "$module" && go mod tidy -e >/dev/null 2>&1)
done
if ! git diff --exit-code; then
  echo "generated files or go.mod files are not up to date: run \`make generate\` and \`go mod tidy\`" >&2
  exit 1
fi
if [[ -n $(git status --porcelain) ]]; then
  git status --short
  echo "generators made files that are not committed" >&2
  exit 1
fi
echo "generated files are up to date"
