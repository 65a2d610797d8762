# Everything here needs Python 3.11+ and make, nothing else: what is missing is installed into .venv first.

PYTHON_FOUND := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
PYTHON ?= $(PYTHON_FOUND)
PYTEST_ARGS ?= -n 3 --dist worksteal
RUN_DIR ?= .run
BIN := .venv/bin
INSTALLED := .venv/.installed

export RUN_DIR

.DEFAULT_GOAL := help
.PHONY: help up demo chaos kills nightly evidence token test check format lock advisory migrate clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): requirements.lock
	@test -n "$(PYTHON)" || { echo "This project needs Python 3.11 or later as python3: install it, or name one with make PYTHON=/path/to/python." >&2; exit 1; }
	@echo "Installing what is missing into .venv (once, about half a minute) ..."
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

up: $(INSTALLED) ## start the whole stack, serve until Ctrl-C
	@exec $(BIN)/python -m sandbox up

demo: $(INSTALLED) ## play one booking of each kind and check the money
	@exec $(BIN)/python -m sandbox.demo

chaos: $(INSTALLED) ## break everything at once: make chaos BOOKINGS=200 MINUTES=5 SEED=7
	@exec $(BIN)/python -m tests.chaos

kills: $(INSTALLED) ## kill -9 a worker at every boundary of every step, with three seeds
	@KILL_SEEDS=$(or $(KILL_SEEDS),3) KILL_WHOLE=1 $(BIN)/python -m pytest tests/e2e/test_kill_matrix.py -rP

nightly: $(INSTALLED) ## run every test with many more examples of every property, drawn anew
	@HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest $(PYTEST_ARGS)

evidence: $(INSTALLED) ## prove everything in its large size and write docs/evidence.md
	@$(BIN)/python -m tests.evidence

token: $(INSTALLED) ## print a sandbox token: make token ROLE=client SUB=alice
	@$(BIN)/python -m sandbox token --role "$(or $(ROLE),client)" --sub "$(or $(SUB),client-1)"

test: $(INSTALLED) ## run every test that needs nothing from outside
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(INSTALLED) ## formatting, lint, types, migrations
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m sandbox alembic-check

format: $(INSTALLED) ## format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## compile requirements.lock from pyproject.toml (needs uv)
	@uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		--group sandbox --group dev pyproject.toml -o requirements.lock

advisory: $(INSTALLED) ## look for known vulnerabilities in what requirements.lock pins
	@$(BIN)/python -m sandbox.dependency_audit

migrate: $(INSTALLED) ## bring the database at DATABASE_URL up to date
	@$(BIN)/python ops.py migrate

clean: ## remove the sandbox's data and all caches
	@! kill -0 "$$(cat "$(RUN_DIR)/lock" 2>/dev/null)" 2>/dev/null || { echo "A stack is running on $(RUN_DIR): stop it first." >&2; exit 1; }
	@rm -rf "$(RUN_DIR)" .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
