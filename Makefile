# make demo and make test are all a new machine needs; both make the environment first.
PYTHON ?= python3
BIN := .venv/bin
QUICK := -m 'not slow' tests/core tests/io tests/cli tests/test_house.py tests/test_public.py tests/test_docs.py
SPEED := burn trace rules score register chips train_step sweep first_pool thin_step scenes pictures

.PHONY: demo test quick check wheel version oldest bench torture fuzz pages docs clean
TORCH := torch==2.13.0
PIP := -m pip install --quiet --disable-pip-version-check

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or later is needed"'
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) --constraint constraints.txt $(TORCH)
	$(BIN)/python $(PIP) --constraint constraints.txt --editable '.[dev,docs]'
	touch $@

demo: .venv/ready
	$(BIN)/landscribe demo landscribe-demo

test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

quick: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal $(QUICK)

check: .venv/ready
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site

# The wheel as a user meets it: built, installed beside nothing else, started.
wheel:
	rm -rf dist && mkdir dist
	$(PYTHON) -m venv dist/venv
	dist/venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	dist/venv/bin/python $(PIP) --constraint constraints.txt $(TORCH) dist/landscribe-*.whl
	cd dist && venv/bin/landscribe --help && venv/bin/landscribe doctor

# A tag says the version that the package says.
version:
	@test "$(TAG)" = "v$$($(PYTHON) -c 'import sys; sys.path.insert(0, "src"); import landscribe; print(landscribe.__version__)')" \
		|| { echo "tag $(TAG) is not the version in src/landscribe/__init__.py" >&2; exit 2; }

# torch stays at the version above: older ones are had for GPUs only from most places.
oldest:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python $(PIP) --constraint constraints-oldest.txt $(TORCH)
	.venv-oldest/bin/python $(PIP) --constraint constraints-oldest.txt --editable . pytest pytest-xdist hypothesis scipy
	.venv-oldest/bin/python -m pytest -n 2 --dist worksteal $(filter-out tests/test_house.py tests/test_docs.py,$(QUICK)) \
		-W default::DeprecationWarning -W default::FutureWarning

fuzz: .venv/ready
	$(BIN)/python benchmarks/fuzz.py 300

torture: .venv/ready
	$(BIN)/python benchmarks/torture.py

bench: .venv/ready
	for name in $(SPEED); do $(BIN)/python benchmarks/$$name.py || exit 1; done

pages: .venv/ready
	for script in reference architecture; do $(BIN)/python docs/make_$$script.py || exit 1; done

docs: .venv/ready
	$(BIN)/mkdocs serve

clean:
	rm -rf .venv .venv-oldest dist site landscribe-demo
