# Everything a checkout needs comes from here: a virtual environment with hashed packages, and Debian's prometheus.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TESTS ?= tests
# One process of tests per core, four at most: many of them start servers of their own.
WORKERS ?= logical --maxprocesses 4

.PHONY: help benchmark demo test lint types layers unit format lock clean

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
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile $(TESTS)

.PHONY: cpu-stack
cpu-stack: $(VENV)/.dev system ## Scale a real serving stack: Dynamo with mock workers, Prometheus, load from a trace; 3 min
	@$(MAKE) --no-print-directory -C tests/cpu_stack test PYTHON=$(PYTHON) OURS=$(abspath $(BIN))/python ARGS="$(ARGS)"

benchmark: $(VENV)/.dev ## The contest against every baseline, hours; resumes. TRACES=folder ARGS="--minutes 60"
	$(BIN)/python -m benchmarks.contest.main $(ARGS)

format: $(VENV)/.dev ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: golden
golden: $(VENV)/.dev ## Write the golden decisions again; review the diff
	$(BIN)/python -m tests.golden.golden

lock: ## Renew the hashed requirement files
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	  --extra otel pyproject.toml -o requirements/run.txt
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	  --extra fast pyproject.toml -c requirements/run.txt -o requirements/demo.txt
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	  --extra fast --extra otel --group dev pyproject.toml -c requirements/run.txt -o requirements/dev.txt
	echo hatchling | uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	  --custom-compile-command "make lock" - -c requirements/dev.txt -o requirements/build.txt
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	  --group docs pyproject.toml -c requirements/dev.txt -o requirements/docs.txt

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

$(VENV)/.docs: requirements/docs.txt $(VENV)/.dev
	@scripts/venv.sh $(PYTHON) $(VENV) requirements/docs.txt
	@touch $@

.PHONY: docs docs-serve pictures
docs: $(VENV)/.docs ## Build the documentation strictly, into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --site-dir build/site

docs-serve: $(VENV)/.docs ## Show the documentation while you write it
	$(BIN)/python -m mkdocs serve

pictures: $(VENV)/.docs ## Draw the dashboards as docs/dashboards.md shows them, after a change of one
	$(BIN)/python -m scripts.dashboard_pictures

.PHONY: audit
audit: ## Look for known vulnerabilities in what the daemon installs; skipped, with a word, where nobody can be asked
	@scripts/audit.sh $(PYTHON) build/audit requirements/run.txt

.PHONY: audit-test
audit-test: audit ## The audit itself, on a stand-in for the database
	$(BIN)/pytest -q tests/release/test_audit.py

clean: ## Remove what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

IMAGE ?= ghcr.io/pd-autoscaler/pd-autoscaler
PLATFORMS ?= linux/amd64,linux/arm64
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' autoscaler/__init__.py)
COMMIT := $(shell git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null || echo unknown)
BUILD_ARGS = --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT)

.PHONY: image image-all image-test kind kind-down manifests sbom
image: ## Build the container image for this machine
	docker build $(BUILD_ARGS) --tag $(IMAGE):$(VERSION) .

image-all: ## Build it for all platforms and push it, with its SBOM and provenance
	docker buildx build $(BUILD_ARGS) --platform $(PLATFORMS) --sbom=true --provenance=true --tag $(IMAGE):$(VERSION) --push .

manifests: $(VENV)/.dev ## Write what in deploy/ follows from policies, rules and dashboards
	PYTHONPATH=. $(BIN)/python scripts/manifests.py

kind: ## A cluster on this machine with simulated vLLM pods under load, and the autoscaler; needs docker, kind, kubectl
	@deploy/examples/kind/run.sh up

kind-down: ## Take it away
	@deploy/examples/kind/run.sh down

sbom: $(VENV)/.dev ## Software bill of materials of the packages in the image: dist/sbom.cdx.json
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements --output-reproducible --of JSON --pyproject pyproject.toml -o dist/sbom.cdx.json \
	  requirements/run.txt

image-test: $(VENV)/.dev ## Build the image without an engine, on a stand-in for its base, and look into it
	@scripts/image-test.sh $(VENV) $(VERSION) $(COMMIT)

TAG ?=
.PHONY: release
release: $(VENV)/.dev ## Build what is released into dist/: wheel, sdist, chart, CRD, SBOM, notes, checksums; the image where an engine is
	rm -rf dist
	@$(MAKE) --no-print-directory sbom
	$(BIN)/python scripts/release.py dist $(if $(TAG),--tag $(TAG))
	@if docker info >/dev/null 2>&1; then $(MAKE) image; else echo "no container engine here: no image" >&2; fi

.PHONY: dashboards grafana-types
dashboards: $(VENV)/.dev ## Write dashboards/*.json and docs/metrics.md from the code that makes them
	$(BIN)/python -m dashboards.generator
	$(BIN)/python -m autoscaler.daemon.metrics >docs/metrics.md

grafana-types: ## Type-check the dashboards against Grafana's own schema package; needs Node
	tests/dashboards/grafana/check.sh
