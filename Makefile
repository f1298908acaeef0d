PREFIX ?= /usr/local
DESTDIR ?=

ARCH := $(shell uname -m)
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
MUSL := $(subst -gnu,-musl,$(HOST))
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
STATIC := target/homelab-$(ARCH)-linux
BASH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
MAN1 = $(DESTDIR)$(PREFIX)/share/man/man1

.DEFAULT_GOAL := help
.PHONY: help demo test soak bless lint build static deb dist test-static test-dist bench install tools bench-tools lint-tools deb-tools

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1@\2/p' Makefile | while IFS=@ read -r target what; do \
		printf '  make %-11s %s\n' "$$target" "$$what"; done

demo: tools ## create a template and VMs on a fake server; SERVE=1: keep that server running
	@cargo build --locked --bin homelab --example demo
	@exec env SERVE=$(SERVE) cargo run --quiet --locked --example demo

# rstest reads the list of story files when it compiles tests/scenarios.rs.
test: tools ## run all tests
	@touch tests/scenarios.rs
	cargo test --locked

soak: tools ## run COUNT (10000) random schedules of runs, faults and other users, from seed FROM; SEED=N: show one
	SOAK_SEED=$(SEED) SOAK_FROM=$(FROM) SOAK_COUNT=$(or $(COUNT),10000) \
		cargo test --locked --test lib -- --nocapture soak::

# Only 'make bless' rewrites stories, even if this variable is set in the environment.
unexport HOMELAB_BLESS

bless: tools ## write the actual outcomes to fixtures/scenarios, for review as a diff; STORY=NAME: of one story only
	@test -z "$(STORY)" || test -f "fixtures/scenarios/$(STORY).json" || { \
		echo "fixtures/scenarios/$(STORY).json does not exist" >&2; \
		exit 1; }
	@touch tests/scenarios.rs
	@HOMELAB_BLESS=1 cargo test --quiet --locked --test lib -- \
		$(if $(STORY),fixtures_scenarios_$(subst -,_,$(STORY))_json,scenarios::the_outcome); \
	result=$$?; \
	git diff --stat -- fixtures/scenarios; \
	echo "the whole diff: git diff -- fixtures/scenarios"; \
	exit $$result

lint: tools lint-tools ## check format, lints and the structure of src
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --quiet --locked --test lib -- house::

build: tools ## build target/release/homelab for this machine
	cargo build --release --locked

# The musl target needs a C compiler for musl: the cryptography is partly written in C.
STATIC_TARGET = $(shell if test -d "$$(rustc --print target-libdir --target $(MUSL))" && \
	{ test $(HOST) = $(MUSL) || command -v $(ARCH)-linux-musl-gcc || command -v musl-gcc; } >/dev/null; \
	then echo $(MUSL); else echo $(HOST); fi)

# Unwinding tables are a tenth of the size, and useless: a panic aborts, and the symbols are stripped. Only
# the start files of musl need theirs, to be linked. Packed relocations need musl, or glibc 2.36.
NO_UNWINDING := target/no-unwinding.ld
STATIC_FLAGS := -C link-arg=-Wl,--no-eh-frame-hdr -C link-arg=-Wl,-T,$(NO_UNWINDING)
PACKED := -C link-arg=-Wl,-z,pack-relative-relocs

# The names of folders on this machine, and of the registry that cargo uses, are replaced, so that they
# do not change the bytes. Flags are separated by \037 because such a name may contain a space.
static: tools ## build target/homelab-ARCH-linux, which needs no library of the host
	@mkdir -p target
	@echo 'SECTIONS { /DISCARD/ : { *(EXCLUDE_FILE(*crt*.o) .eh_frame) } } INSERT AFTER .text;' > $(NO_UNWINDING)
	@target=$(STATIC_TARGET) flags='$(STATIC_FLAGS)'; \
	if test $$target = $(MUSL); then \
		libc=musl flags="$$flags $(PACKED)"; \
	else \
		libc='glibc; to use musl: rustup target add $(MUSL); apt-get install musl-tools'; \
		flags="$$flags -C target-feature=+crt-static"; \
		version=$$(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2); \
		if printf '2.36\n%s\n' "$$version" | sort -C -V; then flags="$$flags $(PACKED)"; fi; \
	fi; \
	cargo fetch --quiet --locked && \
	flags=$$(printf '%s\037' $$flags "--remap-path-prefix=$$PWD=/homelab" \
		"--remap-path-prefix=$$(rustc --print sysroot)/lib/rustlib/src/rust=/rust"; \
		for crates in "$${CARGO_HOME:-$$HOME/.cargo}"/registry/src/*; do \
			printf '%s\037' "--remap-path-prefix=$$crates=/crates"; \
		done) && \
	CARGO_ENCODED_RUSTFLAGS="$${flags%?}" \
		cargo build --release --locked --target-dir target --target $$target && \
	cp target/$$target/release/homelab $(STATIC) && \
	$(STATIC) --version >/dev/null && \
	echo "built $(STATIC) with $$libc"

# All files of a package have the time of the last commit, so that two builds give the same bytes. It is not
# exported: with another one cargo compiles C code again.
SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),315532800)

# What the static program contains, one line each: name, version, licence.
CRATES := target/CRATES
define list_crates
cargo tree --locked --target $(STATIC_TARGET) --edges normal,no-proc-macro --prefix none --no-dedupe \
	--format '{p}|{l}' > $(CRATES).all
{ \
	LC_ALL=C sort -u $(CRATES).all | sed -E 's/^([^ ]+) v([^ |]+)[^|]*/\1|\2/'; \
	rustc --version | sed -E 's/^rustc ([^ ]+).*/Rust standard library|\1|MIT OR Apache-2.0/'; \
	case $(STATIC_TARGET) in \
	*-musl) echo 'musl|of the Rust target|MIT' ;; \
	*) echo "glibc|$$(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2)|LGPL-2.1-or-later" ;; \
	esac; \
} | awk -F '|' '{ printf "%-22s  %-8s  %s\n", $$1, $$2, $$3 }' > $(CRATES)
endef

# The sums of the packages of this version that exist.
define write_sums
cd target && LC_ALL=C ls | grep -Fx -e $(notdir $(DEB)) -e $(notdir $(ARCHIVE)) | xargs sha256sum > SHA256SUMS
endef

# A '-' in a Debian version separates the revision; '~' sorts before the release, as a pre-release must.
DEB_ARCH = $(shell dpkg --print-architecture 2>/dev/null)
DEB = target/homelab_$(subst -,~,$(VERSION))_$(DEB_ARCH).deb
DEB_ROOT := target/deb
DEB_DOC := $(DEB_ROOT)/usr/share/doc/homelab
MAINTAINER ?= The homelab authors <homelab@localhost>

deb: deb-tools static ## build target/homelab_VERSION_ARCH.deb from the static program
	@rm -rf $(DEB_ROOT)
	@$(MAKE) --no-print-directory --silent install DESTDIR=$(DEB_ROOT) PREFIX=/usr \
		ZSH_COMPLETIONS=$(DEB_ROOT)/usr/share/zsh/vendor-completions
	@gzip -9n $(DEB_ROOT)/usr/share/man/man1/homelab.1
	@mkdir -p $(DEB_ROOT)/DEBIAN $(DEB_DOC)
	@cp -R fixtures/examples $(DEB_DOC)
	@$(list_crates)
	@{ cat LICENSE; printf '\nThe program contains:\n\n'; cat $(CRATES); } > $(DEB_DOC)/copyright
	@printf '%s\n' 'Package: homelab' 'Version: $(subst -,~,$(VERSION))' 'Architecture: $(DEB_ARCH)' \
		'Maintainer: $(MAINTAINER)' 'Section: admin' 'Priority: optional' 'Suggests: ca-certificates' \
		"Installed-Size: $$(find $(DEB_ROOT)/usr -type f -printf '%s\n' | awk '{ k += int(($$1 + 1023) / 1024) } END { print k }')" \
		"Description: $$(sed -n 's/^description = "\(.*\)"/\1/p' Cargo.toml)" \
		' A static program for scripts and cron jobs; its manual is homelab(1).' \
		> $(DEB_ROOT)/DEBIAN/control
	@chmod -R u=rwX,go=rX,a-s $(DEB_ROOT)
	@find $(DEB_ROOT) -exec touch -h -d @$(SOURCE_DATE_EPOCH) {} +
	@SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) dpkg-deb --root-owner-group -Zxz --build $(DEB_ROOT) $(DEB) >/dev/null
	@$(write_sums)
	@echo "built $(DEB)"

ARCHIVE = target/homelab-$(VERSION)-$(ARCH)-linux.tar.gz
ARCHIVE_ROOT = target/homelab-$(VERSION)-$(ARCH)-linux

dist: static ## build target/homelab-VERSION-ARCH-linux.tar.gz from the static program, and target/SHA256SUMS
	@rm -rf $(ARCHIVE_ROOT)
	@$(MAKE) --no-print-directory --silent install DESTDIR=$(ARCHIVE_ROOT) PREFIX=
	@$(list_crates)
	@cp LICENSE README.md $(CRATES) $(ARCHIVE_ROOT)
	@cd $(ARCHIVE_ROOT) && find * -type f | LC_ALL=C sort | xargs sha256sum > ../sums && mv ../sums SHA256SUMS
	@tar --format=ustar --sort=name --mtime=@$(SOURCE_DATE_EPOCH) --owner=0 --group=0 --numeric-owner \
		--mode=u=rwX,go=rX -C target -cf - $(notdir $(ARCHIVE_ROOT)) | gzip -9n > $(ARCHIVE)
	@$(write_sums)
	@echo "built $(ARCHIVE)"

test-dist: dist $(if $(DEB_ARCH),deb) ## build the packages again in another folder, and compare the bytes
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) tests/dist.sh $(ARCHIVE) $(if $(DEB_ARCH),$(DEB))

test-static: static $(if $(DEB_ARCH),deb) ## run it in an empty root; ROOTS="bullseye trixie": also in those Debian releases (as root)
	tests/static.sh $(STATIC) "$(if $(DEB_ARCH),$(DEB))" $(ROOTS)

bench: static bench-tools ## compare the static program with curl on this machine, in a table
	@cargo run --quiet --release --locked --example bench -- $(STATIC)

# An existing program is not built again: root may have another cargo, or none.
install: ## install program, completions and man page below DESTDIR/PREFIX (DESTDIR is empty and PREFIX /usr/local by default)
	@test -x $(STATIC) || $(MAKE) static
	install -D -m 755 $(STATIC) $(DESTDIR)$(PREFIX)/bin/homelab
	install -d $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS) $(FISH_COMPLETIONS) $(MAN1)
	$(STATIC) completions bash > $(BASH_COMPLETIONS)/homelab
	$(STATIC) completions zsh > $(ZSH_COMPLETIONS)/_homelab
	$(STATIC) completions fish > $(FISH_COMPLETIONS)/homelab.fish
	$(STATIC) help --man > $(MAN1)/homelab.1

tools: ## check that cargo and a C compiler are installed
	@command -v cargo >/dev/null || { \
		echo "cargo is missing; to install it: https://www.rust-lang.org/tools/install" >&2; \
		exit 1; }
	@command -v cc >/dev/null || { \
		echo "a C compiler is missing; on Debian: apt-get install gcc libc6-dev" >&2; \
		exit 1; }

bench-tools: ## check that curl and GNU time are installed
	@command -v curl >/dev/null && env time -f %M true >/dev/null 2>&1 || { \
		echo "curl or GNU time is missing; on Debian: apt-get install curl time" >&2; \
		exit 1; }

lint-tools: ## check that rustfmt and clippy are installed
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || { \
		echo "rustfmt or clippy is missing; to install them: rustup component add rustfmt clippy" >&2; \
		exit 1; }

deb-tools: ## check that dpkg-deb is installed
	@command -v dpkg-deb >/dev/null || { \
		echo "dpkg-deb is missing; only Debian and its derivatives have it" >&2; \
		exit 1; }
