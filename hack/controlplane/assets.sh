#!/usr/bin/env bash
# Prints the folder that holds etcd, kube-apiserver and kubectl, and gets them first if need be:
# $KUBEBUILDER_ASSETS as it is; else what was built here before; else the published envtest binaries, whose checksums
# are verified; else a build from Go modules, which needs nothing but Go and takes about eight minutes of two cores, once.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
  echo "$KUBEBUILDER_ASSETS"
  exit
fi

# The version is the one that the operator is compiled against.
version=$(cd "$root" && go list -m -f '{{.Version}}' k8s.io/api)
version=1.${version#v0.}
built=$(cd "$here" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
if [[ $built != "v$version" ]]; then
  echo "hack/controlplane/go.mod has Kubernetes $built, go.mod of the operator v$version: make them equal" >&2
  exit 1
fi
bin=$root/bin/controlplane/$version
if [[ -e $bin/.complete ]]; then
  echo "$bin"
  exit
fi

if [[ -z ${CONTROLPLANE_BUILD:-} ]]; then
  echo "getting the published etcd, kube-apiserver and kubectl $version" >&2
  limit=(); command -v timeout >/dev/null && limit=(timeout 180)
  if dir=$(cd "$root" && "${limit[@]}" go tool -modfile=hack/tools/go.mod setup-envtest use "${version%.*}.x" --bin-dir "$root/bin/envtest" -p path 2>"$root/bin/.envtest.log"); then
    echo "$dir"
    exit
  fi
  echo "they cannot be had here ($(tail -c 200 "$root/bin/.envtest.log" | tr '\n' ' '))" >&2
fi

for name in etcd kube-apiserver kubectl; do
  "$here/build.sh" "$name" "$bin"
done
touch "$bin/.complete"
echo "$bin"
