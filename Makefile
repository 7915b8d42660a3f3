# Everything runs in virtual environments that are made here, from any Python 3.11 to 3.13.
# The original (make bench, make goldens) needs Python 3.11.

PYTHON ?= python3
PYTHON311 ?= python3.11
PYTHON313 ?= python3.13

VENV := .venv
ORACLE := .venv-oracle
OLDEST := .venv-oldest
NEWEST := .venv-newest
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ORACLE_READY := $(ORACLE)/.ready

# TensorFlow's notes about the CPU and about missing GPUs.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help demo test lint test-all test-versions bench goldens clean

help:  ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(READY)  ## Train, evaluate and export two models of real data: of digits, of patients
	$(BIN)/python examples/digits.py
	$(BIN)/python examples/wide_and_deep.py

test: lint  ## Check the style, the types and the behaviour
	$(BIN)/python -m pytest -n 2 -m "not slow and not oracle"

test-all: lint  ## As test, with the tests that take long
	$(BIN)/python -m pytest -n 2 -m "not oracle"

test-versions: $(OLDEST)/.ready $(NEWEST)/.ready  ## As test, with the oldest and the newest versions supported
	$(OLDEST)/bin/python -m pytest -n 2 -m "not slow and not oracle"
	$(NEWEST)/bin/python -m pytest -n 2 -m "not slow and not oracle"

lint: $(READY)  ## Check the style and the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY) $(ORACLE_READY)  ## Compare the speed with tf.estimator 2.15's and Keras'
	KESTIMATOR_ORACLE_PYTHON=$(ORACLE)/bin/python $(BIN)/python benchmarks/run.py

goldens: $(ORACLE_READY)  ## Record again what tf.estimator 2.15 does
	$(ORACLE)/bin/python tests/golden/make.py
	$(ORACLE)/bin/python -m tests.golden.make_run_config
	$(ORACLE)/bin/python -m tests.golden.make_inputs
	$(ORACLE)/bin/python -m tests.golden.make_export
	$(ORACLE)/bin/python -m tests.golden.make_saved_model
	$(ORACLE)/bin/python -m tests.golden.make_signatures
	$(ORACLE)/bin/python -m tests.golden.make_keras_models
	$(ORACLE)/bin/python -m tests.migration.make_goldens
	$(ORACLE)/bin/python -m tests.golden.make_legacy_names

clean:  ## Remove what was made here
	rm -rf $(VENV) $(ORACLE) $(OLDEST) $(NEWEST) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11 to 3.13 is needed, not " + sys.version.split()[0] + ": make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

$(ORACLE_READY): tests/golden/requirements.txt
	$(PYTHON311) -m venv $(ORACLE)
	$(ORACLE)/bin/python -m pip install --quiet --upgrade pip
	$(ORACLE)/bin/python -m pip install --quiet -r tests/golden/requirements.txt
	touch $@

$(OLDEST)/.ready: pyproject.toml
	$(PYTHON311) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --upgrade pip
	$(OLDEST)/bin/python -m pip install --quiet -e '.[dev]' 'keras==3.15.0' 'tensorflow==2.20.*' 'protobuf<6'
	touch $@

$(NEWEST)/.ready: pyproject.toml
	$(PYTHON313) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --upgrade pip
	$(NEWEST)/bin/python -m pip install --quiet -e '.[dev]'
	touch $@
