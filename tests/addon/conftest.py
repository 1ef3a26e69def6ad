"""The add-on, registered as Blender does it, with a real child process for its backend."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SPEAKER = Path(__file__).with_name("speaker.py")
NAME = "vggt_matchmove"


@pytest.fixture
def root() -> ModuleType:
    """The extension, not registered, under the one name that all of its modules share."""
    if NAME in sys.modules:
        return sys.modules[NAME]
    spec = importlib.util.spec_from_file_location(NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bpy() -> ModuleType:
    module = pytest.importorskip("bpy")
    module.ops.wm.read_factory_settings(use_empty=True)
    return module


@pytest.fixture
def addon(bpy: ModuleType, root: ModuleType, tmp_path: Path) -> Iterator[ModuleType]:
    """Registered, with results in the test's own folder. Unregistered again: bpy 4.5 hangs at exit otherwise."""
    entry = bpy.context.preferences.addons.new()
    entry.module = NAME
    root.register()
    entry.preferences.results_folder = str(tmp_path / "results")
    entry.preferences.interpreter = str(speaking_interpreter(tmp_path))
    yield root
    root.unregister()
    bpy.context.preferences.addons.remove(entry)


def speaking_interpreter(folder: Path) -> Path:
    """A program that is started as the backend's Python is, and serves with the speaker."""
    if sys.platform == "win32":
        pytest.skip("a script cannot stand for an interpreter here")
    program = folder / "speaking_python"
    python = sys.executable
    program.write_text(
        f'#!/bin/sh\ncase "$3" in\nserve) exec "{python}" "{SPEAKER}" ;;\n*) exec "{python}" "$@" ;;\nesac\n'
    )
    program.chmod(0o755)
    return program
