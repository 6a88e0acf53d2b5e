# make demo [DATA=file.csv TARGET=column]   install, fit, score, save, load, predict
# make test                                 linters, types, tests on TensorFlow, contract on JAX
# make full                                 everything, also without TensorFlow and with the oldest allowed versions
# make benchmark [TABLES=folder]            speeds, memory of fits from files, then every model beside its peers on real tables: hours, goes on where it stopped
# make benchmark-series [SERIES=folder]      every network for series beside its rivals: hours, goes on where it stopped

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
RIVALS := aeon stats neural
EVERYTHING := -m "full or not full"
ON_BOTH_BACKENDS := tests/test_contract.py tests/test_sklearn.py

.DELETE_ON_ERROR:
.PHONY: help install demo test lint full full-tensorflow full-jax without-tensorflow oldest benchmark benchmark-series clean

help:
	@sed -n 's/^# //p' Makefile

install: $(VENV)/.installed-dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "expected Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[parquet]"
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $(VENV)/.installed $@

demo: $(VENV)/.installed
	$(BIN)/python notebooks/demo.py $(if $(DATA),--data "$(DATA)") $(if $(TARGET),--target "$(TARGET)")

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

test: lint
	$(PYTEST) -n 2
	KERAS_BACKEND=jax $(PYTEST) -n 2 tests/test_contract.py

full: lint
	$(MAKE) full-tensorflow
	$(MAKE) full-jax
	$(MAKE) without-tensorflow
	$(MAKE) oldest

full-tensorflow: $(VENV)/.installed-dev
	$(PYTEST) -n 2 $(EVERYTHING)

full-jax: $(VENV)/.installed-dev
	KERAS_BACKEND=jax $(PYTEST) -n 2 $(EVERYTHING) $(ON_BOTH_BACKENDS)

build/without-tensorflow/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv build/without-tensorflow
	build/without-tensorflow/bin/python -c "import tomllib; \
		project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
		print(*(d for d in project['dependencies'] if not d.startswith('tensorflow')), \
		*project['optional-dependencies']['test'], *project['optional-dependencies']['jax'], sep='\n')" \
		> build/without-tensorflow/requirements.txt
	build/without-tensorflow/bin/python -m pip install --quiet -c constraints.txt -r build/without-tensorflow/requirements.txt
	build/without-tensorflow/bin/python -m pip install --quiet --no-deps -e .
	@touch $@

without-tensorflow: build/without-tensorflow/.installed
	@! build/without-tensorflow/bin/python -c "import tensorflow" 2>/dev/null || { echo "TensorFlow is installed" >&2; exit 1; }
	KERAS_BACKEND=jax build/without-tensorflow/bin/python -m pytest -n 2 tests/test_contract.py tests/test_artifact.py tests/test_cli.py

build/oldest/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv build/oldest
	build/oldest/bin/python -m pip install --quiet -c constraints-oldest.txt -e ".[test]"
	@touch $@

oldest: build/oldest/.installed
	build/oldest/bin/python -m pytest -n 2

build/peers/.installed: pyproject.toml constraints-bench.txt
	$(PYTHON) -m venv build/peers
	build/peers/bin/python -c "import tomllib; \
		print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['peers'], sep='\n')" \
		> build/peers/requirements.txt
	build/peers/bin/python -m pip install --quiet -c constraints-bench.txt -r build/peers/requirements.txt
	@touch $@

benchmark: $(VENV)/.installed-dev build/peers/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/streaming.py --models mlp
	$(BIN)/python benchmarks/tables.py $(if $(TABLES),--tables "$(TABLES)") $(OPTIONS)
	$(BIN)/python benchmarks/raw_tables.py $(if $(TABLES),--tables "$(TABLES)")

build/series/%/.installed: pyproject.toml constraints-series.txt
	$(PYTHON) -m venv build/series/$*
	build/series/$*/bin/python -c "import tomllib; \
		print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['peers-$*'], sep='\n')" \
		> build/series/$*/requirements.txt
	build/series/$*/bin/python -m pip install --quiet -c constraints-series.txt -r build/series/$*/requirements.txt
	@touch $@

benchmark-series: $(VENV)/.installed-dev $(RIVALS:%=build/series/%/.installed)
	$(BIN)/python benchmarks/epochs.py
	$(BIN)/python benchmarks/series.py $(if $(SERIES),--series "$(SERIES)") $(OPTIONS)

clean:
	rm -rf build dist demo .pytest_cache .ruff_cache .hypothesis *.egg-info
	find tabdl tests notebooks benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
