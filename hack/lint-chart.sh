#!/usr/bin/env bash
# Checks the chart, with each of its ci values, and the overlays: helm lint, kubeconform with the schemas of the Kubernetes
# that the operator is compiled against, and kube-score. Builds the three programs once per version of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
chart=charts/access-operator

tool() { # MODULE PACKAGE: builds a program of hack/MODULE and prints its path
  local path
  path=$PWD/bin/$(basename "${2%/v5}")-$(cat "hack/$1/go.mod" | cksum | cut -d' ' -f1)
  if [[ ! -x $path ]]; then
    echo "building $(basename "$2") (once)" >&2
    (cd "hack/$1" && go build -o "$path" "$2")
  fi
  echo "$path"
}
helm=$(tool helm helm.sh/helm/v3/cmd/helm)
kubeconform=$(tool helm github.com/yannh/kubeconform/cmd/kubeconform)
score=$(tool kube-score github.com/zegl/kube-score/cmd/kube-score)
kustomize=$(tool tools sigs.k8s.io/kustomize/kustomize/v5)

version=$(cd hack/controlplane && go list -m -f '{{.Version}}' k8s.io/kubernetes)
swagger=$(cd hack/controlplane && go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^\t"Dir": "\(.*\)".*/\1/p')/api/openapi-spec/swagger.json
schemas=$(mktemp -d)
trap 'rm -rf "$schemas"' EXIT
go run ./hack/schemas "$schemas" "$swagger" config/crd/bases/*.yaml

# Excused, and why:
scored=(
  # Without a processor limit bursts of deliveries are not throttled; requests and the memory limit are set.
  --ignore-container-cpu-limit
  # Pods spread by topologySpreadConstraints, which kube-score does not count.
  --ignore-test deployment-has-host-podantiaffinity
  # Versions are not pushed twice, and an image that was loaded by hand has no registry to be pulled from.
  --ignore-test container-image-pull-policy
)
# Whose kinds are in no schema here: a real API server checks them in test/chart.
unknown=Certificate,HTTPRoute,ServiceMonitor,PrometheusRule,CustomResourceDefinition

check() { # NAME FILE [FLAG...]
  echo "== $1"
  "$kubeconform" -strict -summary -skip "$unknown" -schema-location "$schemas/{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json" "$2"
  "$score" score --kubernetes-version "${version%.*}" --output-format ci "${scored[@]}" "${@:3}" "$2" | { grep -Ev '^\[(OK|SKIPPED)\]' && exit 1 || true; }
}
out=$schemas/manifests.yaml
for values in "$chart"/ci/*.yaml; do
  "$helm" lint --strict --kube-version "$version" --values "$values" "$chart"
  "$helm" template access-operator "$chart" --namespace access-operator-system --kube-version "$version" --values "$values" >"$out"
  # Network policies depend on who is let in, so that the chart's are off until somebody says who.
  grep -q '^kind: NetworkPolicy' "$out" && more=() || more=(--ignore-test pod-networkpolicy)
  check "$values" "$out" "${more[@]}"
done
for overlay in default hardened namespaced; do
  "$kustomize" build "config/$overlay" >"$out"
  # The hardened overlay is the one with network policies.
  [[ $overlay == hardened ]] && more=() || more=(--ignore-test pod-networkpolicy)
  check "config/$overlay" "$out" "${more[@]}"
done
"$kubeconform" -strict -summary -schema-location "$schemas/{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json" -ignore-filename-pattern kustomization.yaml config/samples
