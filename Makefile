# Everything here makes .venv itself when it is missing or when requirements changed.

PYTHONS := python3.13 python3.12 python3.11 python3 python
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# One more than there are cores: some tests wait for others.
JOBS ?= 3
VECTORS := tests/unit/authn/test_wycheproof.py tests/unit/ledger/test_proof.py
SCALE := "tests/docs/test_examples.py::test_blocks_marked_run_do_what_they_say" tests/unit/review/test_impact.py
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help quickstart test lint format bench interop scale docs lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: $(READY) ## watch a company's tokens being decided, recorded, signed, explained and refused
	@$(VENV)/bin/mintwarden quickstart $(ARGS)

test: $(READY) ## the whole suite (ARGS="tests/unit/mint -k prepare" for a part of it)
	@$(PY) -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

lint: $(READY) ## lint, format, types, import contracts, our own lints
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(PY) -m tools.lint

format: $(READY) ## put code into its format
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format .

bench: $(READY) ## measure, against npm oidc-provider on the same core (needs Node 20)
	@$(PY) -m bench $(ARGS)

interop: $(READY) $(VENV)/.interop interop/node_modules/.ready ## other people's tools against a running server (needs Node 20, Chromium)
	@$(PY) -m pytest interop $(VECTORS) -p no:xdist $(ARGS)

scale: $(READY) ## the tests that replay history, at the size that the documentation speaks of
	@MINTWARDEN_TEST_SIZE=full $(PY) -m pytest -p no:xdist $(SCALE) $(ARGS)

docs: $(READY) ## write docs/cli.md and docs/openapi.json anew and run what the documentation says
	@$(PY) -m tools.cli_reference
	@$(PY) -m tools.openapi_document
	@$(PY) -m pytest tests/docs $(ARGS)

lock: build/lock/bin/uv ## resolve requirements/*.txt anew, hashes and all (ARGS=--upgrade for newer versions)
	@for set in base dev interop; do \
	  build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header \
	    --no-annotate --no-emit-index-url --no-emit-find-links $(ARGS) pyproject.toml \
	    $$(test $$set = base || echo "--group $$set -c requirements/base.txt") $$(test $$set = interop && echo "-c requirements/dev.txt") -o requirements/$$set.txt || exit 1; \
	done

clean: ## remove everything that was made here
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .quickstart \
	  interop/node_modules bench/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- what the targets stand on ------------------------------------------------

$(READY): requirements/dev.txt pyproject.toml
	@set -e; if ! $(PY) -m pip --version >/dev/null 2>&1; then \
	  for candidate in $(PYTHONS); do \
	    if $$candidate -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; \
	    then chosen=$$candidate; break; fi; \
	  done; \
	  if [ -z "$$chosen" ]; then \
	    echo "no Python from 3.11 to 3.13 with the venv module was found (on Debian: apt-get install python3-venv)" >&2; exit 1; \
	  fi; \
	  echo "making $(VENV) with $$($$chosen --version); the first time takes a minute or two"; \
	  $$chosen -m venv --clear $(VENV); \
	fi
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.interop: $(READY) requirements/interop.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/interop.txt
	@touch $@

build/lock/bin/uv: requirements/lock.txt $(READY)
	@$(PY) -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lock.txt
	@touch $@

interop/node_modules/.ready: interop/package-lock.json
	@cd interop && npm ci --silent --no-audit --no-fund
	@touch $@
