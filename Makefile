# make demo and make test are all a new machine needs; both make the environment first.
PYTHON ?= python3
BIN := .venv/bin
SPEED := burn trace rules score register chips train_step sweep first_pool scenes

.PHONY: demo test check bench docs clean

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or later is needed"'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/ready
	$(BIN)/landscribe demo landscribe-demo

test: .venv/ready
	$(BIN)/python -m pytest -n 2

check: .venv/ready
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site

bench: .venv/ready
	for name in $(SPEED); do $(BIN)/python benchmarks/$$name.py || exit 1; done

docs: .venv/ready
	$(BIN)/mkdocs serve

clean:
	rm -rf .venv site landscribe-demo
