#!/usr/bin/env bash
# Prints the path of kube-controller-manager, and builds it first if need be: where Jobs must really run, it runs them.
# $KUBE_CONTROLLER_MANAGER as it is; else what was built here before; else a build from Go modules.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ -n ${KUBE_CONTROLLER_MANAGER:-} ]]; then
  echo "$KUBE_CONTROLLER_MANAGER"
  exit
fi
version=$(cd "$here" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
bin=$(cd "$here/../.." && pwd)/bin/controlplane/${version#v}
[[ -e $bin/.controller-manager ]] || { "$here/build.sh" kube-controller-manager "$bin" && touch "$bin/.controller-manager"; }
echo "$bin/kube-controller-manager"
