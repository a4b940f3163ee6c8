# The two commands of the README are `make book` and `make test`. Both make .venv first if it is missing or older than the lock.
# With an environment of your own (conda): make book PY=python

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)

# The stamp's name says for which lock and in which folder .venv was filled: no clock is asked, so a checkout of an older lock counts too.
STAMP := .venv/installed-$(shell { cat requirements.lock; pwd; } | cksum | cut -d ' ' -f 1)
ifeq ($(origin PY),undefined)
PY := .venv/bin/python
READY := $(STAMP)
endif

# Workers share the cores: with several, each process computes on one thread (tests/conftest.py). Each gets tests that stand together
# and takes others over when it is done (--dist worksteal), so that what a file or a run prepares is seldom made twice.
WORKERS ?= 2

export TOKENIZERS_PARALLELISM = false
export PYDEVD_DISABLE_FILE_VALIDATION = 1
export PYTHONHASHSEED = 0
# Threads that wait for others sleep. Those that spin, which is the default, take the cores from whoever else computes: beside other programs
# the pair searches of a chapter then take many times as long.
export OMP_WAIT_POLICY = passive

.PHONY: help install book pdf chapter notebooks test test-slow coverage oracles audit site-test links serve bench train train-small lint lock readme findings placebo clean

help:
	@echo "make book                 build _build/html/index.html; JOBS=1 executes one chapter at a time, for machines with little memory"
	@echo "make test                 pairs, unit, integration and book tests, and every chapter as a notebook"
	@echo "make test-slow            the few tests that take minutes each"
	@echo "make coverage             tests of the library with its coverage, lines and branches together, at least 90%; slower than make test"
	@echo "make oracles              ask TransformerLens and other programs anew; downloads about two gigabytes"
	@echo "make chapter NAME=models  execute one chapter again and build"
	@echo "make notebooks            book/*.py to book/*.ipynb"
	@echo "make serve                read the book at http://localhost:8000; pages are built again when they change"
	@echo "make pdf                  print the book to _build/pdf/book.pdf (needs Chromium)"
	@echo "make install | site-test | links | audit | bench | train | train-small | lint | lock | readme | findings | placebo | clean"

install: $(READY)

$(STAMP): requirements.lock
	@test -n "$(PYTHON)" || { echo "no python3.11 found; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || \
	  { echo "expected Python 3.11 or 3.12, found $$($(PYTHON) -V); set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.lock)"
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f .venv/installed-*
	@touch .venv/installing && mv .venv/installing $@

notebooks: $(READY)
	$(PY) tools/pairs.py write

book: $(READY)
	$(PY) tools/pairs.py write
	$(PY) tools/build_book.py $(if $(JOBS),--jobs $(JOBS))

chapter: $(READY)
	@test -n "$(NAME)" || { echo "which one? make chapter NAME=models"; exit 1; }
	$(PY) tools/pairs.py write
	$(PY) tools/build_book.py --chapter $(NAME)

# Every chapter is executed, too, unless the book was just built and so has executed them.
test: $(READY)
	$(PY) tools/pairs.py check
	@if ANALYSIS_MODELS= $(PY) tools/build_book.py --is-current; then \
	  echo "the book in _build is current: its chapters are not executed again, its pages are tested"; \
	  $(PY) -m pytest -q -n $(WORKERS) --dist worksteal -m "not slow" tests; \
	else $(PY) -m pytest -q -n $(WORKERS) --dist worksteal --nbmake --nbmake-timeout=300 -m "not slow" tests book; fi

# The few tests that take minutes each: the wheel in an empty environment, models of real size, work that is killed, a longer run of a recipe.
test-slow: $(READY)
	$(PY) -m pytest -q -n $(WORKERS) --dist loadfile -m slow tests

# The tests that run the library in this process; chapters and built pages would add little. HYPOTHESIS=thorough tries ten times as many examples.
coverage: $(READY)
	$(PY) -m pytest -q -n $(WORKERS) --dist worksteal --cov --cov-report=term -m "not slow" tests/unit tests/integration $(if $(HYPOTHESIS),--hypothesis-profile=$(HYPOTHESIS))

# Other people's programs are heavy and have an environment of their own. What they say is kept in tests/oracles, so that the tests compare
# without them.
ORACLES := .venv-oracles/installed-$(shell { cat oracles.lock; pwd; } | cksum | cut -d ' ' -f 1)

$(ORACLES): oracles.lock
	$(PYTHON) -m venv .venv-oracles
	.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' oracles.lock)"
	.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check -r oracles.lock
	@rm -f .venv-oracles/installed-*
	@touch .venv-oracles/installing && mv .venv-oracles/installing $@

oracles: $(ORACLES)
	.venv-oracles/bin/python tools/oracles.py record

# Needs the network: known weaknesses of the packages that the lock pins. pip-audit runs in an environment of its own.
audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.venv-audit/bin/pip-audit --no-deps --disable-pip -r requirements.lock

site-test: $(READY)
	$(PY) -m pytest -q -m site tests/book

# Needs the network. Fails on a dead link; the weekly workflow reports that without failing.
links: book
	@status=0; $(PY) -c "from jupyter_book.cli.main import main; main()" build . --builder linkcheck || status=$$?; \
	  mkdir -p _build/linkcheck && mv -f _build/html/output.txt _build/html/output.json _build/linkcheck/; exit $$status

# A page that is saved is built again; reload it in the browser.
serve: book
	$(PY) tools/serve.py

pdf: book
	$(PY) tools/pdf_book.py

bench: $(READY)
	@for script in benchmarks/[!_]*.py; do echo "== $$script"; $(PY) $$script || exit 1; done

# From the archives of text to new checkpoints, see training/README.md: make train ARGS="--archives FOLDER". Hours on
# a CPU; a run that was stopped goes on where it was. minigpt-induction and the regressors draw their own data: make train-small needs no archive.
train: $(READY)
	@test -n "$(ARGS)" || { echo 'make train ARGS="--archives folder": see training/README.md'; exit 1; }
	$(PY) -m training $(ARGS)

train-small: $(READY)
	$(PY) -m training.minigpt --export
	@for task in regressor regressor-noisy model-selector model-selector-few; do \
	  for seed in 0 1 2; do $(PY) -m training.regressor --task $$task --seed $$seed || exit 1; done; \
	  $(PY) -m training.regressor_export --task $$task || exit 1; done
	$(PY) -m training.diversity
	$(PY) -m training.clamps

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -c "from importlinter.cli import lint_imports_command; lint_imports_command()" --no-cache
	$(PY) -m mypy

# Writes requirements.lock from what .venv holds: change versions there, then `make lock`.
lock:
	$(PY) tools/lock.py requirements.lock

# Numbers and figure of the README from the last build.
readme: book
	$(PY) tools/readme.py

# What the last build claims and shows, for the null board and for comparisons: book/findings.json. Then build again, for the board.
findings: book
	$(PY) tools/findings.py write

# What the chapters claim about untrained twins of the Polish models: book/placebo.json. About as long as `make book`; NAME=lenses runs one chapter.
placebo: $(READY)
	$(PY) tools/placebo_board.py $(NAME)

clean:
	rm -rf _build .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage
