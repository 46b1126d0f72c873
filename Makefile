# Every target is one line that also works without make: see README.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PROFILE ?= laptop
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run real test test-long lab report student lint bench doctor clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(STAMP) ## install into .venv (skipped while pyproject.toml and constraints.txt stay as they are)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

run: $(STAMP) ## execute every notebook and leave a report (PROFILE=smoke|laptop|full)
	$(BIN)/python run_all.py --profile $(PROFILE)

real: $(STAMP) ## the same on real data, from the folder LABKIT_DATA (see python -m labkit.fetch --help)
	$(BIN)/python run_all.py --profile $(PROFILE) --source local

test: $(STAMP) ## run the tests, every notebook in smoke profile among them
	$(BIN)/python -m pytest -m 'not long'

test-long: $(STAMP) ## the tests that take minutes, too
	$(BIN)/python -m pytest

lab: $(STAMP) ## open JupyterLab at the first notebook
	$(BIN)/jupyter lab notebooks/00_start_here.ipynb

report: $(STAMP) ## from the results that are there: index.html, report.html, and report.pdf where a browser is
	$(BIN)/python -m labkit.report results/$(PROFILE)

student: $(STAMP) ## write the notebooks without solutions to student/, with an instructor's notes to instructor/
	$(BIN)/python -m labkit.exercises.student && $(BIN)/python -m labkit.exercises.student --edition instructor

lint: $(STAMP) ## check style, the notebooks as files, words, links and what README promises
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/python -m pytest tests/test_notebook_files.py tests/test_readme.py tests/report/test_reading.py

bench: $(STAMP) ## measure speed, quality and memory on this machine: half an hour on two cores
	$(BIN)/python -m benchmarks

doctor: $(STAMP) ## what this machine has, and what each profile needs
	$(BIN)/python -m labkit.doctor

clean: ## remove results and caches (not .venv)
	rm -rf results data/cache student instructor
