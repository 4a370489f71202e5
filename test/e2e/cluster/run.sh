#!/usr/bin/env bash
# Builds the images, brings them into the cluster of E2E_KUBECONFIG or KUBECONFIG, and runs the suite there.
# A cluster of hack/cluster and one of kind get the images from here; any other must be able to pull IMAGE,
# SCIM_IMAGE and WORKER_IMAGE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
kubeconfig=${E2E_KUBECONFIG:-${KUBECONFIG:-}}
if [[ -z $kubeconfig ]]; then
  echo "make e2e installs the operator in a cluster and removes it: say in which, by E2E_KUBECONFIG or KUBECONFIG. make cluster-up starts one." >&2
  exit 1
fi
source hack/cluster/env.sh
export E2E_KUBECONFIG=$kubeconfig IMAGE=${IMAGE:-access-operator:dev} SCIM_IMAGE=${SCIM_IMAGE:-access-operator-scimserver:dev} WORKER_IMAGE=${WORKER_IMAGE:-access-operator-worker:dev}
if [[ -z ${KUBECTL:-} || ! $(command -v "$KUBECTL") ]]; then
  KUBECTL=$(hack/controlplane/assets.sh)/kubectl
fi
if [[ -z ${HELM:-} ]]; then
  HELM=$root/bin/helm
  [[ -x $HELM ]] || (cd hack/helm && echo "building helm (a minute or two, once)" >&2 && go build -o "$HELM" helm.sh/helm/v3/cmd/helm)
fi
export KUBECTL HELM
context=$("$KUBECTL" --kubeconfig "$kubeconfig" config current-context)
load=()
if [[ $kubeconfig -ef $state/admin.kubeconfig ]]; then
  load=(hack/cluster/load.sh)
elif [[ $context == kind-* ]]; then
  load=(kind load image-archive --name "${context#kind-}")
fi
if [[ ${#load[@]} -gt 0 ]]; then
  hack/image/build.sh "$IMAGE"
  arch=$(go env GOARCH)
  (cd hack/scimserver && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$root/bin/image/$arch/scimserver" .)
  CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "bin/image/$arch/worker" ./test/e2e/cluster/worker
  (
    cd hack/image
    go run . -program "linux/$arch=$root/bin/image/$arch/scimserver" -tag "$SCIM_IMAGE" -out "$root/dist/scimserver.tar"
    go run . -program "linux/$arch=$root/bin/image/$arch/worker" -tag "$WORKER_IMAGE" -out "$root/dist/worker.tar"
  )
  for archive in dist/image.tar dist/scimserver.tar dist/worker.tar; do
    "${load[@]}" $archive
  done
fi
exec go test -v -count=1 -timeout 20m -tags cluster ./test/e2e/cluster "$@"
