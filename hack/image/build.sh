#!/usr/bin/env bash
# Builds the operator's image into dist/image.tar and, where there is a docker or podman, loads it.
# usage: build.sh NAME:TAG
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
arch=${GOARCH:-$(go env GOARCH)}
mkdir -p dist "bin/image/$arch"
GOOS=linux GOARCH=$arch CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "bin/image/$arch/manager" ./cmd/manager
(cd hack/image && GOARCH= go run . -program "../../bin/image/$arch/manager" -arch "$arch" -tag "$1" -out ../../dist/image.tar)
echo "dist/image.tar holds $1 for linux/$arch"
for tool in docker podman; do
  if command -v $tool >/dev/null && $tool info >/dev/null 2>&1; then
    $tool load -i dist/image.tar
    break
  fi
done
