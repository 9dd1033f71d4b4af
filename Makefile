# The targets are the tasks of tasks.py, which runs without make too; `make help` lists them.
# ARGS goes to the task: make test ARGS="tests/test_ids.py -k crop -n 0"

# The first Python of at least 3.11; PYTHON=/path/to/python overrides.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
export VENV VENV_GPU UV JOBS UPGRADE

TASKS = demo install install-dev install-browser install-gpu test test-browser test-all test-server \
	test-windows coverage faults lint types docs bench requirements clean

.DEFAULT_GOAL := help
.PHONY: help $(TASKS)

help $(TASKS):
	@test -n "$(PYTHON)" || { echo "face-registry needs Python 3.11 or newer: none found; pass PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) tasks.py $@ $(ARGS)
