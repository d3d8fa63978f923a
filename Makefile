# From a fresh clone with Python 3.11 or newer and make: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
RUNS ?= runs

.PHONY: demo docs papers test test-slow mutants check bench gpu-check clean
.DELETE_ON_ERROR:

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --editable '.[dev]'
	touch $@

# Train a hash model on the photographs inside scikit-image, attack it, print one table.
demo: $(STAMP)
	$(PY) -m lightning_hash demo --runs $(RUNS)

# Every experiment of both papers in small; SCALE=full needs the papers' data, GPUs and days.
SCALE ?= demo
JOBS ?= 2
papers: $(STAMP)
	$(PY) -m lightning_hash sweep configs/papers/*.yaml --scale $(SCALE) --runs $(RUNS)/papers --jobs $(JOBS)
	$(PY) -m lightning_hash report $(RUNS)/papers --output $(RUNS)/report/papers

# The documentation as a site in build/site; a warning is an error. Building it needs no network.
DOCS_STAMP := $(VENV)/.docs-installed
$(DOCS_STAMP): $(STAMP)
	$(PY) -m pip install --quiet --editable '.[docs]'
	touch $@

docs: $(DOCS_STAMP)
	$(PY) -m mkdocs build --strict

WORKERS ?= 2
test: $(STAMP) check
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) --dist loadfile -m 'not slow'

# What takes longer: every preset and paper's experiment in small, several processes, kills and resumptions.
test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) --dist loadfile -m slow

# Breaks 300 formulas one at a time and lists those that no test notices; about half an hour.
mutants: $(STAMP)
	OMP_NUM_THREADS=1 $(PY) -m tests.mutants

check: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

# Speed and memory beside the public repositories' ways of doing the same, as Markdown; BENCH=--quick is short.
BENCH ?=
bench: $(STAMP)
	$(PY) -m benchmarks.attack $(BENCH)
	$(PY) -m benchmarks.questions $(BENCH)
	$(PY) -m benchmarks.clips $(BENCH)
	$(PY) -m benchmarks.evaluator $(BENCH)
	$(PY) -m benchmarks.search $(BENCH)
	$(PY) -m benchmarks.encoder $(BENCH)
	$(PY) -m benchmarks.list_loading

# What only a GPU can show, on a bare checkout: needs torch with CUDA and the packages, no virtual environment.
GPU_CHECK ?=
gpu-check:
	$(PYTHON) -m tests.gpu_check $(GPU_CHECK)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
