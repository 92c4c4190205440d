# Needs python3 (3.11 or newer) with pip, git and make. uv and node come from PyPI where the machine has none.
# Arguments for the command behind a target go into ARGS: make demo ARGS="--answer approve", make test ARGS="-k audit".
PYTHON ?= python3
PY := .venv/bin/python
UV := $(or $(shell command -v uv 2>/dev/null),.venv/bin/uv)
BUILD := pyproject.toml hatch_build.py $(wildcard web/*.json web/*.mjs web/src/*)
QUICK := $(wildcard tests/unit tests/property tests/conformance)
LOCK := $(UV) pip compile -q --universal --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" $(ARGS)
# uv and npm bring certificates of their own; where the machine keeps a store, trust what it trusts (company proxies).
CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt)
ifneq ($(CERTIFICATES),)
export UV_SYSTEM_CERTS ?= 1
export NODE_EXTRA_CA_CERTS ?= $(CERTIFICATES)
endif
# One process a core. Faults are played one at a time: what they kill is meant to come back while somebody
# waits for it; FAULT_JOBS=2 halves their time on a machine with nothing else to do. Status 5: ARGS chose
# none of them.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
FAULT_JOBS ?= 0
# They are found by their mark: reading all tests for them costs half a minute.
FAULTY = $(sort $(shell grep -rl --include='test_*.py' 'mark\.faults' tests))
# Compiling the tests is most of collecting them: the second run reads what the first has left.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help demo test test-agents check static web-check bench soak lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: .venv/.run ## server, inbox and an example agent on a real repository; a handoff waits for you
	@$(PY) -m handfast demo $(ARGS)

test: static web-check ## every test but those with a real agent binary; PostgreSQL and Chromium where the machine has them
	@$(PY) -m pytest -m "not agents and not faults" -n $(JOBS) --dist worksteal $(ARGS) || test $$? -eq 5
	@$(PY) -m pytest -m "faults and not agents" -n $(FAULT_JOBS) --dist worksteal $(FAULTY) $(ARGS) || test $$? -eq 5
	@echo "Not run here: tests that drive a real agent binary (make test-agents)."

test-agents: .venv/.agents ## the tests that drive the real claude binary, against a model server on loopback
	@$(PY) -m pytest -m agents $(ARGS)

check: static ## format, lint, types, import contracts, and the unit, property and conformance tests
	@$(PY) -m pytest -q -m "not agents and not slow" -n $(JOBS) --dist worksteal $(QUICK) $(ARGS)

static: .venv/.dev
	@$(PY) -m ruff format --check --quiet . || { echo "Run: .venv/bin/ruff format ."; exit 1; }
	@$(PY) -m ruff check --quiet .
	@$(PY) -m mypy src tests hatch_build.py $(wildcard bench)
	@.venv/bin/lint-imports --no-logo >.venv/.imports 2>&1 || { cat .venv/.imports; exit 1; }

# The types of the browser script; the compiler is an npm package, so this needs a node on the machine.
web-check: $(wildcard web/src/* web/*.json)
	@if command -v npm >/dev/null && command -v node >/dev/null; then \
	  cd web && { test -x node_modules/.bin/tsc || npm ci --silent; } && node_modules/.bin/tsc --noEmit; \
	else echo "Not run here: types of web/src (no node on this machine)."; fi

bench: .venv/.run ## measured figures beside floors and peers; ARGS names parts: docs/benchmarks.md
	@$(PY) -m bench $(ARGS)

soak: .venv/.dev ## random load and faults, each round proved: ARGS="--minutes 30 --seed 1 --database postgres"
	@$(PY) -m tests.faults.soak $(ARGS)

lock: .venv/.uv ## resolve the lock files again; ARGS=--upgrade takes newer versions
	@$(LOCK) pyproject.toml --extra postgres -o requirements.lock
	@$(LOCK) pyproject.toml --extra postgres --extra otel --extra apprise --extra tui --group dev -c requirements.lock -o requirements-dev.lock
	@$(LOCK) --group pyproject.toml:agents -c requirements-dev.lock -o requirements-agents.lock
	@$(LOCK) bench/peers/requirements.in -o bench/peers/requirements.lock
	@if command -v npm >/dev/null; then cd web && npm install --silent --package-lock-only; fi

clean: ## remove what the other targets made
	rm -rf .venv .venv-peers src/handfast/server/web/dist web/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# pip installs uv into the new environment from outside: an environment without a pip of its own is made in a blink.
.venv/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Handfast needs Python 3.11 or newer; name one: make PYTHON=python3.13 ..."; exit 1; }
	@test -x $(PY) || { echo "making .venv" && $(PYTHON) -m venv --without-pip .venv; }
	@command -v uv >/dev/null || test -x .venv/bin/uv || \
	  $(PYTHON) -m pip --python $(PY) install -q --disable-pip-version-check uv
	@touch $@

# What the demo and the product need.
.venv/.run: .venv/.uv requirements.lock $(BUILD)
	@echo "installing"
	@test -e .venv/.dev || $(UV) pip install -q -p $(PY) -r requirements.lock
	@$(UV) pip install -q -p $(PY) --no-deps -e .
	@touch $@

# And what the tests and checks need.
.venv/.dev: .venv/.uv requirements-dev.lock $(BUILD)
	@echo "installing the tools for tests and checks"
	@$(UV) pip install -q -p $(PY) -r requirements-dev.lock
	@$(UV) pip install -q -p $(PY) --no-deps -e .
	@touch $@ .venv/.run

.venv/.agents: .venv/.dev requirements-agents.lock
	@echo "installing the agent binaries (about 170 MB)"
	@$(UV) pip install -q -p $(PY) -r requirements-agents.lock
	@touch $@
