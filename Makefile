# What people run. Everything a target needs is installed by `tests/install` first.

.PHONY: help build image test lint generate golden conformance cluster-test bench bench-quick fuzz-short

help: ## What there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

build: ## The optimised binary, target/release/fairlead
	cargo build --release

# The commit is part of what an image says of itself (`fairlead version`); other builds do without, so that a commit alone builds nothing.
image: export FAIRLEAD_COMMIT = $(shell git describe --always --dirty --exclude '*' --abbrev=12 2>/dev/null)
image: build ## An image of it without Docker, target/cluster/images/fairlead.tar
	conformance/image fairlead

test: ## All tests, with the clients they need; what CI runs
	tests/install test
	tests/install cluster
	tests/run

lint: ## Formatting, clippy, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

generate: ## Gateway API types, schemas and our CRDs from their sources
	cargo run -p fairlead-crds-generate

golden: ## Rewrite the golden files of translation; look at the difference before you commit it
	UPDATE_GOLDEN=1 cargo test -p fairlead-translate

conformance: build ## The upstream suite on a cluster of its own, for both channels; writes conformance/reports
	conformance/run
	conformance/run --channel standard

cluster-test: build ## Tests of the local cluster, and of the chart on it: install, upgrade, uninstall
	conformance/local/test

bench: ## All load tests against the peers; writes target/load/results.json
	tests/install bench
	tests/load/run

bench-quick: ## The same in under five minutes
	tests/install bench
	tests/load/run --quick

fuzz-short: ## Each fuzz target for a few seconds, on stable Rust
	cargo run --release --manifest-path tests/fuzz/Cargo.toml --bin fuzz-short -- --seconds 5
