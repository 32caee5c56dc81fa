# Sportello's commands. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
PIP := $(RUN) pip -qq --disable-pip-version-check
PYTHON ?= python3.13 python3.12 python3.11 python3
# Passed on by `make run`, `test`, `test-fast`, `faults` and `bench`: make run ARGS="--port 8080"
ARGS ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

# --- environment -----------------------------------------------------------------------------

.PHONY: setup
setup: $(VENV)/dev.stamp ## Create .venv with everything pinned (PYTHON=... chooses the interpreter)
	@echo "Ready: $(VENV) with $$($(BIN)/python --version)"

# Where the Python behind .venv went away, as after a system upgrade, everything is made anew.
$(if $(wildcard $(BIN)/python),,$(shell rm -f $(VENV)/*.stamp))

$(BIN)/python:
	@python=$$(tools/find-python $(PYTHON)); echo "Creating $(VENV) with $$python"; \
		"$$python" -m venv --clear $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "Installing the pinned dependencies"
	@$(PIP) install --require-hashes --requirement requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "Installing the pinned tools for tests and checks"
	@$(PIP) install --require-hashes --requirement requirements/dev.txt
	@touch $@

.PHONY: frontend
frontend: $(VENV)/run.stamp ## Build the pages' styles and scripts, if their sources changed
	@$(BIN)/python tools/frontend.py

# One release a week old at the youngest; the recorded versions stay unless UPGRADE=--upgrade.
COOLDOWN = $(shell date -u -d '7 days ago' +%Y-%m-%dT00:00:00Z)
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-annotate --no-header --exclude-newer $(COOLDOWN) $(UPGRADE)
RUNTIME := pyproject.toml --all-extras --group build

.PHONY: lock
lock: $(VENV)/dev.stamp ## Pin the dependencies of pyproject.toml again (UPGRADE=--upgrade for newer ones)
	@$(COMPILE) $(RUNTIME) --output-file requirements/run.txt
	@$(COMPILE) $(RUNTIME) --group test --group lint --constraints requirements/run.txt \
		--output-file requirements/dev.txt
	@$(COMPILE) --group node --output-file requirements/node.txt
	@git --no-pager diff --stat -- requirements

# --- the product -----------------------------------------------------------------------------

.PHONY: run
run: frontend ## Start the demo: five desks, made-up people, mail that only the catcher gets
	@exec $(BIN)/sportello demo $(ARGS)

# --- checks and tests ------------------------------------------------------------------------

# For tools that say much when all is well: show what they said only when they fail.
QUIETLY = said=$$($(1) 2>&1) || { echo "$$said"; exit 1; }
SLOW := postgres or rabbitmq or browser or faults or slow

.PHONY: check
check: check-code check-types check-layers check-packages check-pages check-secrets ## Lint, types, layers, dependencies, templates, secrets (-k: do not stop at the first)

.PHONY: check-code
check-code: $(VENV)/dev.stamp
	@echo "ruff"; $(BIN)/ruff check --quiet; $(BIN)/ruff format --quiet --check

.PHONY: check-types
check-types: $(VENV)/dev.stamp
	@echo "mypy"; $(BIN)/mypy --no-error-summary

.PHONY: check-layers
check-layers: $(VENV)/dev.stamp
	@echo "import-linter"; $(call QUIETLY,$(BIN)/lint-imports --no-cache)

.PHONY: check-packages
check-packages: $(VENV)/dev.stamp
	@echo "deptry"; $(call QUIETLY,$(BIN)/deptry .)

.PHONY: check-pages
check-pages: $(VENV)/dev.stamp
	@echo "djlint"; $(call QUIETLY,$(BIN)/djlint portal/templates --quiet --lint)

.PHONY: check-secrets
check-secrets: $(VENV)/dev.stamp
	@echo "detect-secrets"; tools/check-secrets

.PHONY: format
format: $(VENV)/dev.stamp ## Format the code and the templates, and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix || true
	@$(BIN)/ruff format --quiet
	@$(BIN)/djlint portal/templates --quiet --reformat || true

.PHONY: test
test: $(VENV)/dev.stamp frontend browser ## All tests, with coverage (PostgreSQL, RabbitMQ and Chromium too)
	@$(RUN) pytest --cov --cov-report=term:skip-covered $(ARGS)

.PHONY: test-fast
test-fast: $(VENV)/dev.stamp frontend ## The tests that need nothing but this environment
	@$(RUN) pytest -m "not ($(SLOW))" $(ARGS)

.PHONY: faults
faults: $(VENV)/dev.stamp frontend ## Kill, cut and fill up many times; prints what was lost or doubled
	@$(RUN) tests.faults $(ARGS)

.PHONY: browser
browser:
	@tools/install-browser

.PHONY: secrets
secrets: $(VENV)/dev.stamp ## Record today's false alarms of detect-secrets; review the diff
	@tools/check-secrets --accept
	@git --no-pager diff --stat -- .secrets.baseline

.PHONY: screenshots
screenshots: $(VENV)/dev.stamp frontend browser ## Take the pictures of the documentation again
	@$(RUN) tests.browser.screenshots

# --- measurements ----------------------------------------------------------------------------

.PHONY: bench
bench: $(VENV)/dev.stamp frontend ## Measure; prints ratios of one run
	@$(RUN) bench $(ARGS)

.PHONY: bench-peers
bench-peers: $(VENV)/dev.stamp ## Install the programs that bench compares with, each apart
	@$(RUN) bench.peers

.PHONY: clean
clean: ## Remove the environment and everything built; data in var/ stays
	@rm -rf $(VENV) build dist htmlcov .coverage .*_cache portal/static/dist portal/frontend/node_modules
