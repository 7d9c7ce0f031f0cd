# The whole study in a few targets: `make` lists them, `make report` writes every report.
# Written for any GNU make since 3.81, any POSIX shell, and folders named with blanks or in Japanese.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The runner does the parallel work and shares it out by itself; `make -j clean report` keeps its order.
.NOTPARALLEL:
.PHONY: help report data pdf params lab test test-all bench check tidy clean lock .venv

# With this variable set (some containers do), Python compiles every module anew in every process,
# and one notebook takes 1.6 times as long.
unexport PYTHONDONTWRITEBYTECODE
# The kernel `python3` is the one of this environment, not another one in the user's home.
export JUPYTER_PREFER_ENV_PATH := 1

# ---- What may be chosen on the command line ----------------------------------------------------
# Only there, never in the environment: every shell exports TERM, the type of its terminal.
# A value goes to the shell inside an environment variable, so nothing in it is ever run.
given = $(findstring command line,$(origin $(1)))
OPTIONS :=
define choice
ifneq ($$(call given,$(1)),)
export CHOSEN_$(1) := $$(value $(1))
unexport $(1)
OPTIONS += --$(2)="$$$$CHOSEN_$(1)"
endif
endef
$(eval $(call choice,TERM,term))
$(eval $(call choice,PROJECT,project))
$(eval $(call choice,CLOCK,clock))
$(eval $(call choice,FIELDS_MAP,fields-map))
$(eval $(call choice,INDICATOR,indicator))
$(eval $(call choice,JOBS,jobs))
# A misspelt name would be ignored by make, and the report written as if nothing had been chosen.
NAMES := TERM PROJECT CLOCK FIELDS_MAP INDICATOR JOBS PYTHON DATA_MIRROR LAB_ARGS LOCK_ARGS BENCH_ARGS
chosen := $(foreach name,$(.VARIABLES),$(if $(call given,$(name)),$(name)))
unknown := $(firstword $(filter-out $(NAMES),$(chosen)))
ifneq ($(unknown),)
$(error $(unknown): not a name that can be chosen: use one of $(NAMES))
endif
# `make -B report` writes every report anew.
ifneq ($(findstring B,$(filter-out --%,$(firstword -$(MAKEFLAGS)))),)
OPTIONS += --force
endif

# ---- The Python environment --------------------------------------------------------------------
ifneq ($(call given,PYTHON),)
# `make report PYTHON=python` uses an environment that is already there, such as conda's.
export CHOSEN_PYTHON := $(value PYTHON)
export PYTHONPATH := $(CURDIR)/src
define SET_UP
"$$CHOSEN_PYTHON" -c '
import sys
from importlib.util import find_spec
missing = [name for name in ("jupyterlab", "papermill", "pyfixest", "pytest") if not find_spec(name)]
if missing:
    print(f"PYTHON={sys.executable}: has no {missing[0]}: make the environment with"
          " `conda env create -f environment.yml` and activate it", file=sys.stderr)
    sys.exit(4)
'
endef
else
export CHOSEN_PYTHON := .venv/bin/python
# Other versions of a library, left on the path by a shell profile, would come before the locked ones.
unexport PYTHONPATH
unexport PYTHONHOME
# The copy of the lock is written last: it says that .venv is whole, and which lock it holds. Its
# content decides, not its date. The line in clusterpolicy.pth is relative and in plain letters, so
# Python reads it in any locale and the folder can be moved; an installed package would hold its path.
define SET_UP
set -eu
say() { printf '%s\n' "$$*" >&2; }
ready() {
    cmp -s requirements.lock .venv/requirements.lock &&
    .venv/bin/python -c 'import clusterpolicy' 2>/dev/null
}
ready && exit 0
test -w . || { say ".venv: this folder cannot be written to: copy it elsewhere"; exit 6; }
waiting=
while ! ln -s $$$$ .venv.busy 2>/dev/null; do
    if kill -0 "$$(readlink .venv.busy)" 2>/dev/null; then
        test "$$waiting" || say "Waiting for another make to set up .venv (none? delete .venv.busy)"
        waiting=yes
    else
        rm -f .venv.busy  # all that is left of a make that was killed
    fi
    sleep 1
done
trap 'test -e .venv/requirements.lock || rm -rf .venv; rm -f .venv.busy' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM
ready && exit 0
base=
for python in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        base=$$python
        break
    fi
done
rm -rf .venv
if command -v uv >/dev/null; then
    say "Setting up .venv from requirements.lock (once; about a minute)"
    uv venv --quiet --python "$${base:->=3.11}" .venv
    uv pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
else
    if test -z "$$base"; then
        say "python3: $$(python3 --version 2>/dev/null || echo 'not found'): install Python 3.11 or newer"
        exit 4
    fi
    if ! "$$base" -c 'import ensurepip, venv' 2>/dev/null; then
        say "$$base: has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)"
        exit 4
    fi
    say "Setting up .venv from requirements.lock (once; two or three minutes)"
    "$$base" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
        -r requirements.lock
fi
for folder in .venv/lib/python3.*/site-packages; do
    echo ../../../../src > "$$folder/clusterpolicy.pth"
done
cp requirements.lock .venv/requirements.lock
endef
endif
export SET_UP

.venv:
	@sh -c "$$SET_UP"

# ---- The targets -------------------------------------------------------------------------------
RUN := "$$CHOSEN_PYTHON" -m clusterpolicy
TESTS := "$$CHOSEN_PYTHON" -m pytest
STRIP := "$$CHOSEN_PYTHON" -m nbstripout --keep-id --extra-keys metadata.language_info.version

help:      ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

report: .venv  ## write every report, or some: TERM=2 PROJECT=id CLOCK=planned FIELDS_MAP=narrow JOBS=1
	@$(RUN) report $(OPTIONS)

# What a report depends on is known by content to the runner, which does nothing if nothing changed;
# .venv is phony, so the runner is always asked.
reports/%.html: export CHOSEN_REPORT = $*
reports/%.html: .venv
	@$(RUN) report $(OPTIONS) "$$CHOSEN_REPORT"

data: .venv  ## rebuild data/clean, derive the municipal tables again and compare (DATA_MIRROR=folder)
	@$(RUN) data

pdf: report  ## print every report as PDF beside its page (needs Chromium)
	@$(RUN) pdf

params: .venv  ## list the parameters of the reports and their allowed values
	@$(RUN) params

lab: .venv  ## open the notebooks in JupyterLab
	@"$$CHOSEN_PYTHON" -m jupyterlab --notebook-dir=notebooks $(LAB_ARGS)

test: .venv  ## run the fast tests
	@$(TESTS) -m "not slow and not browser"

test-all: .venv  ## run every test: those that render reports and open them in a browser too
	@$(TESTS) -m "not timed"

bench: .venv  ## time inference against pyfixest, and the runner against papermill, as ratios
	@"$$CHOSEN_PYTHON" benchmarks/bench_inference.py
	@"$$CHOSEN_PYTHON" benchmarks/bench.py $(BENCH_ARGS)
	@"$$CHOSEN_PYTHON" benchmarks/bench_collapse.py

check: .venv  ## lint, then run the fast tests
	@"$$CHOSEN_PYTHON" -m ruff check .
	@"$$CHOSEN_PYTHON" -m ruff format --check .
	@$(STRIP) --verify notebooks/*.ipynb
	@$(TESTS) -m "not slow and not browser"

tidy: .venv  ## format the code and strip the notebooks of what a run left in them
	@"$$CHOSEN_PYTHON" -m ruff check --fix-only --quiet .
	@"$$CHOSEN_PYTHON" -m ruff format .
	@$(STRIP) notebooks/*.ipynb

clean:     ## delete what `make report` writes (not .venv, not data/external)
	rm -rf build data/clean data/results reports

# Extras stay in the lock: without `jsonschema[format-nongpl]==` pip takes the newest one and stops.
lock:      ## renew requirements.lock from pyproject.toml (needs uv; LOCK_ARGS=--upgrade)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    --no-strip-extras --extra test $(LOCK_ARGS) pyproject.toml --output-file requirements.lock
