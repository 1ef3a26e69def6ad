"""The four clicks from the installed zip to a backend, in a Blender window, offline from a folder of wheels.

Takes VGGT_CHECK_WHEELS, a folder with the installer and stand-in packages, and VGGT_CHECK_SCRATCH.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
from driver import EXTENSION, Steps, check, click, part, picture, place, press, run, show_tab, until

WHEELS, SCRATCH = os.environ["VGGT_CHECK_WHEELS"], Path(os.environ["VGGT_CHECK_SCRATCH"])


def preferences() -> object:
    return bpy.context.preferences.addons[EXTENSION].preferences


def setup() -> object:
    return part("operators.backend_setup").setup


def session() -> object:
    return part("operators.session").session


def checks() -> Steps:
    os.environ.pop("VGGT_BACKEND_PYTHON", None)
    os.environ["XDG_DATA_HOME"] = str(SCRATCH / "nothing recorded")
    bpy.ops.preferences.addon_enable(module=EXTENSION)
    yield from show_tab()
    yield from picture("setup-offline")
    check("without a network the button is disabled", not bpy.ops.vggt.setup_backend.poll())
    preferences().wheels_folder = WHEELS
    yield from picture("setup-ready")
    yield from set_up()
    yield from cancelled()
    yield from in_preferences()


def set_up() -> Steps:
    click(bpy.ops.vggt.setup_backend)
    yield from picture("setup-dialog")
    check("nothing starts before the answer", not setup().running)
    press("Return")
    yield from until(lambda: setup().running)
    yield from picture("setup-running")
    yield from until(lambda: not setup().running)
    check("the backend is set up", session().notice is None, session().notice)
    told = [line for line in session().log if "Set-up:" in line]
    check("its steps were told", len(told) > 3, told)
    environment = part("operators.locations").interpreter(bpy.context)
    check("in an environment of its own", "vggt_matchmove/backend/environment" in str(environment), environment)
    yield from until(lambda: not part("operators.check").check.running)
    yield from picture("setup-done")


def cancelled() -> Steps:
    click(bpy.ops.vggt.setup_backend)
    yield 0.5
    press("Return")
    yield from until(lambda: setup().running)
    click(bpy.ops.vggt.cancel_setup)
    yield from until(lambda: not setup().running)
    notice = session().notice
    check("cancel stops it", notice is not None and notice.message == "Cancelled.", notice)
    check("what worked before still does", part("operators.locations").interpreter(bpy.context).is_file())
    yield from picture("setup-cancelled")


def in_preferences() -> Steps:
    bpy.ops.preferences.addon_show(module=EXTENSION)
    yield 1.0
    yield from picture("setup-preferences")
    with bpy.context.temp_override(**place("PREFERENCES", "WINDOW")):
        bpy.ops.vggt.remove_backend("EXEC_DEFAULT")
    yield from until(lambda: not setup().running)
    check("Remove leaves nothing", not part("operators.locations").backend_folder(bpy.context).exists())
    for wheel in Path(WHEELS).glob("trimesh-*"):
        wheel.unlink()
    with bpy.context.temp_override(**place("PREFERENCES", "WINDOW")):
        bpy.ops.vggt.setup_backend("EXEC_DEFAULT")
    yield from until(lambda: not setup().running)
    notice = session().notice
    check("a failure is one line", notice is not None and "trimesh" in notice.message, notice)
    yield from picture("setup-failed")


run(checks)
