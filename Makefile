# One door for every chore. Each target does its own set-up in .venv and may be repeated.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo demo-documents test slow check reference bench clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(READY) ## make the virtual environment from the lock file

$(READY): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) with $(PYTHON) (about 2 GB with the training libraries; a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## the main job: a small model teaches itself arithmetic (minutes on two cores)
	@$(BIN)/synthgain demo -o runs/demo

demo-documents: $(READY) ## invented documents: synthetic texts against repetition (WRITER=local: written anew)
	@$(BIN)/synthgain demo --documents -o runs/demo-documents $(if $(WRITER),--writer $(WRITER))

test: $(READY) ## every fast test (under ten minutes on two cores)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

slow: $(READY) ## the tests that take minutes
	@$(BIN)/python -m pytest -m slow

servers: .venv-servers/.ready ## servers that others wrote, for `make slow` (2 GB in an environment of their own)

.venv-servers/.ready: tests/servers/requirements.txt
	@test -x .venv-servers/bin/python || $(PYTHON) -m venv .venv-servers
	@.venv-servers/bin/python -m pip install --quiet --disable-pip-version-check -r tests/servers/requirements.txt
	@touch $@

check: $(READY) ## types and style
	@$(BIN)/ruff check src tests benchmarks studies
	@$(BIN)/ruff format --check src tests benchmarks studies
	@$(BIN)/mypy

reference: $(READY) ## docs/reference.md from the docstrings
	@$(BIN)/python docs/reference.py

bench: $(READY) ## every benchmark, one after the other
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean: ## remove the environment and the runs
	rm -rf $(VENV) .venv-servers runs .pytest_cache .mypy_cache .ruff_cache
