# One target per habit. Everything works offline once the crates are fetched.

CARGO ?= cargo
# Tests and checks share one target directory; benchmarks have their own workspace but not their own copy of it.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
BENCH = $(CARGO_TARGET_DIR)/release/annals-bench
PEERS ?= postgres,sqlite,tantivy,chdb

.PHONY: help test check demo bench screens fuzz

help: ## This list
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

test: ## Run every test
	./tools/need-test-parts
	$(CARGO) test --workspace --locked
	@if command -v python3 >/dev/null; then python3 docs/verify_test.py; else echo "skipped docs/verify_test.py: python3 is absent"; fi

check: ## Format, lints, rules of the house
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) run --quiet --locked -p xtask -- tidy
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet

demo: ## A log with the events of a small deployment
	$(CARGO) run --release --locked -- demo

bench: ## Benchmarks at ANNALS_BENCH_EVENTS (10m; 1m takes minutes), beside peers named in PEERS
	$(CARGO) build --release --locked
	$(CARGO) build --release --locked --manifest-path bench/Cargo.toml
	$(CARGO) bench --locked --manifest-path bench/Cargo.toml
	$(BENCH) search --peers $(PEERS)
	$(BENCH) scale
	$(BENCH) whole $(CARGO_TARGET_DIR)/release/annals
	$(BENCH) export
	$(BENCH) foreign
	$(BENCH) ingest $(CARGO_TARGET_DIR)/release/annals
	$(BENCH) inserts
	$(BENCH) report

screens: ## Pictures of the pages in target/screens (needs Chromium)
	./tools/screens

fuzz: ## Random input for the readers, 60 seconds
	PROPTEST_CASES=20000 $(CARGO) test --release --locked -p annals-query -p annals-model -p annals-segment -p annals-tlog
