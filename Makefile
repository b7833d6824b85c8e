# `make help` explains the targets. Everything is installed into .venv; nothing else on the machine is changed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help up down check test lab-test soak scan lint types imports format reference lock bench clean

help: ## explain the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The stamps are newer than the lock files once what those pin is installed.
$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing what chaosctl needs into $(VENV) (about a minute)"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "installing what the tests need into $(VENV)"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

up: $(VENV)/.installed ## set everything up and deploy to the lab on this machine (root)
	$(BIN)/chaosctl up

down: $(VENV)/.installed ## remove what `make up` deployed, and the lab
	$(BIN)/chaosctl down

test: check lab-test ## everything that CI runs: check, then end to end on the lab (root)

check: lint types imports ## the fast part: ruff, mypy, import-linter, unit and contract tests
	$(BIN)/pytest tests/unit tests/contract

lab-test: $(VENV)/.installed-dev ## the tests that bring up a lab on this machine (root)
	$(BIN)/pytest tests/lab -m "not soak"

soak: $(VENV)/.installed-dev ## bad days on the lab: interruptions, bad upgrades, seeded faults, alarms, scenarios (root, two hours)
	$(BIN)/pytest tests/lab -m soak

scan: $(VENV)/.installed $(VENV)-scan/.installed ## a policy scanner (checkov) over Terraform and the chart
	PATH="$$($(BIN)/python .ci/helm_directory.py):$$PATH" $(VENV)-scan/bin/checkov --config-file .checkov.yaml -d terraform -d helm/chaotic-backend

# In an environment of its own: it pins a hundred packages that are none of ours.
$(VENV)-scan/.installed: requirements-scan.lock
	$(PYTHON) -m venv $(VENV)-scan
	@$(VENV)-scan/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements-scan.lock
	@touch $@

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

imports: $(VENV)/.installed-dev
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## put the source into its one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(VENV)/.installed ## write docs/reference.md from the program itself
	$(BIN)/python -m chaosctl.cli.reference > docs/reference.new
	mv docs/reference.new docs/reference.md

lock: $(VENV)/.installed-dev ## pin the newest versions that fit pyproject.toml, with their checksums
	$(BIN)/pip-compile --upgrade $(LOCK) --extra build --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --upgrade $(LOCK) --extra build --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile --upgrade $(LOCK) --output-file requirements-scan.lock requirements-scan.in

LOCK := --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --allow-unsafe

clean: ## remove the virtual environment and what the tests left
	rm -rf $(VENV) $(VENV)-scan .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
