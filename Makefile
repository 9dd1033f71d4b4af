# face-registry: `make help` lists what there is.

# The first Python of at least 3.11; PYTHON=/path/to/python overrides.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
# onnxruntime-gpu and onnxruntime share a folder, so each has a virtual environment of its own.
VENV_GPU ?= .venv-gpu
UV ?= uv
# Processes that run tests: more than two processors, because many tests wait.
JOBS ?= 3

# Tests wait for the disk more than for anything else; where there is room, memory stands in for it.
SCRATCH := $(shell test "$$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $$4 }')" -gt 6000000 \
	2>/dev/null && echo TMPDIR=/dev/shm)

# Installs what the lock file lists and nothing else; --no-deps because the lock is complete.
# Compiling all bytecode ahead costs 30 s and saves none: few of the modules are ever imported.
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --no-compile --no-deps

.DEFAULT_GOAL := help
.PHONY: help demo install install-gpu test test-browser test-all test-server coverage faults lint types docs bench \
	requirements clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r t d; \
		do printf '  make %-14s %s\n' "$$t" "$$d"; done

demo: install  ## build sample videos, ingest them, write a report to ./face-registry-demo
	$(VENV)/bin/face-registry demo

install: $(VENV)/.installed  ## face-registry into .venv, for the CPU

install-gpu: $(VENV_GPU)/.installed-gpu  ## face-registry into .venv-gpu, for NVIDIA GPUs (Linux x86-64)

# ARGS goes to pytest: make test ARGS="tests/test_ids.py -k crop -n 0"
test: $(VENV)/.installed-dev  ## the tests, but for the slow ones
	$(SCRATCH) $(VENV)/bin/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" $(ARGS)

test-browser: $(VENV)/.installed-browser  ## the tests in a real browser (needs Chromium)
	$(SCRATCH) $(VENV)/bin/python -m pytest -m "not slow" tests/browser $(ARGS)

test-all: $(VENV)/.installed-dev  ## all tests
	$(SCRATCH) $(VENV)/bin/python -m pytest -n $(JOBS) --dist loadfile

coverage: $(VENV)/.installed-dev  ## the same tests, and which lines they run; fails below the floor
	$(SCRATCH) $(VENV)/bin/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" --cov $(ARGS)

test-server: $(VENV)/.installed-dev  ## the tests of stores and of the main job, on the servers of QDRANT_URL and MINIO_ENDPOINT
	$(VENV)/bin/python -m tests.support.on_servers

faults: $(VENV)/.installed-dev  ## kill and disturb a registry 1,000 times; prints a table
	$(SCRATCH) $(VENV)/bin/python -m tests.faults --points 1000

lint: $(VENV)/.installed-dev  ## ruff: rules and format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.installed-dev  ## mypy, strict
	$(VENV)/bin/mypy

docs: $(VENV)/.installed-dev  ## write the generated part of docs/CLI.md
	$(VENV)/bin/python -m tests.support.cli_reference

bench: $(VENV)/.installed-dev  ## measure what docs and README state
	$(VENV)/bin/python -m benchmarks

# Pins stay as they are where they still fit; `make requirements UPGRADE=--upgrade` takes the newest.
# --universal: one file serves Python 3.11 to 3.13 on Linux and macOS.
COMPILE = $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet $(UPGRADE)
requirements:  ## compile the lock files in requirements/ anew (needs uv)
	$(COMPILE) --overrides requirements/overrides.txt -o requirements/cpu.txt
	$(COMPILE) --overrides requirements/overrides.txt --extra cluster -o requirements/cluster.txt
	$(COMPILE) --overrides requirements/overrides.txt --extra dev --extra pages -o requirements/dev.txt
	$(COMPILE) --overrides requirements/overrides.txt --extra dev --extra pages --group browser -o requirements/browser.txt
	$(COMPILE) --overrides requirements/overrides-gpu.txt --extra gpu -o requirements/gpu.txt

clean:  ## remove what make, the tests and the demo wrote
	rm -rf $(VENV) $(VENV_GPU) build dist face-registry-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find face_registry registry ingest queries tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "face-registry needs Python 3.11 or newer: none found; pass PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV_GPU)/bin/python:
	@test -n "$(PYTHON)" || { echo "face-registry needs Python 3.11 or newer: none found; pass PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV_GPU)

# The package itself is installed as a link to these sources, so it is never stale.
$(VENV)/.installed: requirements/cpu.txt pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python $(PIP_INSTALL) --require-hashes -r requirements/cpu.txt
	$(VENV)/bin/python $(PIP_INSTALL) --editable .
	@touch $@

# dev.txt holds everything in cpu.txt, at the same versions.
$(VENV)/.installed-dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python $(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	$(VENV)/bin/python $(PIP_INSTALL) --editable .
	@touch $@ $(VENV)/.installed

# browser.txt holds everything in dev.txt, at the same versions.
$(VENV)/.installed-browser: requirements/browser.txt pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python $(PIP_INSTALL) --require-hashes -r requirements/browser.txt
	$(VENV)/bin/python $(PIP_INSTALL) --editable .
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed

$(VENV_GPU)/.installed-gpu: requirements/gpu.txt pyproject.toml | $(VENV_GPU)/bin/python
	$(VENV_GPU)/bin/python $(PIP_INSTALL) --require-hashes -r requirements/gpu.txt
	$(VENV_GPU)/bin/python $(PIP_INSTALL) --editable .
	@touch $@
