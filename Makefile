PYTHON ?= python3
VENV := .venv
CPU_VENV := .venv-cpu
DEMO_VENV := .venv-demo
BIN := $(VENV)/bin
SOURCES := $(shell git ls-files mer_edge train export runtime 2>/dev/null)

.PHONY: demo demo-train test lint types check parity bench bench-chain bench-roofline bench-prepare bench-export bench-gpu lock clean help

help:  ## show these targets
	@grep -hE '^[a-z.-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: $(DEMO_VENV)/ready  ## set up what a device needs and recognise a clip: a table and a picture
	$(DEMO_VENV)/bin/mer-edge infer demo-data/portrait.mp4 --plot demo.png
	@echo "your own: $(DEMO_VENV)/bin/mer-edge infer YOUR_CLIP.mp4, or stream 0 for a camera"

demo-train: $(VENV)/ready  ## set up everything and go the whole way: generate, train, export, infer
	$(BIN)/mer-edge demo --out demo --overwrite

test: $(VENV)/ready $(CPU_VENV)/ready  ## set up everything and pass all tests
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

lint: $(VENV)/ready  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready build/stubs/ready  ## mypy, strict for the contracts
	$(BIN)/mypy

check: lint types test  ## what CI runs

parity: $(VENV)/ready  ## PyTorch against the exported graphs, paper preset, all 112 cases; minutes
	$(BIN)/python benchmarks/parity.py --preset paper

CLIPS ?= ../shared/data/ravdess_av_actor01/mp4 ../shared/data/clips ../shared/data/ravdess_audio

bench-prepare: $(VENV)/ready  ## one process against one per core, on the clips in CLIPS="FOLDER ..."
	$(BIN)/python benchmarks/prepare_scaling.py --clips $(CLIPS)

bench-export: $(VENV)/ready  ## TensorRT-RTX engines of the paper preset in every precision, no GPU; minutes
	$(BIN)/python benchmarks/build_engines.py --preset paper

BUNDLE ?= tests/data/tiny-bundle

bench: $(VENV)/ready  ## pytest-benchmark on BUNDLE=...; THREADS=2 sets the threads
	BUNDLE=$(BUNDLE) THREADS=$(THREADS) $(BIN)/python -m pytest benchmarks -n0 --benchmark-only \
	  --benchmark-columns=median,iqr,min,max,rounds --benchmark-sort=name

FP32 ?= paper-fp32
INT8 ?= paper-int8

bench-chain: $(VENV)/ready  ## the bundles FP32=... INT8=... against PyTorch, OpenVINO, one graph; minutes
	$(BIN)/python benchmarks/chain_against_peers.py --fp32 $(FP32) --int8 $(INT8) $(if $(CLIP),--clip $(CLIP))

bench-roofline: $(VENV)/ready  ## how near their graphs come to this machine's ceilings; a minute
	$(BIN)/python benchmarks/roofline_page.py --fp32 $(FP32) --int8 $(INT8)

bench-gpu: $(VENV)/ready  ## what needs a GPU: engines, golden tensors, latencies of BUNDLE="DIR ..."
	$(BIN)/python -m benchmarks.on_gpu $(BUNDLE:%=--bundle %)

# Debian and Ubuntu ship Python without ensurepip (package python3-venv): there, put pip in by pip.
define virtual-environment
	$(PYTHON) -m venv $(1) 2>/dev/null || { \
	  $(PYTHON) -m venv --clear --without-pip $(1) && \
	  $(PYTHON) -m pip install --quiet --no-deps --require-hashes -r requirements/pip.lock --target \
	    "$$($(1)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"; }
endef

define supported-python
$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 13) or sys.exit("mer-edge needs Python 3.10 to 3.13, this is %d.%d: make PYTHON=python3.12" % v)'
endef

# --no-deps: the lock names everything; pip checks each file against its hash.
$(VENV)/ready: requirements/dev.lock pyproject.toml
	$(supported-python)
	$(call virtual-environment,$(VENV))
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# What a device installs: base + [cpu], and the checkout itself; build.lock is what builds it.
$(DEMO_VENV)/ready: requirements/cpu.lock requirements/build.lock pyproject.toml
	$(supported-python)
	$(call virtual-environment,$(DEMO_VENV))
	$(DEMO_VENV)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/cpu.lock -r requirements/build.lock
	$(DEMO_VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# What a device installs: base + [cpu] from the wheel; no torch, no transformers.
$(CPU_VENV)/installed: requirements/cpu.lock $(VENV)/ready
	$(call virtual-environment,$(CPU_VENV))
	$(CPU_VENV)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/cpu.lock
	touch $@

$(CPU_VENV)/ready: $(CPU_VENV)/installed $(SOURCES)
	rm -rf build/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	$(CPU_VENV)/bin/python -m pip install --quiet --no-deps --force-reinstall build/wheel/*.whl
	touch $@

# Outside the virtual environment, where an "import tensorrt" would find the stubs. The sed mends
# what their generator wrote and no parser takes: an argument named "in", a default before none.
build/stubs/ready: requirements/stubs.lock $(VENV)/ready
	rm -rf build/stubs
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/stubs.lock --target build/stubs
	sed -i 's/\bin: list/in_: list/; s/channel_axis: int)/channel_axis: int = 0)/' build/stubs/tensorrt_bindings/tensorrt.pyi
	touch $@

LOCK := uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.10

lock:  ## resolve the locks anew; needs uv (pip install uv)
	$(LOCK) --extra cpu --extra asr --extra batch --extra ray --extra train --extra export --group dev pyproject.toml -o requirements/dev.lock
	$(LOCK) --extra cpu pyproject.toml -o requirements/cpu.lock
	printf 'hatchling>=1.26,<2\neditables>=0.5\n' | $(LOCK) - -c requirements/dev.lock -o requirements/build.lock
	echo pip | $(LOCK) - -o requirements/pip.lock
	echo tensorrt-stubs==10.13.0.35.1 | $(LOCK) --no-deps - -o requirements/stubs.lock

clean:  ## remove what these targets made
	rm -rf $(VENV) $(CPU_VENV) $(DEMO_VENV) build demo demo.png
