# What people and CI run. Everything works with only Rust and Go installed; with
# KUBEBUILDER_ASSETS naming a directory of the programs, Go is not needed.

CARGO ?= cargo
.DEFAULT_GOAL := help

# The stories of the operator. They run twice: with the least rights, where each
# release has an account of its own, and as cluster-admin.
STORIES := adoption_flux allowed confined crashes decryption downgrade drift going_away install origins outages \
	ownership patches pruning quiet refusals registries replicas rights secrecy shards trust waiting webhooks

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
	SUPERCARGO_TEST_PROFILE=cluster-admin $(CARGO) test --test cluster -- $(STORIES:%=%::)

.PHONY: lint
lint: ## Check formatting, lints, and licences where cargo-deny is installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and sources are not checked"; fi

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: generate
generate: ## Write the generated files: the CRD, its copy and the values in the chart, docs/cli.md
	@mkdir -p config/crd
	$(CARGO) run --quiet -- crd > config/crd/supercargo.dev_ociartifactreleases.yaml.new
	@mv config/crd/supercargo.dev_ociartifactreleases.yaml.new config/crd/supercargo.dev_ociartifactreleases.yaml
	@cp config/crd/supercargo.dev_ociartifactreleases.yaml charts/supercargo/files/
	$(CARGO) run --quiet -- docs > docs/cli.md.new
	@mv docs/cli.md.new docs/cli.md
	GENERATE=1 $(CARGO) test --quiet --test tidy the_values_of_the_chart_are_told -- --exact

.PHONY: bench
bench: ## Measure: the table of docs/benchmarks.md
	$(CARGO) bench --bench bench
