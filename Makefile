# payhub: `make help` lists what there is. Two commands do everything: `make demo` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Any Python from 3.11; `make install PYTHON=/path/to/python3.12` chooses another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)
UV ?= $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
BIN := .venv/bin
SEEDS ?= 500
# A worker for each core; a file's tests stay together and in order, because they may share a running house.
WORKERS ?= logical
SIDE_BY_SIDE := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
STAMP := .venv/.installed
REQUIREMENTS := $(wildcard requirements/*.txt)
COMPILE := compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11

# uv uses the Python it is given and downloads none; a package index named for pip is uv's as well.
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif

# Tests and demonstration start many processes: without its bytecode each would compile all of payhub anew.
unexport PYTHONDONTWRITEBYTECODE

# What is in .venv knows its own place and needs the Python it was made with: after either is gone, a new one.
ifneq ($(shell $(BIN)/python -c '' 2>/dev/null && cat $(STAMP) 2>/dev/null),$(CURDIR))
$(shell rm -f $(STAMP))
endif

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(STAMP) ## Install payhub and its locked dependencies into .venv (brings its own uv if there is none)

.PHONY: demo
demo: install ## Send 20 payments between four institutions over two engines, and check them
	@$(BIN)/payhub demo

.PHONY: test
test: install ## Run all tests
	@$(BIN)/pytest -q $(SIDE_BY_SIDE)

# As root on Debian what is absent is installed; else the tests say what to install.
.PHONY: interop
interop: install ## Test against foreign software (Node.js packages, Redis, Schemathesis), which is installed for it
	@missing=""; command -v npm >/dev/null || missing="nodejs npm"; \
	command -v redis-server >/dev/null || missing="$${missing:+$$missing }redis-server"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing $$missing ..."; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	elif [ -n "$$missing" ]; then echo "Not installed, and this is not root on Debian: $$missing" >&2; fi
	@$(BIN)/pytest -q --timeout 900 tests/interop # npm takes its time

.PHONY: sim
sim: install ## Run more simulated faults than the tests do: make sim SEEDS=2000
	@RAFT_SEEDS=$(SEEDS) ENGINE_SEEDS=$(SEEDS) $(BIN)/pytest -q --numprocesses $(WORKERS) --timeout 0 tests/simulation

.PHONY: check
check: install ## Lint, types, import rules and layout
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest -q tests/unit/test_layout.py

.PHONY: format
format: install ## Format the code and sort its imports
	@$(BIN)/ruff check --fix-only --select I
	@$(BIN)/ruff format

.PHONY: lock
lock: $(UV) ## Lock the newest allowed versions: everything for developers, and each process's own
	@$(UV) pip $(COMPILE) --upgrade requirements/uv.in -o requirements/uv.txt
	@$(UV) pip $(COMPILE) --upgrade requirements/schemathesis.in -o requirements/schemathesis.txt
	@$(UV) pip $(COMPILE) --upgrade --all-extras pyproject.toml -o requirements/dev.txt
	@for process in engine gateway operations sandbox tenants; do \
		$(UV) pip $(COMPILE) --extra "$$process" -c requirements/dev.txt pyproject.toml \
			-o "requirements/$$process.txt"; \
	done

.PHONY: clean
clean: ## Remove what install, test and check made (data under .payhub stays)
	@rm -rf .venv .uv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .interop dist
	@find platform tenants gateway engines tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything comes from the lock files, the build backend too: nothing else is fetched.
$(STAMP): pyproject.toml requirements/dev.txt requirements/uv.txt Makefile | python-is-new-enough
	@test -x "$(UV)" || $(MAKE) .uv/bin/uv
	@test -e $@ || { rm -rf .venv && "$(UV)" venv --quiet --python "$(PYTHON)" .venv; }
	@echo "Installing locked dependencies into .venv ..."
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@echo "$(CURDIR)" > $@

.PHONY: python-is-new-enough
python-is-new-enough:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "payhub needs Python 3.11 or newer; name one with: make install PYTHON=/path/to/python3.11" >&2; exit 1; }

.uv/bin/uv: requirements/uv.txt | python-is-new-enough
	@echo "Installing uv into .uv ..."
	@"$(PYTHON)" -m venv .uv \
		|| { echo "This Python has no venv module (on Debian and Ubuntu: package python3-venv)." >&2; exit 1; }
	@.uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@
