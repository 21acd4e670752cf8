# What to run from a fresh clone. Needs make, git and Python 3.11 or later; everything else is installed into
# .venv, and each target brings itself up to date with pyproject.toml first.

PYTHON ?= python3
VENV   ?= .venv
BENCH  ?= .bench-venv
ARGS   ?=

export PYTHON

BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run test lint check bench docs api format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Options for the program behind a target go into ARGS, as in: make test ARGS='tests/wire -k json'"

run: $(VENV)/.core ## Install and serve (the first start makes the account and its keys)
	$(BIN)/casemate serve $(ARGS)

test: $(VENV)/.dev ## Run the tests (PostgreSQL and SoftHSM2 included)
	@tools/system-packages tests
	$(BIN)/pytest $(ARGS)

lint: $(VENV)/.dev ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/pyright

check: lint ## What CI runs: lint, then test
	@$(MAKE) --no-print-directory test

bench: $(BENCH)/.bench ## Measure Casemate beside its peers and write the table of docs/benchmarks.md
	@tools/system-packages bench
	$(BENCH)/bin/python bench/run.py $(ARGS)

docs: $(VENV)/.docs ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

api: $(VENV)/.dev ## Generate casemate/api/ from AWS's models and references, and the docs' tables of what is served
	$(BIN)/python tools/generate_api.py
	$(BIN)/python tools/generate_reference.py
	$(BIN)/python tools/served_operations.py

format: $(VENV)/.dev ## Format the code and fix what can be fixed by itself
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

clean: ## Remove what was built or installed; data is left alone
	rm -rf $(VENV) $(BENCH) site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# A stamp is older than pyproject.toml when something is to be installed. The groups need pip 25.1.
$(VENV)/bin/python:
	@tools/system-packages venv
	$(PYTHON) -m venv $(VENV)

$(VENV)/.pip: | $(VENV)/bin/python
	$(BIN)/python $(PIP) --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.core: pyproject.toml $(VENV)/.pip
	$(BIN)/python $(PIP) --editable .
	@$(BIN)/python -m compileall -q casemate  # or the first start takes twice as long
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.pip
	$(BIN)/python $(PIP) --editable '.[encryption,lambda,objectstore,pkcs11,rotation,saml,postgresql]' --group dev
	@touch $@ $(VENV)/.core

$(VENV)/.docs: pyproject.toml $(VENV)/.pip
	$(BIN)/python $(PIP) --group docs
	@touch $@

# The peers' dependencies must not meddle with ours: a virtual environment of their own.
$(BENCH)/bin/python:
	@tools/system-packages venv
	$(PYTHON) -m venv $(BENCH)

$(BENCH)/.bench: pyproject.toml | $(BENCH)/bin/python
	$(BENCH)/bin/python $(PIP) --upgrade 'pip>=25.1'
	$(BENCH)/bin/python $(PIP) --editable '.[postgresql]' --group bench
	@touch $@
