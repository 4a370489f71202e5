#!/usr/bin/env bash
# Gets or builds the programs of a cluster, once, and prints the folder with all of them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
bin=$state/programs
mkdir -p "$bin"
assets=$("$root/hack/controlplane/assets.sh")
for name in etcd kube-apiserver kubectl; do
  ln -sf "$assets/$name" "$bin/$name"
done
for name in kube-controller-manager kube-scheduler kubelet kube-proxy pause; do
  ln -sf "$("$root/hack/controlplane/program.sh" $name)" "$bin/$name"
done
echo "$bin"
