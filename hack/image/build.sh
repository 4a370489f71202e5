#!/usr/bin/env bash
# Builds the operator's image into dist/image.tar and what is in it into dist/sbom.spdx.json, and, where there is a docker
# or podman, loads it.
# usage: build.sh NAME:TAG [PLATFORMS] [VERSION]
#   PLATFORMS  such as linux/amd64,linux/arm64; several make an OCI archive (`skopeo copy --all oci-archive:dist/image.tar docker://...`)
#   VERSION    by default what git calls the commit
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tag=$1
platforms=${2:-linux/${GOARCH:-$(go env GOARCH)}}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
version=${3:-$(git describe --tags --always --dirty 2>/dev/null || echo dev)}
created=$(git log -1 --format=%ct 2>/dev/null || echo 0)
mkdir -p dist
programs=()
for platform in ${platforms//,/ }; do
  IFS=/ read -r os arch <<<"$platform"
  [[ $os == linux && -n $arch ]] || { echo "$platform is not linux/<architecture>" >&2; exit 1; }
  GOOS=$os GOARCH=$arch CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$version -X main.revision=$revision" \
    -o "bin/image/$arch/manager" ./cmd/manager
  programs+=(-program "$platform=$PWD/bin/image/$arch/manager")
done
(cd hack/image && GOOS='' GOARCH='' go run . "${programs[@]}" -tag "$tag" -version "$version" -revision "$revision" -created "$created" \
  -modcache "$(go env GOMODCACHE)" -out ../../dist/image.tar -sbom ../../dist/sbom.spdx.json)
echo "dist/image.tar holds $tag for $platforms, dist/sbom.spdx.json what is in it"
if [[ $platforms != *,* ]]; then
  for tool in docker podman; do
    if command -v $tool >/dev/null && $tool info >/dev/null 2>&1; then
      $tool load -i dist/image.tar
      break
    fi
  done
fi
