# Every command a newcomer needs. `make help` lists them.

LISTEN   ?=
PRESET   ?= random-number
UPSTREAM ?=
DATA     ?= tollgate-data
VENV     := target/venv
FASTAPI  := 127.0.0.1:8001
CARGO    := cargo
# Models have builds of their own; scripts/planted-bugs shares them.
MODELS   := RUSTFLAGS="--cfg loom" CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 \
            $(CARGO) test --locked --target-dir target/models -p tollgate --lib
export TOLLGATE_VENV := $(abspath $(VENV))

.DEFAULT_GOAL := help
.PHONY: help run init build up cluster down bash test tests soak models lint bench bench-engine tools-run tools-test

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

up: build ## start PRESET in the background (no container engine is needed)
	@if target/release/tollgate health --data $(DATA) >/dev/null 2>&1; then echo "one is running with DATA=$(DATA) already"; exit 1; fi
	@mkdir -p $(DATA) && { nohup target/release/tollgate serve --preset $(PRESET) $(if $(LISTEN),--listen $(LISTEN)) --data $(DATA) $(if $(UPSTREAM),--upstream $(UPSTREAM)) >$(DATA)/out.log 2>&1 & echo $$! >$(DATA)/pid; }
	@for try in 1 2 3 4 5 6 7 8 9 10; do target/release/tollgate health --data $(DATA) >/dev/null 2>&1 && break; sleep 0.3; done
	@cat $(DATA)/out.log; target/release/tollgate health --data $(DATA)

cluster: build ## two gateways and one Redis that share a limit, on ports 8001 and 8002, until Ctrl-C
	@scripts/install-tools redis
	examples/cluster/run

down: ## stop what `make up` started
	@test -f $(DATA)/pid || { echo "nothing was started with DATA=$(DATA)"; exit 1; }
	@kill -TERM $$(cat $(DATA)/pid) 2>/dev/null && echo stopped || echo "it had ended already"; rm -f $(DATA)/pid

bash: ## a shell beside the running gateway, with `tollgate` on its path and its data directory set
	@PATH="$(abspath target/release):$$PATH" TOLLGATE_DATA="$(abspath $(DATA))" bash

test: tools-test ## everything that is promised, at a size that ends in minutes
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	$(CARGO) test --locked --workspace --doc
	$(CARGO) nextest run --locked --workspace
	$(MODELS) -- --quiet models
	cd bench && $(CARGO) fmt --check && $(CARGO) clippy --locked --all-targets -- -D warnings && $(CARGO) test --locked --quiet
	node --test tests/browser/pages.test.mjs tests/browser/console.test.mjs
	$(CARGO) build --locked --release -p tollgate-cli
	scripts/check-release target/release/tollgate

tests: test ## the same

soak: models ## the law at full size: ten million decisions of each algorithm (TOLLGATE_SEED repeats a run), a hundred kills, and the models
	TOLLGATE_SCALE=$(or $(SCALE),250) $(CARGO) nextest run --release --locked -p tollgate algorithms penalties beside_step stress
	TOLLGATE_SCALE=$(or $(STEPS),50) $(CARGO) nextest run --release --locked -p tollgate-redis store::tests
	TOLLGATE_SCALE=$(or $(KILLS),34) $(CARGO) nextest run --locked -p tollgate-cli crash

models: tools-test ## every order in which threads can meet in a cell; and that the models find bugs that are planted
	$(MODELS) -- --quiet models
	scripts/planted-bugs

lint: ## formatting and clippy alone
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

bench: build ## beside nginx and a Redis server, in one run each (Debian's nginx, wrk and redis)
	scripts/install-tools nginx wrk redis
	python3 bench/gateway.py
	python3 bench/service.py

bench-engine: tools-run ## decisions in memory beside governor, throttlecrab and others (QUICK=1: within five minutes)
	cd bench && $(CARGO) build --locked --release && $(CARGO) run --locked --release --quiet

tools-run:
	@scripts/install-tools cc

tools-test: $(VENV)/installed tests/browser/node_modules tests/clients/node_modules
	@scripts/install-tools cc curl chromium postgres mariadb redis openssl nextest

$(VENV)/installed: examples/random-number/fastapi/requirements.txt tests/requirements.txt
	@scripts/install-tools python3-venv
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet $(^:%=--requirement %)
	@touch $@

tests/clients/node_modules: tests/clients/package.json
	@scripts/install-tools node
	cd tests/clients && npm ci --silent --no-audit --no-fund
	@touch $@

tests/browser/node_modules: tests/browser/package.json
	@scripts/install-tools node
	cd tests/browser && npm ci --silent --no-audit --no-fund
	@touch $@
