# What up.sh, down.sh and load.sh agree on. Sourced.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
state=${CLUSTER_STATE:-$root/bin/cluster}
bridge=accesscni0
pods=10.213.0.0/16
node_ip=10.213.0.1
services=10.214.0.0/16
node=node1
socket=$state/containerd.sock
# The archives of images name an image without a registry, as Docker does: the node looks for it under docker.io/library.
ctr() { command ctr --address "$socket" --namespace k8s.io "$@"; }
