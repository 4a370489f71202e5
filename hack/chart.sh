#!/usr/bin/env bash
# Copies into the chart what is generated or written elsewhere: CRDs, roles, policies, alerts and the dashboard. The
# templates read these files as they are, so that nothing in them is taken for a template.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
files=charts/access-operator/files
rm -rf "$files"
mkdir -p "$files"/{crds,rbac,admission}
for crd in config/crd/bases/*.yaml; do
  sed 1d "$crd" >"$files/crds/${crd##*access.getcakewalk.io_}" # without the leading ---
done
cp config/rbac/{role,user_roles,backend_roles,metrics_reader_role}.yaml "$files/rbac"
cp config/admission/{task_edits,keys_secret}.yaml config/hardened/receiver_identity.yaml "$files/admission"
cp config/prometheus/alerts.yaml "$files/alerts.yaml"
cp config/grafana/dashboard.json "$files/dashboard.json"
