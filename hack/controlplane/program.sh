#!/usr/bin/env bash
# Prints the path of one program of Kubernetes, and builds it first if need be: program.sh NAME, one of the folders in cmd.
# What assets.sh gets is enough for an API server alone; this is for what a cluster needs besides.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$1
version=$(cd "$here" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
bin=$(cd "$here/../.." && pwd)/bin/controlplane/${version#v}
[[ -e $bin/.$name ]] || { "$here/build.sh" "$name" "$bin" && touch "$bin/.$name"; }
echo "$bin/$name"
