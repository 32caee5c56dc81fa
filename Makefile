# Sportello's commands. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
PYTHON ?= python3.13 python3.12 python3.11 python3
ARGS ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environment -----------------------------------------------------------------------------

.PHONY: setup
setup: $(VENV)/dev.stamp ## Create .venv with everything pinned (PYTHON=… chooses the interpreter)

$(BIN)/python:
	@python=$$(tools/find-python $(PYTHON)); echo "Creating $(VENV) with $$python"; "$$python" -m venv --clear $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "Installing the pinned dependencies"
	@$(PIP) install --require-hashes --requirement requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "Installing the pinned tools for tests and checks"
	@$(PIP) install --require-hashes --requirement requirements/dev.txt
	@touch $@
