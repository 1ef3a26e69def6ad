# make demo   solve the sample shot and build demo/scene.blend      make test  run the tests
# make lint   ruff and mypy      make zip  the extension for Blender      make test-all  what CI runs
# make repository   dist/repository: the zip and its listing, for any web server; Blender installs and updates from it
# make truth  render the shots with known truth that the benchmarks measure by (about an hour; goes on where it stopped)
#
# Each target sets up what it needs in .venv (and .venv-lts), once. Python 3.11 or 3.13, the versions that Blender is
# published for as a Python module; set PYTHON to choose. On Linux plain torch brings several GB of CUDA:
#   make test PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"   takes the small CPU build.

SHELL := /bin/bash
VENV ?= .venv
VENV_LTS ?= .venv-lts
PIP_FLAGS ?=
supported := import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 13)))
PYTHON ?= $(shell for p in python3.11 python3.13 python3 python; do $$p -c "$(supported)" 2>/dev/null && echo $$p && break; done)
# Blender 4.5 LTS is published for Python 3.11 alone.
PYTHON_LTS ?= $(shell python3.11 -c "" 2>/dev/null && echo python3.11)
RUN := $(VENV)/bin/python
PIP := -m pip install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action=ignore $(PIP_FLAGS)

.PHONY: demo truth test test-lts test-real test-all lint zip repository validate clean
.DELETE_ON_ERROR:

# $(call new_environment,FOLDER,PYTHON)
define new_environment
	@test -n "$(2)" || { echo "No Python 3.11 or 3.13 found: install one, or name it with make PYTHON=/path/to/python"; exit 1; }
	@echo "Setting up $(1) with $$($(2) --version) ..."
	@$(2) -m venv $(1) || { echo "Python's venv module is incomplete here (on Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@$(1)/bin/python $(PIP) --upgrade "pip>=25.1"
endef

# What the demo needs: the classical engine and Blender, no torch.
$(VENV)/.demo: pyproject.toml
	$(call new_environment,$(VENV),$(PYTHON))
	@$(RUN) $(PIP) --editable . --group blender
	@$(RUN) -c "import bpy" || { echo "Blender's module does not load: a system library is missing (on Debian and Ubuntu: apt install libx11-6 libxi6 libxfixes3 libxrender1 libgl1 libegl1 libsm6 libxkbcommon0)"; exit 1; }
	@$(RUN) -m vggt_blender.backend.environment  # so that the installed add-on finds this environment
	@touch $@

# Everything: VGGT, tests, linters.
$(VENV)/.all: $(VENV)/.demo
	@echo "Adding torch and the test tools ..."
	@$(RUN) $(PIP) --editable ".[vggt]" --group blender --group test --group lint
	@touch $@

# Blender's previous long-term release, for the Blender side of the tests.
$(VENV_LTS)/.ready: pyproject.toml
	$(call new_environment,$(VENV_LTS),$(PYTHON_LTS))
	@$(VENV_LTS)/bin/python $(PIP) --editable . --group blender-lts --group test
	@touch $@

demo: $(VENV)/.demo
	@$(RUN) samples/demo.py

truth: $(VENV)/.demo
	@$(RUN) -m benchmarks.truth

test: $(VENV)/.all
	@$(RUN) -m pytest

ifneq ($(PYTHON_LTS),)
test-lts: $(VENV_LTS)/.ready
	@$(VENV_LTS)/bin/python -m pytest tests/scene tests/addon
else
test-lts:
	@echo "SKIPPED: Blender 4.5 LTS needs Python 3.11, which is not here"
endif

test-real: zip
	@$(RUN) tests/real_blender/run.py

test-all: test test-lts test-real

lint: $(VENV)/.all
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

extension_tool = $(shell $(RUN) -c "import bpy; print(bpy.utils.resource_path('LOCAL'))")/scripts/addons_core/bl_pkg/cli/blender_ext.py

zip: $(VENV)/.demo
	@mkdir -p dist && rm -f dist/*.zip
	@$(RUN) "$(extension_tool)" build --source-dir . --output-dir dist
	@$(RUN) "$(extension_tool)" validate dist/vggt_matchmove-*.zip

repository: zip
	@rm -rf dist/repository && mkdir dist/repository && cp dist/vggt_matchmove-*.zip dist/repository/
	@$(RUN) "$(extension_tool)" server-generate --repo-dir dist/repository --html

clean:
	rm -rf $(VENV) $(VENV_LTS) demo dist build *.egg-info
