# make demo    see it work: a relay on loopback, one message through it, nothing leaves the machine
# make test    the test suite
# make help    everything else
#
# Needs make and Python 3.11 or newer. All else goes into .venv, from pinned and hashed constraint files.

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := src tests scripts
PYTEST := $(BIN)/python -m pytest
PYTEST_ARGS ?=
# One test worker per core, and no more than eight.
PARALLEL ?= -n auto --maxprocesses 8 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test again check lint types layers hygiene drift interop crash crash-together crash-alone soak \
	postgresql-versions bench docs reference constraints format clean

help:
	@echo "make demo [ONCE=1]   start a relay on loopback and send one message through it"
	@echo "make test            run the tests (PYTEST_ARGS='...' for more arguments)"
	@echo "make check           lint, types, layers, hygiene, generated documents"
	@echo "make interop         mail clients and servers of others against Gatepost"
	@echo "make crash           kill -9, full and broken disks, turned clocks: nothing that got 250 is lost"
	@echo "make soak            200 times kill -9 under a load of every kind (CYCLES=200)"
	@echo "make postgresql-versions   the store over PostgreSQL 14 to 17 (POSTGRESQL_VERSIONS='14')"
	@echo "make test-compiled   compile what every message passes, and test that (ADR 28)"
	@echo "make bench [PLAIN=1]  speed beside other servers, plain and compiled (bench/README.md)"
	@echo "make docs            build the documentation into site/"
	@echo "make reference       write the generated pages of docs/reference/ anew"
	@echo "make constraints     pin all packages anew"
	@echo "make clean           remove .venv and everything that was built"

# ---- environments: a stamp says which constraint file was installed -------------------------

$(BIN)/python:
	@python=$$(PYTHON="$(PYTHON)" sh scripts/find-python.sh) && \
		echo "making $(VENV) with $$python" && "$$python" -m venv $(VENV)

$(VENV)/.runtime: constraints/runtime.txt pyproject.toml | $(BIN)/python
	@echo "installing what Gatepost needs"
	@$(PIP) install --require-hashes -r constraints/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.develop: constraints/develop.txt constraints/material.txt $(VENV)/.runtime
	@echo "installing what the tests and checks need"
	@$(PIP) install --require-hashes -r constraints/develop.txt
	@# read by tests, not installed: the published suite of RFC 7208 lies in pyspf's source package
	@$(PIP) download --no-deps --no-build-isolation --require-hashes -r constraints/material.txt \
		-d $(VENV)/material
	@touch $@

$(VENV)/.docs: constraints/docs.txt $(VENV)/.develop
	@echo "installing what the documentation needs"
	@$(PIP) install --require-hashes -r constraints/docs.txt
	@touch $@

# The rooms that every message passes, as C (ADR 28): PYTHONPATH=$(COMPILED) takes them.
COMPILED := build/compiled
# What it is built with, as docs/how-to/server.md says: none of the extras, none of what tests need.
COMPILER := build/compiler
$(COMPILER)/.built: constraints/compile.txt | $(BIN)/python
	@$(BIN)/python -m venv --clear $(COMPILER)
	@$(COMPILER)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r constraints/compile.txt
	@touch $@

$(COMPILED)/.built: $(COMPILER)/.built $(VENV)/.develop pyproject.toml $(wildcard scripts/compile_*.py) scripts/written_init.py $(shell find src -name '*.py')
	@echo "compiling what every message passes (a minute or two)"
	@rm -rf build/wheel $(COMPILED)
	@GATEPOST_COMPILE=1 $(COMPILER)/bin/python -m pip --disable-pip-version-check --quiet \
		wheel --no-deps --no-build-isolation -w build/wheel .
	@$(PIP) install --no-deps --target $(COMPILED) build/wheel/*.whl
	@touch $@

# ---- use ------------------------------------------------------------------------------------

demo: $(VENV)/.runtime
	@$(BIN)/python scripts/demo.py $(if $(ONCE),--once)

test: $(VENV)/.develop
	$(PYTEST) $(PARALLEL) -m "not crash" $(PYTEST_ARGS)

# What failed in the last `make test` or `make crash`, alone and twice (scripts/second_look.py).
again: $(VENV)/.develop
	$(BIN)/python scripts/second_look.py

interop: $(VENV)/.develop
	$(PYTEST) -m interop tests/interop $(PYTEST_ARGS)

# What waits for replies, ends and pauses goes side by side; what looks at its watch has the machine
# for itself. The counts are part of the result: -s, or -rP where they come from several processes.
crash: crash-together crash-alone

crash-together: $(VENV)/.develop
	$(PYTEST) $(PARALLEL) -raP -m "crash and not alone" --timeout 1800 $(PYTEST_ARGS)

crash-alone: $(VENV)/.develop
	$(PYTEST) -s -m "crash and alone" --timeout 1800 $(PYTEST_ARGS)

CYCLES ?= 200
soak: $(VENV)/.develop
	CYCLES=$(CYCLES) $(PYTEST) -s -m crash $(PYTEST_ARGS) tests/crash/test_soak.py

# The wheel that all other tests use has 18.
POSTGRESQL_VERSIONS ?= 14 15 16 17
postgresql-versions: $(VENV)/.develop
	@VENV="$(VENV)" PARALLEL="$(PARALLEL)" PYTEST_ARGS="$(PYTEST_ARGS)" \
		sh scripts/postgresql-versions.sh $(POSTGRESQL_VERSIONS)

compiled: $(COMPILED)/.built

COMPILED_TESTS ?= tests/dialogues tests/node tests/project/test_compiled.py

# What speaks to whole programs, against the compiled ones; unit tests hand in things of their own, which C refuses.
test-compiled: $(COMPILED)/.built
	PYTHONPATH=$(CURDIR)/$(COMPILED) COMPILED=1 $(PYTEST) -o pythonpath=. $(PARALLEL) $(COMPILED_TESTS) $(PYTEST_ARGS)

# ---- quality --------------------------------------------------------------------------------

check: lint types layers hygiene drift

lint: $(VENV)/.develop
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/.develop
	$(BIN)/mypy src scripts

layers: $(VENV)/.develop
	$(BIN)/lint-imports

hygiene: $(VENV)/.develop
	$(BIN)/deptry src
	@# ruff judges SQL and addresses (S608, S104) where they stand
	$(BIN)/bandit -q -r -ll --skip B104,B608 src
	$(BIN)/codespell $(SOURCES) docs README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md
	$(PYTEST) -q -p no:randomly tests/project

drift: $(VENV)/.develop
	$(BIN)/python scripts/reference.py --check

format: $(VENV)/.develop
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

# ---- documents, figures, pins ---------------------------------------------------------------

reference: $(VENV)/.develop
	$(BIN)/python scripts/reference.py

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(if $(PLAIN),$(VENV)/.runtime,$(COMPILED)/.built)
	bench/run.sh

constraints: | $(BIN)/python
	@test -x $(BIN)/uv || $(PIP) install uv
	sh scripts/constraints.sh $(BIN)/uv $(if $(UPGRADE),--upgrade)

clean:
	rm -rf $(VENV) .demo site dist build .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache
