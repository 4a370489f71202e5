#!/usr/bin/env bash
# Builds what is missing, visibly, and runs the demo. KEEP=1 leaves everything running until Ctrl-C.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mkdir -p bin
echo "== Building what is missing (the first time this can take minutes)"
assets=$(hack/controlplane/assets.sh)
echo "   the operator: bin/manager"
CGO_ENABLED=0 go build -trimpath -o bin/manager ./cmd/manager
echo "   a SCIM 2.0 server: bin/scimserver"
(cd hack/scimserver && CGO_ENABLED=0 go build -trimpath -o ../../bin/scimserver .)
echo "   a Cakewalk in memory: bin/fakecakewalk"
go build -trimpath -o bin/fakecakewalk ./hack/fakecakewalk
go build -trimpath -o bin/demo ./hack/demo
exec bin/demo -assets "$assets" -keep="${KEEP:-0}"
