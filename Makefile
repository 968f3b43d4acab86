# Everything a developer does, by name. `make help` lists it. Extra arguments go in ARGS.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# our own modules, too, are compiled once and not at each of the hundreds of starts in the tests
unexport PYTHONDONTWRITEBYTECODE

ARGS ?=
ONLY ?=
BIN := .venv/bin
CODE := libs services tools tests
# mypy is strict on the pure cores and on what all services share
CORES := $(wildcard libs/common/peerview_common services/compute/peerview_compute/model \
	services/share/peerview_share/attack services/share/peerview_share/disclosure)
TYPED_MODULES := $(wildcard tools/peerview_tools/*broker*.py tools/peerview_tools/kafka_*.py)

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: env
env: ## make .venv exactly as requirements.lock says (nothing to do when it is so already)
	@tools/env.sh

.PHONY: demo
demo: env ## broker, services and simulated practices; prints the page's address (ARGS=--once to stop by itself)
	@$(BIN)/peerview demo $(ARGS)

.PHONY: demo-synthea
demo-synthea: env ## the same with Synthea's synthetic patients
	@$(BIN)/peerview demo-synthea $(ARGS)

JOBS ?= 3

.PHONY: test
test: env ## every test that is neither long nor chaos (ARGS="-k name", JOBS=1 for one at a time); starts the broker it needs
	@echo "[test] pytest; the first test that needs Kafka starts a container or a local JVM" >&2
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-long
test-long: env ## the tests that take minutes
	@$(BIN)/python -m pytest -m long --timeout=3600 $(ARGS)

.PHONY: chaos
chaos: env ## the tests that kill, pause and restart brokers and services
	@$(BIN)/python -m pytest -m chaos --timeout=1800 $(ARGS)

.PHONY: bench
bench: env ## one JSON line a measure, and the table (ONLY=NAME for one)
	@$(BIN)/peerview bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

.PHONY: docs
docs: env ## write the generated pages and contract files anew
	@$(BIN)/peerview docs $(ARGS)

.PHONY: lint
lint: env ## ruff, formatting, mypy on the cores, import rules
	@echo "[lint] ruff check" >&2; $(BIN)/ruff check $(CODE)
	@echo "[lint] ruff format" >&2; $(BIN)/ruff format --check $(CODE)
	@echo "[lint] mypy --strict" >&2; $(BIN)/mypy $(CORES) $(TYPED_MODULES)
	@echo "[lint] import rules" >&2; $(BIN)/lint-imports

.PHONY: format
format: env ## put code into the agreed form
	@$(BIN)/ruff check --fix --exit-zero -q $(CODE)
	@$(BIN)/ruff format $(CODE)

.PHONY: lock
lock: ## resolve the pyproject files into requirements.lock (ARGS=--upgrade for the newest of everything)
	@tools/env.sh lock $(ARGS)

.PHONY: hooks
hooks: env ## run the pre-commit hooks at every commit of this clone
	@$(BIN)/pre-commit install

.PHONY: clean
clean: ## delete what these targets made (the caches outside the checkout stay)
	@rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
