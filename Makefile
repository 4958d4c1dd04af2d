# make run: the workflow on the cohorts of `run:` in config.yaml (the phantom); make test: lint and tests. Each sets up what is missing, once.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CORES ?= $(shell nproc)
READY := $(VENV)/.ready
export PYTHONHASHSEED := 0

.PHONY: run test lint bench config explain clean-env setup

setup: $(READY)

$(READY): constraints.txt pyproject.toml
	$(or $(shell command -v $(PYTHON)),python3) -m venv $(VENV)
	$(BIN)/python -c 'import sys; assert sys.version_info[:2] == (3, 11), f"radgen needs Python 3.11, found {sys.version}: set PYTHON="'
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	# pyradiomics 3.0.1 has no wheel for this Python; it builds once numpy is there and isolation is off.
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps --no-build-isolation pyradiomics
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt docopt pykwalify PyWavelets six
	$(BIN)/pip check
	touch $(READY)

run: $(READY)
	$(BIN)/snakemake --cores $(CORES) --resources gpu=1 $(ARGS)

test: $(READY) lint
	$(BIN)/python -m pytest $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/python -m mypy
	$(BIN)/snakemake --lint

bench: $(READY)
	$(BIN)/python -m benchmarks.run

config: $(READY)
	$(BIN)/python -m radgen_lib.core.config
	$(BIN)/python -m radgen_lib.sources.reference

explain: $(READY)
	$(BIN)/radgen explain

clean-env:
	rm -rf $(VENV)
