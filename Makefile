# Needs make, git and Python 3.11 or newer. `make help` lists what there is.
SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules --no-print-directory
.NOTPARALLEL:
.DEFAULT_GOAL := help

# Which Python makes the environments: one of those, unless PYTHON names another.
PYTHON ?=
CANDIDATES := python3 python3.13 python3.12 python3.11 python3.14
ARGS ?=
# Processes that the tests run in: many tests wait for a while.
JOBS ?= 3

# Another active environment must not leak into ours.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH

PINS := pyproject.toml constraints.txt requirements/encoder.txt tools/install.py

# An environment does not survive a move of its folder or the loss of its Python.
broken = $(shell test ! -e $(1) || { test -x $(1)/bin/python && $(1)/bin/python -c '' 2>/dev/null && \
	{ test ! -e $(1)/place || test "$$(cat $(1)/place)" = "$$(pwd -P)"; }; } || echo FORCE)

.PHONY: help run serve test lint format nightly test-train bench chart chart-sync prism lock clean FORCE

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  ARGS='…' is passed on, e.g. make run ARGS='--seed 7'; PYTHON=… names the Python to use"

run: .venv/ready  ## install, then turn the ring once on real input
	@.venv/bin/predator run $(ARGS)

serve: .venv/ready  ## the platform alone, on the live release
	@.venv/bin/predator serve $(ARGS)

bench: .venv/ready  ## measure, e.g. ARGS='relevance DIR'
	@.venv/bin/predator bench $(ARGS)

test: lint  ## everything the tests need, the checks, then the tests
	@.venv/bin/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: .venv/ready-dev  ## ruff, mypy, the import law
	@.venv/bin/ruff check --quiet --output-format concise .
	@.venv/bin/ruff format --quiet --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

format: .venv/ready-dev  ## put the code in order
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

nightly: .venv/ready-dev  ## the longer battery
	@.venv/bin/python -m pytest -m nightly --hypothesis-profile=nightly $(ARGS)

test-train: .venv-train/ready  ## the tests that need torch, in an environment of their own
	@.venv-train/bin/python -m pytest -m train tests/search/encoder tests/learning tests/loop tests/adapters/query_writer $(ARGS)

chart: .venv/ready-dev  ## the Helm chart, linted, rendered and validated for each contour
	@.venv/bin/python tools/chart.py check $(ARGS)

chart-sync: .venv/ready-dev  ## what contours say, from the package into the chart
	@.venv/bin/python tools/chart.py sync

prism:  ## what checks all that is said to Argo CD and Argo Rollouts, for `make nightly` (needs Node)
	@folder="$${XDG_CACHE_HOME:-$$HOME/.cache}/predator/prism" && mkdir -p "$$folder" && \
		npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$$folder" \
		@stoplight/prism-cli@5.14.2 @kubernetes-models/argo-rollouts@2.0.0

lock: .venv-lock/bin/python  ## resolve the pins anew; ARGS=--upgrade moves them
	@.venv-lock/bin/python -m pip install --quiet uv==0.13.9
	@pin() { .venv-lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
		--no-annotate --custom-compile-command 'make lock' --extra search --extra track --extra dev --extra deploy $(ARGS) "$$@"; } && \
	elsewhere="sys_platform == '(win32|emscripten)'|^(triton|nvidia|cuda)" && \
	pin --output-file constraints.txt && \
	cat constraints.txt requirements/train.txt > .venv-lock/train.txt && \
	pin --extra train --constraint constraints.txt --output-file .venv-lock/train.txt && \
	{ head -2 constraints.txt; grep -vxFf constraints.txt .venv-lock/train.txt | grep -vE "$$elsewhere"; } \
		> requirements/train.txt && \
	grep -vE "$$elsewhere" constraints.txt > .venv-lock/constraints.txt && \
	cp .venv-lock/constraints.txt constraints.txt

clean:  ## remove what make made (not .predator and artifacts: those are yours)
	@rm -rf .venv .venv-train .venv-lock build dist src/*.egg-info
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || :

.venv/ready: $(PINS) $(call broken,.venv) | .venv/bin/python
	@.venv/bin/python tools/install.py run
	@touch $@

.venv/ready-dev: .venv/ready
	@.venv/bin/python tools/install.py dev
	@touch $@

.venv-train/ready: $(PINS) requirements/train.txt $(call broken,.venv-train) | .venv-train/bin/python
	@.venv-train/bin/python tools/install.py train
	@touch $@

.venv/bin/python: $(call broken,.venv)
.venv-train/bin/python: $(call broken,.venv-train)
.venv/bin/python .venv-train/bin/python .venv-lock/bin/python:
	@python=; for candidate in $(if $(PYTHON),"$(PYTHON)",$(CANDIDATES)); do \
		"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		python=$$candidate; break; \
	done; \
	if [ -z "$$python" ]; then \
		echo "error: Python 3.11 or newer is needed$(if $(PYTHON),; $(PYTHON) is older or missing,). Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	folder=$(patsubst %/bin/python,%,$@); \
	"$$python" -m venv --clear --prompt predator "$$folder" && pwd -P > "$$folder/place" || { \
		rm -rf "$$folder"; \
		echo "error: $$python cannot make a virtual environment; Debian and Ubuntu need: apt install python3-venv" >&2; \
		exit 1; \
	}

FORCE:
