# `make help` explains every target.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Else `import glassnet` beside a clone would find the clone's folder, which is no package.
EDITABLE := --config-settings editable_mode=compat
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

run: $(VENV)/installed ## Train, measure and report on handwritten digits
	$(BIN)/glassnet train digits
	$(BIN)/glassnet runs

test: $(VENV)/installed-dev check ## Every check and every test
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/test_resume_kill.py
	$(BIN)/python -m pytest tests/test_resume_kill.py

check: $(VENV)/installed-dev ## Format, lint, types
	$(BIN)/ruff format --check glassnet tests benchmarks
	$(BIN)/ruff check glassnet tests benchmarks
	$(BIN)/mypy

format: $(VENV)/installed-dev ## Format the code
	$(BIN)/ruff format glassnet tests benchmarks
	$(BIN)/ruff check --fix glassnet tests benchmarks

web: ## Build the renderer of the figures (needs Node)
	cd web && npm ci && npm run build

web-check: ## Prove that the committed renderer equals a fresh build (needs Node)
	cd web && npm ci && npm run build
	git diff --exit-code -- glassnet/web

bench: $(VENV)/installed-dev ## Compare speed with other tools (installs them)
	$(BIN)/python -m pip install -q -r benchmarks/requirements.txt -c requirements.lock
	$(BIN)/python benchmarks/training.py

lock: ## Write requirements.lock anew from what is installed
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock

clean: ## Remove the environment and all caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache web/node_modules

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch comes first and by itself: another package's open range would pull CUDA in.
$(VENV)/installed: $(VENV)/bin/python pyproject.toml requirements.lock
	$(BIN)/python -m pip install -q -c requirements.lock torch
	$(BIN)/python -m pip install -q -c requirements.lock $(EDITABLE) -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install -q -c requirements.lock $(EDITABLE) -e '.[dev]'
	touch $@

.PHONY: help run test check format web web-check bench lock clean
