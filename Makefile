# Targets for people; what `install` does lies in make/environment.sh.
# Every name here is relative: make splits target names at spaces, and this folder's own path may hold some.

TARGETS := help install client server demo check test coverage covered lint docs bench clean

# Variables that a user may set: which Python, how much free disk to insist on, further arguments for demo or test,
# how many tests run at once: most wait for a service or a process of their own; where a client or a server is installed.
PYTHON ?=
NEEDED_GB ?=
ARGS ?=
PARALLEL ?= 2
VENV ?=
export PYTHON NEEDED_GB VENV
unexport PYTHONHOME PYTHONPATH

UNKNOWN := $(filter-out $(TARGETS),$(MAKECMDGOALS))
ifneq ($(UNKNOWN),)
$(error There is no target "$(firstword $(UNKNOWN))"; the targets are $(TARGETS) ("make help" says what each does))
endif
ifeq ($(wildcard make/environment.sh),)
$(error Run make in the folder that holds CRYPTML's Makefile, or with -C and that folder)
endif

.DEFAULT_GOAL := help
.PHONY: $(TARGETS)
# One thing at a time, also under -j: every target begins with the same installation.
.NOTPARALLEL:

help:
	@printf '%s\n' \
	  'make install   make .venv and install CRYPTML and its pinned dependencies there (once; minutes)' \
	  'make client    make .venv-client and install there what a clinic needs, 0.7 GB (docs/installing.md)' \
	  'make server    make .venv-server and install there what a service needs, 0.7 GB' \
	  'make demo      show an encrypted inference from end to end' \
	  'make check     lint, and tests of what takes no circuit, service or training: some minutes' \
	  'make test      run the tests' \
	  'make coverage  run the tests, and say how much of each package they run (90 % at least)' \
	  'make covered   say so of the last run that was measured' \
	  'make lint      check style, types and the import contract' \
	  'make docs      build the documentation: site/index.html' \
	  'make bench     measure encrypted networks side by side (ARGS="--dataset breastmnist:PATH")' \
	  'make clean     remove these environments, caches and build outputs' \
	  '' \
	  'demo, check, test, coverage, lint, docs and bench install first where needed. Variables:' \
	  '  PYTHON=/path/to/python3.11   the Python to use (3.11 or 3.12; found by itself when not given)' \
	  '  ARGS="..."                   further arguments of "cryptml demo", pytest or the benchmark' \
	  '  PARALLEL=n                   tests at once (2)' \
	  '  VENV=/path/to/environment    where to make a client or a server (.venv-client, .venv-server)' \
	  '  NEEDED_GB=n                  free disk space to insist on before an installation (11; client, server: 2)'

install:
	@sh make/environment.sh install

client server:
	@sh make/environment.sh $@

demo: install
	@"$(CURDIR)/.venv/bin/cryptml" demo $(ARGS)

# One native thread in each: two tests at once have a core each, and threads that wait for one another would take it.
test: install
	@$(if $(filter 1,$(PARALLEL)),,OMP_NUM_THREADS=1) "$(CURDIR)/.venv/bin/python" -m pytest --numprocesses=$(PARALLEL) --dist=loadfile --no-loadscope-reorder $(ARGS)

# What a change is tried with before each commit: tests of what takes no circuit, no service and no training, in less than 3 minutes.
UNIT := tests/bundle tests/datasets tests/networks tests/reports \
  tests/profiler/test_choice.py tests/profiler/test_composition.py tests/profiler/test_report.py \
  tests/service/base/test_settings.py tests/service/database tests/service/http/test_problems.py tests/service/workers/test_pool.py \
  tests/test_documents.py tests/test_errors.py tests/test_files.py tests/test_habits.py tests/test_structure_figures.py \
  tests/test_journal.py tests/test_runtime.py tests/test_splits.py

check: lint
	@OMP_NUM_THREADS=1 "$(CURDIR)/.venv/bin/python" -m pytest --quiet --numprocesses=$(PARALLEL) --dist=loadfile --no-loadscope-reorder -m "not encrypted and not slow" $(UNIT) $(ARGS)

coverage: override ARGS += --cov --cov-report=term:skip-covered
coverage: test covered

# All together, and then each package, so that no large one hides a small one; what counts stands in pyproject.toml.
covered: install
	@for package in cryptml server client; do \
	  printf 'coverage of %s/: ' "$$package"; \
	  "$(CURDIR)/.venv/bin/python" -m coverage report --format=total --include="$$package/*" || exit 1; \
	done

lint: install
	"$(CURDIR)/.venv/bin/python" -m ruff check .
	"$(CURDIR)/.venv/bin/python" -m ruff format --check .
	"$(CURDIR)/.venv/bin/python" -m mypy
	"$(CURDIR)/.venv/bin/lint-imports"

# A warning is an error: a link that leads nowhere, a page that no menu names, a docstring that does not fit its function.
docs: install
	@NO_MKDOCS_2_WARNING=1 "$(CURDIR)/.venv/bin/python" -m mkdocs build --quiet --strict --clean $(ARGS)
	@printf '%s\n' 'The documentation is in site/index.html.'

bench: install
	@"$(CURDIR)/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement benchmarks/requirements.txt
	@"$(CURDIR)/.venv/bin/python" -m benchmarks.side_by_side $(ARGS)

clean:
	@sh make/environment.sh clean
