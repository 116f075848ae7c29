# Everyday targets. `make help` lists them. Each installs the tools that it needs.
.DEFAULT_GOAL := help
.PHONY: help demo test lint torture soak bench contract pictures clean

# The tools of tests/tools come first in PATH, so that every machine runs the same versions.
export PATH := $(CURDIR)/.cache/bin:$(PATH)

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{ printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Runs a demo company on this machine; DEMO=keep leaves it running, with a page to try it
	tests/tools ensure postgresql
	cargo build --release --bin im-push-gateway --example demo
	cargo run --release --example demo

test: lint ## Runs lint, then all tests against real servers
	tests/tools ensure postgresql pgbouncer elasticsearch slapd schemathesis standardwebhooks scim2-cli scim-sanity scim2-server clients tus-js-client moto robots sockets promtool nginx haproxy coturn caddy systemd cargo-deb otelcol chromium
	cargo test

lint: ## Checks the format, clippy, the licences and sources of dependencies, the chart, the image and the alerts
	tests/tools ensure cargo-deny promtool
	cargo fmt --check && cargo deny --locked check bans licenses sources
	cargo clippy --all-targets -- -D warnings
	tests/chart
	tests/compose
	tests/alerts/check

torture: ## Kills and stops replicas and the database for 15 minutes, then checks the promises
	tests/tools ensure postgresql
	TORTURE_SECONDS=900 TORTURE_CROWD=20000 cargo test --release --test it torture -- --nocapture --test-threads=1

soak: ## Runs sends and reads for half an hour, an overload, an upgrade from the version before, and 10,000 sockets; SOAK_SECONDS shortens it
	tests/tools ensure postgresql
	old=$$(tests/old-binary) && OLD_BINARY=$$old cargo test --release --test it faults::upgrade -- --ignored --nocapture --test-threads=1
	cargo test --release --test it faults::soak -- --ignored --nocapture --test-threads=1
	ulimit -n $$(ulimit -Hn) && cargo test --release --test it sockets::many -- --ignored --nocapture

bench: ## Measures the ledger, the archive, events and the directory: sends per second, search times, delays, runs
	tests/tools ensure postgresql elasticsearch chromium
	cargo bench --bench ledger
	cargo bench --bench archive
	cargo bench --bench events
	cargo bench --bench directory

contract: ## Runs schemathesis against the OpenAPI contract, with more examples than the tests
	tests/tools ensure postgresql schemathesis
	CONTRACT_EXAMPLES=200 cargo test --test it an_outside_judge -- --nocapture

pictures: ## Takes pictures of the console and of the demo's page, wide and narrow, light and dark, into target/pictures
	tests/tools ensure postgresql chromium
	PICTURES=$(CURDIR)/target/pictures cargo test --test it console:: -- --nocapture

clean: ## Removes build output and tools
	cargo clean
	rm -rf .cache
