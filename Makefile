# make app: the studio in the browser · make test: everything that is checked · make help: the rest
.DEFAULT_GOAL := help
.PHONY: help app setup check test lint bench clean

VENV := .venv
PY := $(VENV)/bin/python
PORT ?= 8501
# The newest Python that torch has wheels for; PYTHON=/path/to/python overrides the choice.
PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3,$(shell \
	$(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $(name))))

help:
	@echo 'make app     install what is missing, then open the studio at http://127.0.0.1:$(PORT), for this computer alone'
	@echo 'make check   ruff, mypy and the tests of what matters most, in a minute or two'
	@echo 'make test    ruff, mypy and the whole test suite, on up to four cores'
	@echo 'make setup   make $(VENV) alone'
	@echo 'make lint    ruff and mypy'
	@echo 'make bench   speed of the generator on this machine'
	@echo 'make clean   remove $(VENV) and caches; runs/ and checkpoints/ stay'

# A stamp newer than the requirements means that the environment is complete.
$(VENV)/app.stamp: requirements.txt
	@if [ -z '$(PYTHON)' ]; then \
		echo 'error: no Python 3.11 or newer found (looked for python3.13, python3.12, python3.11, python3)' >&2; \
		echo 'hint: install one from https://www.python.org/downloads/ or run: make app PYTHON=/path/to/python3' >&2; \
		exit 2; fi
	@[ -x $(PY) ] || '$(PYTHON)' -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'hint: on Debian and Ubuntu, apt-get install python3-venv' >&2; exit 2; }
	$(PY) -m pip install -r requirements.txt
	@touch $@

$(VENV)/test.stamp: tests/requirements.txt $(VENV)/app.stamp
	$(PY) -m pip install --quiet -r tests/requirements.txt
	@touch $@

setup: $(VENV)/app.stamp

# MALLOC_ARENA_MAX: Streamlit runs pages in threads; see ganlib/compute/device.py, tune_allocator.
app: setup
	MALLOC_ARENA_MAX=1 $(PY) -m streamlit run app.py --server.port $(PORT)

lint: $(VENV)/test.stamp
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# What most changes break: the architecture, options, files of earlier versions, and a contract for every network.
CHECKED := tests/test_house.py tests/base tests/commands/test_flags.py tests/commands/test_help.py tests/test_reference.py \
	tests/models/test_checkpoints.py tests/latents/test_latents.py tests/runs/test_runs.py tests/networks/test_contract.py \
	tests/networks/test_projected.py tests/earlier

check: lint
	$(PY) -m pytest -q $(CHECKED)

# A process for each core; more than four would take more memory than time is worth. See tests/conftest.py for groups.
test: lint
	$(PY) -m pytest -q -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

bench: setup
	$(PY) benchmarks/synthesis.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
