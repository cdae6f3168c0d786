# Every target works on a machine with only Python >= 3.11 (with venv) and make; uv is used where it is there.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)
SEED := $(shell date +%s)
# Most tests wait for real servers: two to a core keep it busy.
TEST_PROCESSES ?= $(shell echo $$((2 * $$(nproc 2>/dev/null || echo 2))))
# uv brings a list of certificates of its own; trust what this machine trusts, as pip does.
export UV_SYSTEM_CERTS ?= 1
export UV_NATIVE_TLS ?= 1

.PHONY: help
help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

.PHONY: setup
setup: .venv/.dev ## Build .venv with everything: the gateway, embedded servers, test tools

# Two stages: what runs (enough for the demo), then what checks and tests it.
.venv/.run: requirements/run.txt pyproject.toml
	@$(MAKE) --no-print-directory install LOCK=requirements/run.txt
	@touch $@

.venv/.dev: requirements/dev.txt pyproject.toml
	@$(MAKE) --no-print-directory install LOCK=requirements/dev.txt
	@touch .venv/.run $@

.PHONY: install
install:
	@echo "Installing $(LOCK) into .venv"
ifdef UV
	@test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) .venv
	@VIRTUAL_ENV=.venv uv pip install --quiet --compile-bytecode --require-hashes -r $(LOCK)
	@VIRTUAL_ENV=.venv uv pip install --quiet --no-deps --no-build-isolation -e .
else
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation -e .
endif

.PHONY: demo
demo: .venv/.run ## Watch a messy feed travel through the gateway by both ways, and see it proven
	@$(BIN)/python -m ops.devstack demo

.PHONY: up
up: .venv/.run ## Start the whole stack on free ports and keep it up (Ctrl-C stops it)
	@$(BIN)/python -m ops.devstack up

.PHONY: check
check: .venv/.dev ## Formatting, lint, types and layers (under a minute)
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports
	@$(BIN)/mypy

# The core's own tests run beside the others; what they said is shown when those are done. Modules are
# compiled once, and not again by each of some hundred processes.
.PHONY: test
test: export PYTHONDONTWRITEBYTECODE :=
test: .venv/.dev ## Every test, on real servers (under four minutes)
	@log=$$(mktemp) && { $(MAKE) --no-print-directory core >$$log 2>&1 & } && core=$$!; \
	trap 'kill $$core' INT TERM; \
	echo "Everything but the deciding core, on real servers"; \
	$(BIN)/python -m compileall -q gateway listings sync_old sync_new ops tests; \
	$(OTHERS) --collect-only >/dev/null; \
	$(OTHERS) --numprocesses $(TEST_PROCESSES) --dist loadfile; others=$$?; \
	wait $$core; core=$$?; cat $$log; rm -f $$log; \
	test $$core -eq 0 -a $$others -eq 0

OTHERS := $(BIN)/python -m pytest -q --ignore tests/unit/core

.PHONY: core
core: .venv/.dev ## The deciding core alone: every branch, from its own unit tests
	@echo "The deciding core: every branch, from its own unit tests"
	@$(BIN)/coverage run -m pytest -q tests/unit/core
	@$(BIN)/coverage report --format=total >/dev/null || { $(BIN)/coverage report --skip-covered; exit 1; }

.PHONY: soak
soak: .venv/.dev ## The same tests at full count; prints its seed and result
	@echo "seed $(SEED)  (repeat it with: make soak SEED=$(SEED))"
	@SYNCGATE_SOAK=1 $(BIN)/python -m pytest --timeout 7200 --hypothesis-seed $(SEED)

.PHONY: bench
bench: .venv/.dev ## CPU per request side by side with nginx, and the evidence tables
	@$(BIN)/python -m tests.bench

.PHONY: lock
lock: ## Renew the hashed lock files (needs uv)
	uv pip compile $(LOCKFLAGS) pyproject.toml --group servers --group build -o requirements/run.txt
	uv pip compile $(LOCKFLAGS) pyproject.toml --group dev -o requirements/dev.txt

LOCKFLAGS := --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url \
	--no-emit-find-links --no-annotate --custom-compile-command "make lock"
