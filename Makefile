# Every target that needs packages makes .venv first; it is made anew only when what it depends on changes.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
READY_PAGES := .venv/pages
READY_SITE := .venv/site
READY_EXTRAS := .venv/extras
ROOT_FLAG := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)
LAB_FLAGS ?=
PORT ?= 8000
BENCH_FLAGS ?=

.PHONY: help lab site serve test gate tables test-pages test-site test-extras notebooks lint fuzz mutants bench badges clean

help:
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make site       the notebooks and the reference as pages, in site/_build/html"
	@echo "make serve      the same on http://localhost:$(PORT)"
	@echo "make test       lint, types, unit tests, doctests, and every notebook"
	@echo "make gate       the bug museum: do the tests kill every specimen?"
	@echo "make tables     do the tools compute the notebooks' tables again? Each one some of its rows"
	@echo "make test-pages the notebooks in JupyterLab in a real browser, and Binder's environment"
	@echo "make test-site  the site in a real browser, and notebooks in its kernel; SITE=full: all of them"
	@echo "make test-extras what Numba and Dask change; it installs both into .venv"
	@echo "make notebooks  run all notebooks in place and put their metadata in order"
	@echo "make lint       ruff and mypy alone"
	@echo "make fuzz       odd input to every public function, ten times as long as in make test"
	@echo "make mutants    change the modules line by line: do the tests notice? MODULES='mse formats' SAMPLE=150: of some"
	@echo "make bench      speed and memory, as ratios taken in one run"
	@echo "make badges     write the links to Binder, Colab and the site into README.md, from the remote called origin"
	@echo "make clean      remove .venv and what tools left behind"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[notebooks,test]"
	@touch $(READY)

$(READY_PAGES): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[pages]"
	@touch $(READY_PAGES)

$(READY_SITE): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[site]"
	@touch $(READY_SITE)

$(READY_EXTRAS): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[fast,scale,bench]"
	@touch $(READY_EXTRAS)

lab: $(READY)
	$(BIN)/jupyter lab $(ROOT_FLAG) $(LAB_FLAGS) notebooks/00_start_here.ipynb

site: $(READY_SITE)
	$(BIN)/python tools/build_site.py

serve: $(READY_SITE)
	@test -d site/_build/html || $(MAKE) site
	$(BIN)/python -m http.server --bind localhost --directory site/_build/html $(PORT)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check quantnotes tests tools benchmarks
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

test: lint
	$(BIN)/pytest

gate: $(READY)
	$(BIN)/pytest -m gate tests

tables: $(READY)
	$(BIN)/pytest -m tables tests

test-pages: $(READY_PAGES)
	$(BIN)/pytest tests/pages --ignore-glob="tests/pages/test_site*"

test-site: $(READY_SITE) $(READY_PAGES)
	$(BIN)/python tools/build_site.py --test
	$(BIN)/pytest --dist=load tests/pages/test_site*.py

test-extras: $(READY_EXTRAS)
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
	$(BIN)/python tools/mutants.py $(if $(MODULES),--modules $(MODULES)) $(if $(SAMPLE),--sample $(SAMPLE))

badges: $(READY)
	$(BIN)/python tools/badges.py

bench: $(READY_EXTRAS)
	$(BIN)/pytest --override-ini=addopts= benchmarks $(BENCH_FLAGS)

clean:
	rm -rf .venv build site/_build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis mutants
