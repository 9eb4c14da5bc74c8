# Everything runs from .venv, which is made on first use and then needs no network.
# make PYTHON=python3.12 ...      another interpreter
# make TORCH_INDEX=URL venv       take PyTorch from there: https://download.pytorch.org/whl/cpu has the CPU build
# make test ARGS="tests/world -x" pass options to pytest; JOBS=4: that many processes

PYTHON ?= python3
DATA ?= synthetic
RUN := runs/demo-$(notdir $(DATA))
EXTRAS := dev,plots,baselines,ann,ray,serve,onnx,mlflow,tune
ARGS ?=
JOBS ?= 2
TORCH_INDEX ?=

# One thread suits nets this small; on busy cores more of them only spin. Set them yourself to override.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
export GOMP_SPINCOUNT ?= 0

# Tests are many files: to compile each of them anew in every process takes longer than to collect them.
unexport PYTHONDONTWRITEBYTECODE

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
STAMP := .venv/installed-in

# A checkout that was moved or copied must not go on importing the old place.
ifneq ($(shell cat $(STAMP) 2> /dev/null),$(CURDIR))
$(shell rm -f $(STAMP))
endif

.PHONY: help venv test demo bench docs lint types build clean

help:
	@echo "make demo [DATA=synthetic|coat]   train, evaluate and print a table; results in runs/"
	@echo "make test | lint | types          what .ci/run runs"
	@echo "make bench                        measure speed and memory, write docs/benchmarks.md: 10 minutes"
	@echo "make docs                         the pages and the reference, in site/"
	@echo "make build                        sdist and wheel in dist/"
	@echo "make venv | clean                 make .venv | remove .venv and everything built"

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "DARLR needs Python 3.11 or newer, but '$(PYTHON)' is older or missing." \
	  "Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing into .venv: minutes the first time, after that only when the pinned versions change."
	$(PY) -m pip --version > /dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv
	$(PIP) install -q -c constraints.txt setuptools
	$(PIP) install -q -c constraints.txt --no-build-isolation -e ".[$(EXTRAS)]" \
	  $(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)")
	@printf '%s' "$(CURDIR)" > $@

test: $(STAMP)
	$(PY) -m pytest -n $(JOBS) --dist worksteal $(ARGS)

demo: $(STAMP)
	.venv/bin/darlr train --data "$(DATA)" --out "$(RUN)/darlr" --epochs 3 $(if $(wildcard $(RUN)/darlr),--resume)
	.venv/bin/darlr train --data "$(DATA)" --out "$(RUN)/darlr+" --method darlr+ --epochs 2 --steps 15000 \
	  $(if $(wildcard $(RUN)/darlr+),--resume)
	.venv/bin/darlr evaluate "$(RUN)/darlr" "$(RUN)/darlr+" --out "$(RUN)/tables"

bench: $(STAMP)
	$(PY) -m benchmarks.page $(ARGS)

# Building needs no network; the first call installs the extra `docs`.
docs: $(STAMP)
	@$(PY) -c 'import zensical, latex2mathml, mkdocstrings_handlers.python' 2> /dev/null || \
	  $(PIP) install -q -c constraints.txt --no-build-isolation -e ".[docs]"
	$(PY) -m tools.imports docs/images/imports.svg
	PYTHONPATH=. $(PY) -m zensical build --clean --strict
	@echo "open site/index.html"

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(STAMP)
	$(PY) -m mypy

build: $(STAMP)
	rm -rf dist
	$(PY) -m build --no-isolation

clean:
	rm -rf .venv build dist site src/darlr.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
