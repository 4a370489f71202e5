# Everything needs Go, and nothing else but what a line says. Tools are pinned in hack/tools/go.mod.

SHELL := /usr/bin/env bash -o pipefail
.DEFAULT_GOAL := help

TOOL := go tool -modfile=hack/tools/go.mod
BOILERPLATE := headerFile=hack/boilerplate.go.txt
IMAGE ?= access-operator:dev
FUZZTIME ?= 3s
KILLS ?= 200
KUBECTL ?= kubectl
# Of the image, for example linux/amd64,linux/arm64. Default: this machine's.
PLATFORMS ?=
# Of the image and the chart. Default: what git calls the commit, and the chart's own.
VERSION ?=
# The folder of config to install: default, hardened or namespaced.
OVERLAY ?= default

##@ General

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*##/ {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ See it work

.PHONY: demo
demo: ## Watch signed webhooks become access in a SCIM server, on this machine. KEEP=1 stays up.
	@hack/demo/demo.sh

##@ Develop

.PHONY: build
build: ## Build bin/manager.
	CGO_ENABLED=0 go build -trimpath -o bin/manager ./cmd/manager

.PHONY: generate
generate: ## Generate deep copies, apply configurations, CRDs, API reference, RBAC, PrometheusRule and the chart's files.
	$(TOOL) controller-gen object:$(BOILERPLATE) paths=./api/...
	$(TOOL) controller-gen applyconfiguration:$(BOILERPLATE) paths=./api/...
	$(TOOL) controller-gen crd paths=./api/... output:crd:artifacts:config=config/crd/bases
	$(TOOL) crd-ref-docs --source-path=api --config=hack/crd-ref-docs.yaml --renderer=markdown --output-path=docs/api.md --log-level=ERROR
	$(TOOL) controller-gen rbac:roleName=manager-role paths=./controllers/... paths=./webhookreceiver/... paths=./cmd/... output:rbac:artifacts:config=config/rbac
	hack/prometheus-rule.sh > config/prometheus/prometheus_rule.yaml
	hack/chart.sh

.PHONY: verify
verify: ## Fail if generated files or go.mod files are not up to date.
	@hack/verify.sh

.PHONY: lint
lint: ## Run golangci-lint with the import rules, kube-api-linter and logcheck.
	@hack/lint/run.sh

.PHONY: lint-chart
lint-chart: ## Check the chart and the overlays with helm lint, kubeconform and kube-score.
	@hack/lint-chart.sh

.PHONY: vuln
vuln: ## Look for known vulnerabilities (needs vuln.go.dev).
	$(TOOL) govulncheck ./...

##@ Test

.PHONY: assets
assets: ## Print the folder with etcd, kube-apiserver and kubectl; get or build them first.
	@mkdir -p bin && hack/controlplane/assets.sh

.PHONY: test
test: ## Run the unit tests, the suites on a real API server, and every fuzz target briefly (about 10 minutes).
	@mkdir -p bin && export KUBEBUILDER_ASSETS="$$(hack/controlplane/assets.sh)" && go test -race -timeout 15m ./...
	@go test -run 'Allocations$$' ./internal/accesstask ./internal/cakewalk ./internal/webhookkeys
	@$(MAKE) --no-print-directory fuzz

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (3s). KEEP=1 adds what reached something new to the corpora.
	@hack/fuzz.sh $(FUZZTIME)

.PHONY: test-model
test-model: ## Hold 100,000 random histories of tasks against a model of what is right (about 5 minutes).
	@mkdir -p bin && export KUBEBUILDER_ASSETS="$$(hack/controlplane/assets.sh)" && go test -timeout 60m -count=1 -run 'TestModel$$' ./controllers -args -rapid.checks=50000

test-chaos: test-model

.PHONY: test-integration
test-integration: ## Run every backend against real servers and the alerts in Prometheus (docs/backends/README.md tells which programs that needs).
	@mkdir -p bin && export KUBEBUILDER_ASSETS="$$(hack/controlplane/assets.sh)" KUBE_CONTROLLER_MANAGER="$${KUBE_CONTROLLER_MANAGER:-$$(hack/controlplane/program.sh kube-controller-manager)}" && \
	  go test -race -timeout 40m -count=1 -tags integration ./test/integration/... ./test/observability/... && \
	  go test -race -timeout 10m -count=1 -tags integration -run Prometheus ./test/e2e

.PHONY: test-chaos
test-chaos: ## Flood the manager; kill it KILLS times (200), etcd and the API server, cut the network, set clocks apart (about 12 minutes, and 4 for a build the first time).
	@mkdir -p bin && export KUBEBUILDER_ASSETS="$$(hack/controlplane/assets.sh)" && go test -timeout 30m -count=1 -tags chaos -v ./test/chaos/... -args -kills=$(KILLS)

.PHONY: bench
bench: ## Measure every budget on this machine (an hour or more). SHORT=1: five minutes at most; PROFILE=1 keeps profiles; CASE=regexp.
	@mkdir -p bin && SHORT=$(SHORT) PROFILE=$(PROFILE) CASE='$(CASE)' hack/bench.sh

.PHONY: cluster-up
cluster-up: ## Start a real Kubernetes of one node on this machine, without Docker (hack/cluster/README.md).
	@mkdir -p bin && hack/cluster/up.sh

.PHONY: cluster-down
cluster-down: ## Stop it, and remove everything that it stored.
	@hack/cluster/down.sh

.PHONY: e2e
e2e: ## Install and operate the operator in every way, in the cluster of E2E_KUBECONFIG or KUBECONFIG. ARGS go to go test.
	@mkdir -p bin && KUBECTL=$(KUBECTL) test/e2e/cluster/run.sh $(ARGS)

##@ Install

.PHONY: image
image: ## Build the image IMAGE for PLATFORMS into dist/image.tar, without pulling, and its SPDX document dist/sbom.spdx.json.
	@hack/image/build.sh "$(IMAGE)" "$(PLATFORMS)" "$(VERSION)"

.PHONY: chart
chart: ## Package the Helm chart into dist/, with VERSION as its version if that is set.
	@mkdir -p dist && cd hack/helm && go tool helm package ../../charts/access-operator --destination ../../dist \
	  $(if $(VERSION),--version "$(patsubst v%,%,$(VERSION))" --app-version "$(VERSION)")

.PHONY: install
install: ## Install the CRDs into the current cluster, or upgrade them.
	$(KUBECTL) apply --server-side -f <($(TOOL) kustomize build config/crd)

.PHONY: uninstall
uninstall: ## Remove the CRDs, with every task and rule, from the current cluster.
	$(KUBECTL) delete --ignore-not-found -f <($(TOOL) kustomize build config/crd)

.PHONY: deploy
deploy: build-installer ## Install the CRDs and the operator (config/OVERLAY) with the image IMAGE into the current cluster.
	$(KUBECTL) apply --server-side -f dist/install.yaml

.PHONY: undeploy
undeploy: ## Remove the operator (config/OVERLAY) from the current cluster. CRDs, tasks, rules and the namespace stay.
	$(KUBECTL) delete --ignore-not-found -l app.kubernetes.io/component!=namespace -f <($(TOOL) kustomize build config/$(OVERLAY))

.PHONY: build-installer
build-installer: ## Write the CRDs and config/OVERLAY, with the image IMAGE, to dist/install.yaml.
	@mkdir -p dist && { $(TOOL) kustomize build config/crd; echo ---; $(TOOL) kustomize build config/$(OVERLAY); } | \
	  sed 's#image: access-operator:dev#image: $(IMAGE)#' > dist/install.yaml
