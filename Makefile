PREFIX ?= /usr/local
DESTDIR ?=

ARCH := $(shell uname -m)
MUSL := $(ARCH)-unknown-linux-musl
GNU := $(ARCH)-unknown-linux-gnu

.DEFAULT_GOAL := help
.PHONY: help demo test lint build static install tools lint-tools

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1@\2/p' Makefile | while IFS=@ read -r target what; do \
		printf '  make %-10s %s\n' "$$target" "$$what"; done

demo: tools ## list templates, make a VM, list VMs, against a fake server; SERVE=1 leaves that running
	@cargo build --locked --bin homelab --example demo
	@SERVE=$(SERVE) cargo run --quiet --locked --example demo

# rstest fixes its list of story files when it compiles the file that runs them.
test: tools ## run all tests
	@touch tests/scenarios.rs
	cargo test --locked

lint: tools lint-tools ## check format, lints, and that imports in src run one way
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --quiet --locked --test lib -- house::

build: tools ## make target/release/homelab for this machine
	cargo build --release --locked

static: tools ## make target/homelab-ARCH-linux, which needs no library of the host
	@if test -d "$$(rustc --print target-libdir --target $(MUSL))"; then \
		target=$(MUSL) flags=; \
	else \
		target=$(GNU) flags='-C target-feature=+crt-static'; \
	fi; \
	RUSTFLAGS="$$flags" cargo build --release --locked --target $$target && \
	cp target/$$target/release/homelab target/homelab-$(ARCH)-linux && \
	echo "made target/homelab-$(ARCH)-linux for $$target"

# Under sudo there may be no cargo; then what has been built is installed.
install: ## put the program into DESTDIR/PREFIX/bin (DESTDIR is empty and PREFIX /usr/local by default)
	@if command -v cargo >/dev/null || ! test -x target/release/homelab; then $(MAKE) build; fi
	install -D -m 755 target/release/homelab $(DESTDIR)$(PREFIX)/bin/homelab

tools: ## check that cargo and a C compiler are there
	@command -v cargo >/dev/null || { \
		echo "cargo is missing; https://www.rust-lang.org/tools/install tells how to get Rust" >&2; \
		exit 1; }
	@command -v cc >/dev/null || { \
		echo "a C compiler is missing; on Debian: apt-get install gcc libc6-dev" >&2; \
		exit 1; }

lint-tools: ## check that rustfmt and clippy are there
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || { \
		echo "rustfmt or clippy is missing; to get them: rustup component add rustfmt clippy" >&2; \
		exit 1; }
