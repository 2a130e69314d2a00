# Every command a newcomer needs. `make help` lists them.

# What `make up` starts: the preset that is asked for, else the one with a database.
UP       := $(or $(PRESET),per-api-key)
PRESET   ?= random-number
LISTEN   ?=
UPSTREAM ?=
DATA     ?= tollgate-data
VENV     := target/venv
FASTAPI  := 127.0.0.1:8001
CARGO    := cargo
# ENGINE=none is a process even so; an upstream that is asked for is on this machine, where containers do not see it.
HAS_ENGINE = { test "$(ENGINE)" != none && test -z "$(UPSTREAM)" && scripts/containers compose $(UP) config >/dev/null; }
# Models have builds of their own; scripts/planted-bugs shares them.
MODELS   := RUSTFLAGS="--cfg loom" CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 \
            $(CARGO) test --locked --target-dir target/models -p tollgate --lib
export TOLLGATE_VENV := $(abspath $(VENV))
export PATH := $(PATH):$(abspath $(VENV))/bin

.DEFAULT_GOAL := help
.PHONY: help run init build dist image up cluster down bash test tests test-deploy soak models lint bench bench-engine \
        tools-run tools-test tools-deploy

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16
	@echo '  with PRESET=$(PRESET) DATA=$(DATA) LISTEN=(what the preset says) UPSTREAM=(likewise; a URL, or fastapi for make run)'

run: tools-run ## build and serve a preset: PRESET=… LISTEN=0.0.0.0:8000 UPSTREAM=fastapi
	$(CARGO) build --locked --release -p tollgate-cli
ifeq ($(UPSTREAM),fastapi)
	$(MAKE) --no-print-directory $(VENV)/installed
	scripts/with-fastapi $(VENV) $(FASTAPI) target/release/tollgate serve --preset $(PRESET) $(if $(LISTEN),--listen $(LISTEN)) --data $(DATA) --upstream http://$(FASTAPI)/random
else
	target/release/tollgate serve --preset $(PRESET) $(if $(LISTEN),--listen $(LISTEN)) --data $(DATA) $(if $(UPSTREAM),--upstream $(UPSTREAM))
endif

init: build ## write ./tollgate.toml from PRESET, to start rules of your own
	target/release/tollgate init $(PRESET)

build: tools-run ## the release binary, target/release/tollgate
	$(CARGO) build --locked --release -p tollgate-cli

dist: tools-run ## one static binary with checksums, completions and licences, in target/dist
	CARGO="$(CARGO)" scripts/dist

image: dist ## the container image, localhost/tollgate:latest
	scripts/containers image

up: ## start a preset in containers (PRESET=per-api-key with MariaDB), or without an engine (or ENGINE=none) as a process
	@if $(HAS_ENGINE); then \
	  $(MAKE) --no-print-directory image && TOLLGATE_PUBLISH=$(LISTEN) scripts/containers compose $(UP) up -d \
	  && echo "$(UP) runs in containers; \`make down PRESET=$(UP)\` stops it"; \
	else \
	  $(MAKE) --no-print-directory build && scripts/background up $(UP) $(DATA) "$(LISTEN)" "$(UPSTREAM)"; \
	fi

cluster: build ## two gateways and one Redis that share a limit, on ports 8001 and 8002, until Ctrl-C
	@scripts/install-tools redis
	examples/cluster/run

down: ## stop what `make up` started
	@if test -f $(DATA)/pid; then scripts/background down $(DATA); else scripts/containers compose $(UP) down; fi

bash: ## a shell beside what `make up` started, with `tollgate` on its path and its data
	@if test -f $(DATA)/pid || ! $(HAS_ENGINE) 2>/dev/null; then \
	  PATH="$(abspath target/release):$$PATH" TOLLGATE_DATA="$(abspath $(DATA))" bash; \
	else \
	  scripts/containers tools-image >&2 && scripts/containers compose $(UP) --profile tools run --rm $$(test -t 0 || echo -T) tools; \
	fi

test: tools-test tools-lint ## everything that is promised, at a size that ends in minutes
	$(MAKE) --no-print-directory lint
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	$(CARGO) test --locked --workspace --doc
	CARGO="$(CARGO)" scripts/api check
	$(CARGO) nextest run --locked --workspace
	$(VENV)/bin/python -m unittest discover --start-directory tests/docs
	$(CARGO) nextest run --locked --package tollgate-cli --features otlp --test otlp
	$(MODELS) -- --quiet models
	cd bench && $(CARGO) fmt --check && $(CARGO) clippy --locked --all-targets -- -D warnings && $(CARGO) test --locked --quiet
	node --test tests/browser/pages.test.mjs tests/browser/console.test.mjs
	$(MAKE) --no-print-directory dist
	scripts/check-release target/dist/image/tollgate
	$(MAKE) --no-print-directory test-deploy

test-deploy: tools-deploy ## what stands in deploy/: image, compose files, manifests, of target/dist (a minute)
	$(VENV)/bin/python -m unittest discover --start-directory tests/deploy

tests: test ## the same

soak: models ## the law at full size: ten million decisions of each algorithm (TOLLGATE_SEED repeats a run), a hundred kills, and the models
	TOLLGATE_SCALE=$(or $(SCALE),250) $(CARGO) nextest run --profile soak --release --locked -p tollgate algorithms penalties beside_step stress
	TOLLGATE_SCALE=$(or $(STEPS),50) $(CARGO) nextest run --profile soak --release --locked -p tollgate-redis store::tests
	TOLLGATE_SCALE=$(or $(KILLS),34) $(CARGO) nextest run --profile soak --locked -p tollgate-cli crash

models: tools-test ## the orders in which threads can meet in a cell; and that the models find bugs that are planted
	$(MODELS) -- --quiet models
	scripts/planted-bugs

lint: tools-lint ## formatting, clippy, spelling, scripts, Containerfiles, YAML, licences and sources of dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --package tollgate-cli --all-targets --features otlp -- -D warnings
	scripts/lint

book: tools-lint ## the pages of docs/ as a book, in target/book
	mdbook build

msrv: tools-run ## compile with the oldest Rust that is promised, where rustup has it
	@oldest=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml); \
	toolchain=$$(rustup toolchain list 2>/dev/null | grep -oE "^$$oldest(\.[0-9]+)?" | head -n 1); \
	if [ -n "$$toolchain" ]; then RUSTUP_TOOLCHAIN=$$toolchain $(CARGO) check --locked --workspace --target-dir target/msrv; \
	else echo "msrv: rustup has no $$oldest here; \`rustup toolchain install $$oldest\` brings it"; fi

api: tools-run ## renew api/, the listing of what the published crates offer
	CARGO="$(CARGO)" scripts/api write

bench: build bench/target/peers ## beside nginx, Redis, throttlecrab and tonic, in one run each (Debian's nginx, wrk and redis)
	scripts/install-tools nginx wrk redis
	cd bench && $(CARGO) build --locked --release --bin grpc-load --bin grpc-ok
	python3 bench/gateway.py
	python3 bench/service.py

# Its gRPC is built with protoc; without one it says so and has none.
bench/target/peers:
	cd bench && $(CARGO) install throttlecrab-server --version 0.4.40 --locked --root target/peers

bench-engine: tools-run ## decisions in memory beside governor, throttlecrab and others (QUICK=1: within five minutes)
	cd bench && $(CARGO) build --locked --release && $(CARGO) run --locked --release --quiet

tools-run:
	@scripts/install-tools cc

tools-test: $(VENV)/installed tests/browser/node_modules tests/clients/node_modules
	@scripts/install-tools cc curl chromium postgres mariadb redis openssl nextest

tools-deploy: $(VENV)/deploy
	@scripts/install-tools podman nginx caddy openssl systemd curl mariadb redis prometheus

tools-lint: $(VENV)/lint
	@scripts/install-tools cc shellcheck

$(VENV)/lint: tests/lint/requirements.txt $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --requirement $<
	@touch $@

$(VENV)/deploy: tests/deploy/requirements.txt $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --requirement $<
	@touch $@

$(VENV)/installed: examples/random-number/fastapi/requirements.txt tests/requirements.txt
	@scripts/install-tools python3-venv
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet $(^:%=--requirement %)
	@touch $@

tests/clients/node_modules: tests/clients/package.json
	@scripts/install-tools node
	cd tests/clients && npm ci --silent --no-audit --no-fund
	@touch $@

tests/browser/node_modules: tests/browser/package.json
	@scripts/install-tools node
	cd tests/browser && npm ci --silent --no-audit --no-fund
	@touch $@
