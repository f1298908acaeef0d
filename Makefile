PREFIX ?= /usr/local
DESTDIR ?=

ARCH := $(shell uname -m)
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
MUSL := $(subst -gnu,-musl,$(HOST))
STATIC := target/homelab-$(ARCH)-linux
BASH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

.DEFAULT_GOAL := help
.PHONY: help demo test soak bless lint build static test-static bench install tools bench-tools lint-tools

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1@\2/p' Makefile | while IFS=@ read -r target what; do \
		printf '  make %-11s %s\n' "$$target" "$$what"; done

demo: tools ## list templates, make a VM, list VMs, against a fake server; SERVE=1 leaves that running
	@cargo build --locked --bin homelab --example demo
	@SERVE=$(SERVE) cargo run --quiet --locked --example demo

# rstest fixes its list of story files when it compiles the file that runs them.
test: tools ## run all tests
	@touch tests/scenarios.rs
	cargo test --locked

soak: tools ## play COUNT random schedules of runs, faults and other users (10000; from seed FROM on); SEED=N: that one, in full
	SOAK_SEED=$(SEED) SOAK_FROM=$(FROM) SOAK_COUNT=$(or $(COUNT),10000) \
		cargo test --locked --test lib -- --nocapture soak::

# Only 'make bless' rewrites stories, even if the environment has this variable.
unexport HOMELAB_BLESS

bless: tools ## write the outcomes that are seen into fixtures/scenarios, to be reviewed as a diff; STORY=NAME: one story only
	@test -z "$(STORY)" || test -f "fixtures/scenarios/$(STORY).json" || { \
		echo "fixtures/scenarios/$(STORY).json does not exist" >&2; \
		exit 1; }
	@touch tests/scenarios.rs
	@HOMELAB_BLESS=1 cargo test --quiet --locked --test lib -- \
		$(if $(STORY),fixtures_scenarios_$(subst -,_,$(STORY))_json,scenarios::the_outcome); \
	result=$$?; \
	git diff --stat -- fixtures/scenarios; \
	echo "to see all of it: git diff -- fixtures/scenarios"; \
	exit $$result

lint: tools lint-tools ## check format, lints and the structure of src
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --quiet --locked --test lib -- house::

build: tools ## make target/release/homelab for this machine
	cargo build --release --locked

# Left out is what only a debugger could use, for a panic aborts and no symbols are kept: tables for
# unwinding, a tenth of the size; only the start files of musl need theirs. Relocations are packed where the C library unpacks them, glibc since
# 2.36. A C compiler for musl is what the cryptography takes.
NO_UNWINDING := target/no-unwinding.ld
STATIC_FLAGS := -C link-arg=-Wl,--no-eh-frame-hdr -C link-arg=-Wl,-T,$(NO_UNWINDING)
PACKED := -C link-arg=-Wl,-z,pack-relative-relocs

static: tools ## make target/homelab-ARCH-linux, which needs no library of the host
	@mkdir -p target
	@echo 'SECTIONS { /DISCARD/ : { *(EXCLUDE_FILE(*crt*.o) .eh_frame) } } INSERT AFTER .text;' > $(NO_UNWINDING)
	@if test -d "$$(rustc --print target-libdir --target $(MUSL))" && \
		{ test $(HOST) = $(MUSL) || command -v $(ARCH)-linux-musl-gcc || command -v musl-gcc; } \
		>/dev/null; then \
		target=$(MUSL) libc=musl flags='$(PACKED)'; \
	else \
		target=$(HOST) libc='glibc, for musl takes: rustup target add $(MUSL); apt-get install musl-tools'; \
		flags='-C target-feature=+crt-static'; \
		version=$$(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2); \
		if printf '2.36\n%s\n' "$$version" | sort -C -V; then flags="$$flags $(PACKED)"; fi; \
	fi; \
	env -u CARGO_ENCODED_RUSTFLAGS RUSTFLAGS="$$flags $(STATIC_FLAGS)" \
		cargo build --release --locked --target-dir target --target $$target && \
	cp target/$$target/release/homelab $(STATIC) && \
	$(STATIC) --version >/dev/null && \
	echo "made $(STATIC) with $$libc"

test-static: static ## run it where there is nothing else; ROOTS="bullseye trixie": also in those Debian releases (as root)
	tests/static.sh $(STATIC) $(ROOTS)

bench: static bench-tools ## measure the static program against curl, on this machine; prints a table
	@cargo run --quiet --release --locked --example bench -- $(STATIC)

# What there is is installed as it is: root may have another cargo, or none.
install: ## put the static program and its completions under DESTDIR/PREFIX (DESTDIR is empty and PREFIX /usr/local by default)
	@test -x $(STATIC) || $(MAKE) static
	install -D -m 755 $(STATIC) $(DESTDIR)$(PREFIX)/bin/homelab
	install -d $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS) $(FISH_COMPLETIONS)
	$(STATIC) completions bash > $(BASH_COMPLETIONS)/homelab
	$(STATIC) completions zsh > $(ZSH_COMPLETIONS)/_homelab
	$(STATIC) completions fish > $(FISH_COMPLETIONS)/homelab.fish

tools: ## check that cargo and a C compiler are there
	@command -v cargo >/dev/null || { \
		echo "cargo is missing; https://www.rust-lang.org/tools/install tells how to get Rust" >&2; \
		exit 1; }
	@command -v cc >/dev/null || { \
		echo "a C compiler is missing; on Debian: apt-get install gcc libc6-dev" >&2; \
		exit 1; }

bench-tools: ## check that curl and GNU time are there
	@command -v curl >/dev/null && env time -f %M true >/dev/null 2>&1 || { \
		echo "curl or GNU time is missing; on Debian: apt-get install curl time" >&2; \
		exit 1; }

lint-tools: ## check that rustfmt and clippy are there
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || { \
		echo "rustfmt or clippy is missing; to get them: rustup component add rustfmt clippy" >&2; \
		exit 1; }
