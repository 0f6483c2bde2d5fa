# Everything a person or CI runs. Needs Python 3.11 or newer and make; the rest goes into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/.set-up

.DEFAULT_GOAL := help
.PHONY: help setup lint format test hazards demo

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(SET_UP) ## create .venv with the locked packages and this project; at once when nothing changed

$(SET_UP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "commlayer needs Python 3.11 or newer, not " \
	    + sys.version.split()[0] + ". Choose one: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lint: setup ## ruff (lint, format), mypy, direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

TEST_WORKERS ?= 2
test hazards: export PYTHONDONTWRITEBYTECODE := # hundreds of processes are started: none should compile everything anew
test: lint ## lint, then every test but the long ones (make hazards); a real Kafka and registry by Docker, or Java 17 and Maven, or COMMLAYER_TEST_*
	@$(BIN)/python -m tests.support.fetch
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

HAZARDS ?= tests
hazards: setup ## the long tests at full size, one after the other (README, "Test it"); HAZARDS=<file> for one of them
	@$(BIN)/python -m tests.support.fetch
	$(BIN)/python -m pytest -m long $(HAZARDS)

DEMO_SECONDS ?= 25
BROKER ?= embedded
demo: setup ## the whole blueprint with live traffic; DEMO_SECONDS=60 for longer, BROKER=kafka for a real broker
ifeq ($(BROKER),kafka)
	@$(BIN)/python -m tests.support.with_kafka $(BIN)/commlayer demo --seconds $(DEMO_SECONDS) --bootstrap {bootstrap}
else ifeq ($(BROKER),embedded)
	@$(BIN)/commlayer demo --seconds $(DEMO_SECONDS)
else
	@echo "BROKER is embedded or kafka, not $(BROKER)"; exit 2
endif
