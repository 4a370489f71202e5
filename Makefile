# Everything needs Go, and nothing else but what a line says. Tools are pinned in hack/tools/go.mod.

SHELL := /usr/bin/env bash -o pipefail
.DEFAULT_GOAL := help

TOOL := go tool -modfile=hack/tools/go.mod
BOILERPLATE := headerFile=hack/boilerplate.go.txt
IMAGE ?= access-operator:dev
FUZZTIME ?= 5s
KUBECTL ?= kubectl

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
generate: ## Generate deep copies, apply configurations, CRDs, API reference and RBAC.
	$(TOOL) controller-gen object:$(BOILERPLATE) paths=./api/...
	$(TOOL) controller-gen applyconfiguration:$(BOILERPLATE) paths=./api/...
	$(TOOL) controller-gen crd paths=./api/... output:crd:artifacts:config=config/crd/bases
	$(TOOL) crd-ref-docs --source-path=api --config=hack/crd-ref-docs.yaml --renderer=markdown --output-path=docs/api.md --log-level=ERROR
	$(TOOL) controller-gen rbac:roleName=manager-role paths=./controllers/... paths=./webhookreceiver/... paths=./cmd/... output:rbac:artifacts:config=config/rbac

.PHONY: verify
verify: ## Fail if generated files or go.mod files are not up to date.
	@hack/verify.sh

.PHONY: lint
lint: ## Run golangci-lint with the import rules, kube-api-linter and logcheck.
	@hack/lint/run.sh

.PHONY: vuln
vuln: ## Look for known vulnerabilities (needs vuln.go.dev).
	$(TOOL) govulncheck ./...

##@ Test

.PHONY: assets
assets: ## Print the folder with etcd, kube-apiserver and kubectl; get or build them first.
	@mkdir -p bin && hack/controlplane/assets.sh

.PHONY: test
test: ## Run the unit tests, the suites on a real API server, and every fuzz target briefly.
	@mkdir -p bin && export KUBEBUILDER_ASSETS="$$(hack/controlplane/assets.sh)" && go test -race -timeout 15m ./...
	@$(MAKE) --no-print-directory fuzz

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (5s).
	@hack/fuzz.sh $(FUZZTIME)

.PHONY: test-integration
test-integration: ## Run every backend against real servers (docs/backends/README.md tells which programs that needs).
	@mkdir -p bin && export KUBEBUILDER_ASSETS="$$(hack/controlplane/assets.sh)" KUBE_CONTROLLER_MANAGER="$$(hack/controlplane/controller-manager.sh)" && \
	  go test -race -timeout 40m -count=1 -tags integration ./test/integration/...

##@ Install

.PHONY: image
image: ## Build the image IMAGE into dist/image.tar, from nothing (FROM scratch), without pulling.
	@hack/image/build.sh $(IMAGE)

.PHONY: install
install: ## Install the CRDs into the current cluster.
	$(KUBECTL) apply --server-side -k config/crd

.PHONY: deploy
deploy: manifests ## Install the operator (config/default) with the image IMAGE into the current cluster.
	$(KUBECTL) apply --server-side -f dist/install.yaml

.PHONY: undeploy
undeploy: ## Remove the operator and its CRDs, with all their objects, from the current cluster.
	$(KUBECTL) delete --ignore-not-found -k config/default

.PHONY: manifests
manifests: ## Write the whole install, with the image IMAGE, to dist/install.yaml.
	@mkdir -p dist && $(TOOL) kustomize build config/default | sed 's#image: access-operator:dev#image: $(IMAGE)#' > dist/install.yaml
