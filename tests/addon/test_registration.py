"""Registering twice leaves nothing behind, and the classes are named and described as Blender wants."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

NAME = "vggt_matchmove"


def footprint(bpy: ModuleType, root: ModuleType) -> dict[str, Any]:
    """Everything of ours that Blender knows."""
    handlers = {
        name: [handler for handler in getattr(bpy.app.handlers, name) if NAME in getattr(handler, "__module__", "")]
        for name in dir(bpy.app.handlers)
        if isinstance(getattr(bpy.app.handlers, name), list)
    }
    return {
        "types": sorted(name for name in dir(bpy.types) if name.startswith("VGGT_")),
        "operators": sorted(dir(bpy.ops.vggt)),
        "scene": hasattr(bpy.types.Scene, "vggt"),
        "handlers": sum(len(found) for found in handlers.values()),
        "menus": [
            draw
            for menu in (bpy.types.TOPBAR_MT_file_import, bpy.types.TOPBAR_MT_file_export)
            for draw in menu._dyn_ui_initialize()
            if NAME in draw.__module__
        ],
        "timer": bpy.app.timers.is_registered(root.operators.pump._tick),
    }


def test_register_and_unregister_twice_leaves_nothing(bpy: ModuleType, root: ModuleType) -> None:
    root.register()
    root.unregister()
    nothing = footprint(bpy, root)
    assert nothing == {"types": [], "operators": [], "scene": False, "handlers": 0, "menus": [], "timer": False}
    for _ in range(2):
        root.register()
        registered = footprint(bpy, root)
        root.unregister()
        assert footprint(bpy, root) == nothing
    assert registered["types"]
    assert registered["scene"]
    assert registered["handlers"] == 5
    assert len(registered["menus"]) == 2


def test_names_say_the_kind_and_everything_has_a_tooltip(bpy: ModuleType, addon: ModuleType) -> None:
    for cls in (*addon.operators.CLASSES, *addon.ui.CLASSES):
        assert re.fullmatch(r"VGGT_(OT|PT|UL|MT|PG|AP|FH)_[a-z_]+", cls.__name__), cls
        if issubclass(cls, bpy.types.Operator):
            assert cls.bl_idname == f"vggt.{cls.__name__.removeprefix('VGGT_OT_')}"
            tooltip = getattr(bpy.ops.vggt, cls.bl_idname.removeprefix("vggt.")).get_rna_type().description
            assert tooltip, cls
            assert not tooltip.endswith("."), "Blender puts the stop"
        own = {name for base in cls.__mro__ for name in getattr(base, "__annotations__", {})}
        for name in own & set(cls.bl_rna.properties.keys()):
            entry = cls.bl_rna.properties[name]
            assert entry.description or entry.is_hidden, f"{cls.__name__}.{name} has no tooltip"


def test_the_root_imports_nothing_before_it_is_registered() -> None:
    code = (
        "import importlib.util, sys; from pathlib import Path; root = Path(sys.argv[1]);"
        "spec = importlib.util.spec_from_file_location("
        "'ext', root / '__init__.py', submodule_search_locations=[str(root)]);"
        "module = importlib.util.module_from_spec(spec); sys.modules['ext'] = module; spec.loader.exec_module(module);"
        "print([name for name in sys.modules if name.startswith('ext.') or name in ('bpy', 'numpy')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parents[2])], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
