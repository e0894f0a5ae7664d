# Each target makes the virtual environment first, from the pinned lock; python >= 3.11, pip and make are all it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH = $(BIN)/python benchmarks/prefix_scoring.py --model $(RAML_REAL_MODEL)
export OMP_NUM_THREADS ?= 2
export TOKENIZERS_PARALLELISM := false
# Neither needs a network, and both say so.
demo test test-slow studies: export HF_HUB_OFFLINE := 1

.PHONY: help demo test test-slow test-real lint format bench coverage docs docs-check tiny studies claims lock audit clean

help:
	@echo "make demo       the whole path on the embedded model, ending in report.html"
	@echo "make test       the quick tests;  test-slow, test-real (RAML_REAL_MODEL=FOLDER): the other tiers"
	@echo "make lint       ruff, pyright, import-linter;  format: let ruff rewrite"
	@echo "make bench      time the engine against its bound and other ways (RAML_REAL_MODEL=FOLDER)"
	@echo "make coverage   simulate how often the intervals hold the truth (six minutes)"
	@echo "make docs       the documentation as a site in site/;  docs-check: its commands, code and links"
	@echo "make tiny       make the embedded model's weights again (about half an hour)"
	@echo "make studies    every figure and table of the paper on the embedded models, with verdicts (about an hour)"
	@echo "make claims     take their results into the package and docs/claims.md"
	@echo "make lock       resolve the pinned versions again"
	@echo "make audit      is each package pinned, is nothing else imported, and what is known against them (asks the index)"

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "raml needs python >= 3.11; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP)
	$(BIN)/raml demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

test-real: $(STAMP)
	@test -n "$(RAML_REAL_MODEL)" || { echo "Set RAML_REAL_MODEL to the folder of a real model."; exit 2; }
	$(BIN)/python -m pytest -m real

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Half an hour with a real model of half a billion parameters, five minutes without.
bench: $(STAMP)
	$(BIN)/python benchmarks/prefix_scoring.py --lens 120 --batch 64 --strata 41
	$(BIN)/python benchmarks/training_overhead.py
	$(BIN)/python benchmarks/workers.py
	$(if $(RAML_REAL_MODEL),$(BENCH) --dtypes float32 bfloat16 --lens 512 2048 --repeats 2)
	$(if $(RAML_REAL_MODEL),$(BENCH) --dtypes bfloat16 --lens 256 512 1024 2048 4096 --repeats 1 --strata 3)
	$(if $(RAML_REAL_MODEL),$(BENCH) --dtypes float32 bfloat16 --lens 512 --threads 1 2 --repeats 2)
	$(if $(RAML_REAL_MODEL),$(BIN)/python benchmarks/peak_memory.py --model $(RAML_REAL_MODEL))

coverage: $(STAMP)
	$(BIN)/python benchmarks/interval_coverage.py
	$(BIN)/python benchmarks/interval_coverage.py --questions 134 --simulations 500

# The variable silences advertising for another version of MkDocs.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open site/index.html."

docs-check: $(STAMP)
	$(BIN)/python -m pytest tests/docs

tiny: $(STAMP)
	$(BIN)/python recipes/tiny.py

studies: $(STAMP)
	$(BIN)/raml study all --scale tiny

claims: $(STAMP)
	$(BIN)/python recipes/claims.py $(wildcard studies-tiny)

lock: $(STAMP)
	$(BIN)/python -m piptools compile --quiet --strip-extras --extra dev --extra train --extra tasks --extra server --extra inspect --extra scale --extra docs \
		--no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --output-file requirements.lock pyproject.toml requirements.in
	sed -i 's/+cpu$$//' requirements.lock  # a plain version matches CPU and CUDA builds alike

# Installs pip-audit for itself, in a folder that it removes. What could not be looked up is told and is no success.
audit: $(STAMP)
	$(BIN)/python recipes/audit.py

clean:
	rm -rf $(VENV) raml-demo site .pytest_cache .ruff_cache .hypothesis .import_linter_cache
