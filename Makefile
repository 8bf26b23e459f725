# Both commands work on a machine that has only Python 3.11+, git and make:
#   make demo    installs the dependencies and serves the examples
#   make test    installs the dependencies and runs the tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet
PORT ?= 8000
JOBS ?= 2
PYTEST_ARGS ?=
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
CORE := -m "not full and not browser"

.PHONY: help demo test core check docs peers bench clean

help:
	@echo "make demo    serve all examples on one port (PORT=$(PORT))"
	@echo "make test    run all tests"
	@echo "make core    run the core tests: one ASGI and one WSGI server, no browser, no long runs"
	@echo "make check   check lint rules, format and types"
	@echo "make docs    build the documentation into docs/_build/html"
	@echo "make peers   run the tests of asgiref and Flask through bridge"
	@echo "make bench   measure bridge and its peers, with rough results"
	@echo "make clean   remove all generated files and environments"
	@echo "JOBS=4 runs 4 tests in parallel; JOBS=0 runs all tests in one process"
	@echo "PYTHON=python3.13 VENV=.venv313 selects another interpreter and a separate environment"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11; select another one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "$(PYTHON) cannot create a virtual environment; on Debian: apt install python3-venv"; exit 1; }
	@$(PIP_INSTALL) --upgrade pip

$(VENV)/.demo: $(BIN)/python setup.cfg
	@echo "Installing bridge and the dependencies of the examples (once) ..."
	@$(PIP_INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(BIN)/python setup.cfg
	@echo "Installing bridge and the dependencies of the tests (once; takes a few minutes) ..."
	@$(PIP_INSTALL) --editable '.[dev,docs]'
	@touch $@

demo: $(VENV)/.demo
	@$(BIN)/python examples/demo.py --port $(PORT)

test: $(VENV)/.dev
	$(PYTEST) $(PYTEST_ARGS)

core: $(VENV)/.dev
	$(PYTEST) $(CORE) tests/unit tests/conformance tests/sync tests/test_*.py $(PYTEST_ARGS)
	$(PYTEST) $(CORE) -k "(uvicorn and not h11 and not uvloop) or gthread" tests/servers tests/promises $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy bridge wsgi_asgi_bridge.py tests

docs: $(VENV)/.dev
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

peers: $(BIN)/python
	$(BIN)/python -m tests.suites asgiref flask

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks --quick

clean:
	rm -rf .venv* docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
