# Every target is one line that also works without make: see README.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PROFILE ?= laptop
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run test test-long lab report student lint bench doctor clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(STAMP) ## install into .venv (skipped while pyproject.toml and constraints.txt stay as they are)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

run: $(STAMP) ## execute every notebook and leave a report (PROFILE=smoke|laptop|full)
	$(BIN)/python run_all.py --profile $(PROFILE)

test: $(STAMP) ## run the tests, every notebook in smoke profile among them
	$(BIN)/python -m pytest -m 'not long'

test-long: $(STAMP) ## the tests that take minutes, too
	$(BIN)/python -m pytest

lab: $(STAMP) ## open JupyterLab in the notebooks folder
	$(BIN)/jupyter lab notebooks

report: $(STAMP) ## rebuild the index page from the results that are there
	$(BIN)/python -m labkit.report results/$(PROFILE)

student: $(STAMP) ## write the notebooks without solutions to student/
	$(BIN)/python -m labkit.exercises.student

lint: $(STAMP) ## check style, and that notebooks are stored without outputs
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/python -m pytest tests/test_notebook_files.py

bench: $(STAMP) ## measure speed, quality and memory on this machine: half an hour on two cores
	$(BIN)/python -m benchmarks

doctor: $(STAMP) ## what this machine has, and what each profile needs
	$(BIN)/python -m labkit.doctor

clean: ## remove results and caches (not .venv)
	rm -rf results data/cache student
