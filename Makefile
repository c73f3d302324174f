# make demo   one loan's whole life through the real services
# make test   the test suite
# make check  lint, types, import rules, contracts
# make serve  everything running, to play with
# make simulate SEED=7 MINUTES=10   random days and faults at the ledger, held against an oracle
# make torture SEED=7 ROUNDS=60     a day end killed at random moments, held against an undisturbed one
# make bench  every figure of the README, each against its baseline (an hour)

SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
SERVICES := $(VENV)/.services
STAMP := $(VENV)/.installed
SEED ?= 1
MINUTES ?= 5
ROUNDS ?= 60

.PHONY: demo test check serve simulate torture bench protos docs clean lint types imports contracts format

demo: $(SERVICES)
	@$(PY) -m tael_cli demo

test: $(STAMP)
	$(PY) -m pytest -n 3 --dist worksteal

serve: $(SERVICES)
	@$(PY) -m tael_cli serve all

simulate: $(STAMP)
	PYTHONPATH=tests $(PY) -m ledger.simulation --seed $(SEED) --minutes $(MINUTES)

torture: $(STAMP)
	PYTHONPATH=tests $(PY) -m journeys.torture --seed $(SEED) --rounds $(ROUNDS)

BENCHES := ledger_online ledger_bulk ledger_columns ledger_reads ledger_prove ledger_growth servicing_engine servicing_repay servicing_age eod eod_online
bench: $(STAMP)
	@for each in $(BENCHES); do $(PY) -m bench.$$each; done

check: lint types imports contracts

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(STAMP)
	$(PY) -m mypy

imports: $(STAMP)
	$(PY) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

contracts: $(STAMP)
	$(PY) tests/contracts_check.py

docs: $(STAMP)
	$(PY) docs/generate.py

format: $(STAMP)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

protos: $(STAMP)
	$(PY) build_stubs.py

# Debian without python3-venv has no ensurepip: then the system's pip fills the environment.
$(SERVICES): pyproject.toml constraints.txt build_stubs.py $(shell find protos/tael -name '*.proto')
	@echo "Preparing $(VENV) (once)…"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV) && $(PYTHON) -m venv --without-pip $(VENV); }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m pip --python $(PY) install -q pip
	@$(PY) -m pip install -q -c constraints.txt hatchling editables grpcio-tools mypy-protobuf protovalidate googleapis-common-protos
	@$(PY) -m pip install -q -c constraints.txt --no-build-isolation -e '.[demo]'
	@touch $(SERVICES)

$(STAMP): $(SERVICES)
	@echo "Adding what tests and checks need (once)…"
	@$(PY) -m pip install -q -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache build dist
	find protos -name '*_pb2*' -delete
