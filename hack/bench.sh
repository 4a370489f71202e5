#!/usr/bin/env bash
# Builds the operator and the benchmark, and runs it. SHORT=1 measures less, PROFILE=1 keeps profiles and the managers' logs
# in bin/bench-profiles, CASE is a regular expression of the cases to run. The report is also in bin/bench.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
KUBEBUILDER_ASSETS=$(hack/controlplane/assets.sh)
export KUBEBUILDER_ASSETS
make --no-print-directory build
go build -o bin/bench ./test/bench
args=(-json bin/bench.json -case "${CASE:-}")
[[ -z ${SHORT:-} ]] || args+=(-short)
[[ -z ${PROFILE:-} ]] || args+=(-profile bin/bench-profiles)
exec bin/bench "${args[@]}"
