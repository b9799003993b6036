# What people and CI run. Everything works with only Rust and Go installed; with
# KUBEBUILDER_ASSETS naming a directory of the programs, Go is not needed.

CARGO ?= cargo
.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: ## Show a release from its push to its end, on a real cluster (KEEP=1: leave it running)
	@$(CARGO) test --no-run --test demo
	@KEEP=$(KEEP) $(CARGO) test --quiet --test demo

.PHONY: test
test: ## Run all tests; builds the test bed's programs the first time
	$(CARGO) test --workspace

.PHONY: lint
lint: ## Check formatting, lints, and licences where cargo-deny is installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --lib --bins --features otlp -- -D warnings
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and sources are not checked"; fi

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: generate
generate: ## Write the generated files: the CRD and docs/cli.md
	@mkdir -p config/crd
	$(CARGO) run --quiet -- crd > config/crd/supercargo.dev_ociartifactreleases.yaml.new
	@mv config/crd/supercargo.dev_ociartifactreleases.yaml.new config/crd/supercargo.dev_ociartifactreleases.yaml
	$(CARGO) run --quiet -- docs > docs/cli.md.new
	@mv docs/cli.md.new docs/cli.md

.PHONY: image
image: ## Assemble the image without a container engine, for this machine (PROFILE=dev: quickly)
	@image/assemble

.PHONY: bench
bench: ## Measure: the table of docs/benchmarks.md
	$(CARGO) bench --bench bench
