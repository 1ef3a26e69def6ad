"""Runs a check script inside a Blender window: one generator, stepped by a timer, that says PASS and FAIL as it goes.

``yield seconds`` lets Blender draw and work; nothing here holds up its main thread.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy

EXTENSION = "bl_ext.user_default.vggt_matchmove"
PATIENCE_S = 120.0

Steps = Iterator[float]


def say(line: str) -> None:
    print(line, flush=True)


def check(name: str, passed: bool, why: object = "") -> None:
    """One line for the runner, which fails on any FAIL."""
    say(f"PASS {name}" if passed else f"FAIL {name}: {why}")


def part(name: str) -> ModuleType:
    """A module of the installed extension."""
    return sys.modules[f"{EXTENSION}.{name}"]


def backend_runs() -> bool:
    """Whether the backend's Python can be started from this Blender; says so where it cannot."""
    python = os.environ["VGGT_BACKEND_PYTHON"]
    try:
        subprocess.run([python, "-c", "import numpy"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as failure:
        say(f"SKIPPED the real backend: {python} does not run where this Blender runs ({failure})")
        return False
    return True


def run(checks: Callable[[], Steps]) -> None:
    """Step through `checks`, then quit Blender."""
    steps = checks()

    def step() -> float | None:
        try:
            return next(steps)
        except StopIteration:
            say("END")
        except Exception:
            check("the check script itself", False, traceback.format_exc())
        bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(step, first_interval=4.0, persistent=True)


def until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> Steps:
    """Wait for `condition`; the caller checks what came of it."""
    deadline = time.monotonic() + patience_s
    while not condition() and time.monotonic() < deadline:
        yield 0.05


def place(kind: str = "VIEW_3D", region: str = "UI") -> dict[str, Any]:
    """Window, area and region for `temp_override`."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == kind:
                return {"window": window, "area": area, "region": next(r for r in area.regions if r.type == region)}
    raise LookupError(kind)


def show_tab() -> Steps:
    """Open the sidebar on our tab."""
    yield 0.5
    place()["area"].spaces.active.show_region_ui = True
    yield 0.5  # the region is made anew: what was taken before is not to be touched after
    place()["region"].active_panel_category = "VGGT"
    yield from redraw()


def undo(count: int = 1) -> Steps:
    for _ in range(count):
        with bpy.context.temp_override(**place(region="WINDOW")):
            bpy.ops.ed.undo()
        yield 0.3


def redo() -> Steps:
    with bpy.context.temp_override(**place(region="WINDOW")):
        bpy.ops.ed.redo()
    yield 0.3


def redraw() -> Steps:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            area.tag_redraw()
    yield 0.8  # panels slide into place


def picture(name: str) -> Steps:
    """Draw everything, and keep a picture of the screen where pictures were asked for."""
    say(f"STATE {name}")
    yield from redraw()
    folder = os.environ.get("VGGT_CHECK_PICTURES")
    if folder:
        version = f"{bpy.app.version[0]}.{bpy.app.version[1]}"
        subprocess.run(["import", "-window", "root", str(Path(folder) / f"{version}-{name}.png")], check=False)


def press(*keys: str) -> None:
    """Real keys, for what only the user can close."""
    subprocess.run(["xdotool", "key", *keys], check=False)


def mouse(action: str, *numbers: int) -> None:
    """The real pointer, in screen pixels from the top left."""
    subprocess.run(["xdotool", action, *map(str, numbers)], check=False)


def click(operator: Any, **properties: Any) -> set[str]:
    """Run `operator` as its button in the sidebar does."""
    with bpy.context.temp_override(**place()):
        return operator("INVOKE_DEFAULT", **properties)
