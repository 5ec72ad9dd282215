# Two commands do everything: `make demo` and `make test`. Each sets up what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint bench bench-quality bench-engine test-apiserver test-frameworks clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, e.g. make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV): once, a minute or two."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[examples]' --group dev
	@touch $@

demo: $(STAMP)
	@$(BIN)/python -m examples.demo

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# The engine alone, offline: no API server, no I/O.
bench-engine: $(STAMP)
	$(BIN)/python -m benchmarks engine offline evictions topology state

# TRACES=default,gpuspec33 and SEEDS=3 measure a part; all of it takes half an hour.
bench-quality: $(STAMP)
	$(BIN)/python -m benchmarks.quality $(if $(TRACES),--traces $(TRACES)) $(if $(SEEDS),--seeds $(SEEDS))

# ON=etcd34 takes Debian's etcd 3.4; ONLY=smoke runs the tests of that mark alone.
ON ?= real
ONLY ?=

test-apiserver: $(STAMP)
	$(BIN)/python -m pytest tests/cluster --on $(ON) $(if $(ONLY),-m $(ONLY))

# Real PyTorch, JAX, XGBoost and Ray, in an environment of their own: gigabytes, and not part of CI.
FRAMEWORKS := .venv-frameworks

test-frameworks: $(STAMP)
	@test -d $(FRAMEWORKS) || $(PYTHON) -m venv $(FRAMEWORKS)
	@$(FRAMEWORKS)/bin/pip install --quiet --disable-pip-version-check torch jax xgboost 'ray[client]'
	FLOWBATCH_FRAMEWORKS=$(CURDIR)/$(FRAMEWORKS)/bin/python $(BIN)/python -m pytest tests/frameworks

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
