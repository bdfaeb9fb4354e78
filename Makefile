# Everything sets itself up: all that is needed is Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Processes that run tests side by side, one file at a time each. Each takes up to 3 GB of memory, of the slow tests 6.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: setup demo docs test test-precision test-slow test-all lint clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml runtime/pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing hclnet with torch and torchvision into $(VENV): several GB, some minutes the first time ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e ./runtime -e .
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps label-studio-sdk==2.0.13  # see pyproject.toml
	@touch $@

demo: setup
	@$(BIN)/hclnet demo

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "Open in a browser: $(CURDIR)/site/index.html"

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports && $(BIN)/mypy

test: lint
	@$(PYTEST) -m "not slow"

# In `make test` localizers are used in float32. Where bfloat16 is emulated this takes longer.
test-precision: setup
	@HCLNET_PRECISION=bfloat16 $(PYTEST) -m "precision and not slow" --durations=5

test-slow: setup
	@$(PYTEST) -m slow --durations=10

test-all: test test-precision test-slow

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache
