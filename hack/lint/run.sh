#!/usr/bin/env bash
# Builds golangci-lint with the plug-ins of hack/lint/go.mod, once per version of it, and runs it on the modules with code of their own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
lint=bin/lint-$(cat hack/lint/go.mod hack/lint/main.go | cksum | cut -d' ' -f1)
if [[ ! -x $lint ]]; then
  echo "building golangci-lint with its plug-ins (about two minutes, once)" >&2
  (cd hack/lint && go build -o "../../$lint" .)
fi
lint=$PWD/$lint
"$lint" run --build-tags integration,cluster,chaos "$@" ./...
for module in hack/scimserver hack/image; do
  (cd $module && "$lint" run --config ../../.golangci.yml "$@" ./...)
done
