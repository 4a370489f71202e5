#!/usr/bin/env bash
# Builds one program of the control plane from its Go module: build.sh NAME FOLDER.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$1 bin=$2
version=$(cd "$here" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
version=${version#v}
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags+=" -X $package.gitVersion=v$version -X $package.gitMajor=${version%%.*} -X $package.gitMinor=$(cut -d. -f2 <<<"$version")"
done
mkdir -p "$bin"
echo "building $name from Go modules ($(case $name in kube-apiserver) echo "about 6 minutes on two cores" ;; *) echo "a minute or two" ;; esac), once)" >&2
(cd "$here" && GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$bin/$name" "./cmd/$name") &
pid=$!
while kill -0 $pid 2>/dev/null; do sleep 1; ((SECONDS % 30)) || echo "  still building $name, ${SECONDS} s" >&2; done
wait $pid
