#!/usr/bin/env bash
# Prints the PrometheusRule with the alerts of config/prometheus/alerts.yaml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cat <<'YAML'
# Made from alerts.yaml by `make generate`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: alerts
  namespace: system
spec:
YAML
sed -e '/^#/d' -e 's/^\(.\)/  \1/' config/prometheus/alerts.yaml
