# Every target that needs packages makes .venv first; it is made anew only when what it depends on changes.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
ROOT_FLAG := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)
LAB_FLAGS ?=

.PHONY: help lab test notebooks lint bench clean

help:
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make test       lint, types, unit tests, doctests, and every notebook"
	@echo "make notebooks  run all notebooks in place and put their metadata in order"
	@echo "make lint       ruff and mypy alone"
	@echo "make bench      speed and memory, as ratios taken in one run"
	@echo "make clean      remove .venv and what tools left behind"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[notebooks,test]"
	@touch $(READY)

lab: $(READY)
	$(BIN)/jupyter lab $(ROOT_FLAG) $(LAB_FLAGS) notebooks/00_start_here.ipynb

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check quantnotes tests tools benchmarks
	$(BIN)/mypy

test: lint
	$(BIN)/pytest

notebooks: $(READY)
	$(BIN)/python tools/make_picture.py
	$(BIN)/python tools/run_notebooks.py

bench: $(READY)
	$(BIN)/python benchmarks/bench.py

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
