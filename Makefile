PYTHON ?= python3
VENV := .venv
CPU_VENV := .venv-cpu
BIN := $(VENV)/bin

.PHONY: demo test lint types check lock clean

demo: $(VENV)/ready  ## set up everything and run the main job: generate, train, export, infer
	$(BIN)/mer-edge demo --out demo --overwrite

test: $(VENV)/ready $(CPU_VENV)/ready  ## set up everything and pass all tests
	$(BIN)/python -m pytest

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

check: lint types test

# --no-deps: the lock names everything; pip checks each file against its hash.
$(VENV)/ready: requirements/dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# What a device installs: the wheel with base + [cpu], no torch, no transformers.
$(CPU_VENV)/ready: requirements/cpu.lock $(VENV)/ready
	$(PYTHON) -m venv $(CPU_VENV)
	$(CPU_VENV)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/cpu.lock
	rm -rf build/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	$(CPU_VENV)/bin/python -m pip install --quiet --no-deps --force-reinstall build/wheel/*.whl
	touch $@

LOCK := uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.10

lock:  ## resolve the locks anew; needs uv (pip install uv)
	$(LOCK) --extra cpu --extra asr --extra train --extra export --group dev pyproject.toml -o requirements/dev.lock
	$(LOCK) --extra cpu pyproject.toml -o requirements/cpu.lock

clean:
	rm -rf $(VENV) $(CPU_VENV) build demo
