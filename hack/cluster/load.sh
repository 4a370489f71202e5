#!/usr/bin/env bash
# Puts images into the cluster that up.sh started: load.sh ARCHIVE..., archives as `docker save` and `make image` write them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
for archive in "$@"; do
  ctr images import "$archive"
done
