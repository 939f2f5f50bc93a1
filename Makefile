# `make demo` and `make test` alone set up everything they need. STATEVEC_PYTHON names another interpreter.
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: help setup demo test torture check bench clean

help:  ## what there is to do
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(STAMP): pyproject.toml tools/setup.sh
	bash tools/setup.sh $(VENV)
	@touch $(STAMP)

setup: $(STAMP)  ## a virtual environment with all that development needs

demo: $(STAMP)  ## the hedge engine, end to end, on a small market
	$(PYTHON) -m statevec.cli.main demo

check: $(STAMP)  ## format, lint, types, import directions
	$(VENV)/bin/ruff format --check statevec tests tools bench
	$(VENV)/bin/ruff check statevec tests tools bench
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: check  ## everything that must hold
	$(PYTHON) -m pytest -n 2 tests

torture: $(STAMP)  ## kills, disk faults, power losses and simulated faults, many of each
	$(PYTHON) -m tools.kill_matrix --kills 1000 --format json
	$(PYTHON) -m tools.disk_faults --format json
	$(PYTHON) -m tools.power_loss --cuts 5000 --format json
	$(PYTHON) -m tools.simulate --seeds 2000 --format json

bench: $(STAMP)  ## the figures of docs/measure.md into bench/results/
	$(PYTHON) -m pip install -q -e '.[bench]'
	$(PYTHON) -m bench

clean:  ## remove what was built here
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
