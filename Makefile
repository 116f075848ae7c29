# The targets of everyday work; `make help` lists them. Each gets the tools it lacks by itself.
.DEFAULT_GOAL := help
.PHONY: help demo test lint torture bench contract clean

# The tools that tests/tools installs go before others of the same name, so that every machine runs one version.
export PATH := $(CURDIR)/.cache/bin:$(PATH)

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{ printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Shows the main job on this machine; DEMO=keep leaves it running
	tests/tools ensure postgresql
	cargo build --release --bin im-push-gateway --example demo
	cargo run --release --example demo

test: lint ## Runs everything: lint, then every test against real servers
	tests/tools ensure postgresql pgbouncer elasticsearch slapd schemathesis standardwebhooks scim2-cli scim-sanity scim2-server clients
	cargo test

lint: ## Checks format, clippy, licences and sources of dependencies, and the chart
	tests/tools ensure cargo-deny
	cargo fmt --check && cargo deny --locked check bans licenses sources
	cargo clippy --all-targets -- -D warnings
	tests/chart

torture: ## Kills and stops replicas and the database for 15 minutes and judges what is left
	tests/tools ensure postgresql
	TORTURE_SECONDS=900 TORTURE_CROWD=20000 cargo test --release --test it torture -- --nocapture --test-threads=1

bench: ## Measures the ledger, the archive, events and the directory: rows and sends a second, searches, delays, runs
	tests/tools ensure postgresql elasticsearch
	cargo bench --bench ledger
	cargo bench --bench archive
	cargo bench --bench events
	cargo bench --bench directory

contract: ## Lets schemathesis look for answers that break the OpenAPI contract, longer than the tests do
	tests/tools ensure postgresql schemathesis
	CONTRACT_EXAMPLES=200 cargo test --test it an_outside_judge -- --nocapture

clean: ## Removes what was built, and the tools
	cargo clean
	rm -rf .cache
