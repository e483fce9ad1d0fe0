# Everything a checkout needs comes from here: a virtual environment with hashed packages, and Debian's prometheus.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TESTS ?= tests

.PHONY: help demo test lint types layers unit format lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.demo ## Run the main job on a simulated service: no Prometheus, no cluster
	@$(BIN)/python -m autoscaler demo $(ARGS)

test: $(VENV)/.dev system lint types layers unit ## Install what the tests need and run every check

lint: $(VENV)/.dev ## Style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## Strict types
	$(BIN)/mypy

layers: $(VENV)/.dev ## Imports point downwards only
	$(BIN)/lint-imports

unit: $(VENV)/.dev ## Tests alone; TESTS=path narrows them
	$(BIN)/pytest $(TESTS)

format: $(VENV)/.dev ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Renew the hashed requirement files
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	  pyproject.toml -o requirements/run.txt
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	  --extra fast pyproject.toml -c requirements/run.txt -o requirements/demo.txt
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	  --extra fast --group dev pyproject.toml -c requirements/run.txt -o requirements/dev.txt

.PHONY: system
system: ## Debian packages that the tests start
	@scripts/system.sh

$(VENV)/.demo: requirements/demo.txt
	@scripts/venv.sh $(PYTHON) $(VENV) requirements/demo.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml
	@scripts/venv.sh $(PYTHON) $(VENV) requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.demo

clean: ## Remove what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
