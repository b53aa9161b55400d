# Every target that needs packages makes .venv first; it is made anew only when what it depends on changes.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
PAGES := .venv/pages
EXTRAS := .venv/extras
ROOT_FLAG := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)
LAB_FLAGS ?=
BENCH_FLAGS ?=

.PHONY: help lab test gate test-pages test-extras notebooks lint fuzz mutants bench binder-badge clean

help:
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make test       lint, types, unit tests, doctests, and every notebook"
	@echo "make gate       the bug museum: do the tests kill every specimen?"
	@echo "make test-pages the notebooks in JupyterLab in a real browser, and Binder's environment"
	@echo "make test-extras what Numba and Dask change; it installs both into .venv"
	@echo "make notebooks  run all notebooks in place and put their metadata in order"
	@echo "make lint       ruff and mypy alone"
	@echo "make fuzz       odd input to every public function, in the long form"
	@echo "make mutants    change the modules line by line: do the tests notice?"
	@echo "make bench      speed and memory, as ratios taken in one run"
	@echo "make binder-badge  write Binder's badge into README.md, from the remote called origin"
	@echo "make clean      remove .venv and what tools left behind"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[notebooks,test]"
	@touch $(READY)

$(PAGES): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[pages]"
	@touch $(PAGES)

$(EXTRAS): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[fast,scale,bench]"
	@touch $(EXTRAS)

lab: $(READY)
	$(BIN)/jupyter lab $(ROOT_FLAG) $(LAB_FLAGS) notebooks/00_start_here.ipynb

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check quantnotes tests tools benchmarks
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml

test: lint
	$(BIN)/pytest

gate: $(READY)
	$(BIN)/pytest -m gate tests

test-pages: $(PAGES)
	$(BIN)/pytest tests/pages

test-extras: $(EXTRAS)
	$(BIN)/pytest -m extras tests
	$(BIN)/pytest quantnotes/distributed.py

notebooks: $(READY)
	$(BIN)/python tools/make_picture.py
	$(BIN)/python tools/run_notebooks.py

fuzz: $(READY)
	$(BIN)/pytest --hypothesis-profile=fuzz --dist=load tests/test_fuzz.py

mutants: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[mutants,scale]"
	rm -rf mutants
	$(BIN)/mutmut run --max-children 2 > mutants.log
	$(BIN)/python tools/mutation_report.py

binder-badge: $(READY)
	$(BIN)/python tools/binder_badge.py

bench: $(EXTRAS)
	$(BIN)/pytest --override-ini=addopts= benchmarks $(BENCH_FLAGS)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis mutants mutants.log
