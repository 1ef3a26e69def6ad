"""Where things are: the extension, its preferences, the backend's Python and the folder for a result."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Container
from pathlib import Path

import bpy

from ..vggt_blender.backend import local
from ..vggt_blender.backend.environment import NO_BACKEND, VARIABLE, find_interpreter, interpreter_in
from ..vggt_blender.backend.setup import environment_in
from ..vggt_blender.exchange.messages import JobError

PACKAGE = __package__.rpartition(".")[0]
ROOT = Path(__file__).parents[1]
SEEN_S = 3.0


def preferences(context: bpy.types.Context) -> bpy.types.AddonPreferences | None:
    """The add-on's preferences; None where it was registered without being enabled."""
    addon = context.preferences.addons.get(PACKAGE)
    return None if addon is None else addon.preferences


def runs_here(context: bpy.types.Context) -> bool:
    """Whether jobs run in this Python instead of a process."""
    chosen = preferences(context)
    return chosen is not None and chosen.run_in == "here"


def idle_limit_s(context: bpy.types.Context) -> float:
    """How long a backend without work is kept; 0: until Blender ends."""
    chosen = preferences(context)
    return 0.0 if chosen is None else 60.0 * chosen.idle_minutes


def own_python() -> Path:
    """Blender's Python as a program of its own. Raises `JobError` where there is none."""
    program = Path(sys.executable)
    if not sys.executable or not program.name.lower().startswith("python"):
        raise JobError("setup", "This Blender has no Python program to build on: choose an interpreter instead.")
    return program


def interpreter(context: bpy.types.Context) -> Path:
    """The Python that solves: the backend's, or this one. Raises `JobError` where there is none that could."""
    chosen = preferences(context)
    if runs_here(context):
        problem = local.obstacle()
        if problem is not None:
            raise JobError("no_backend", problem)
        return own_python()
    path = bpy.path.abspath(chosen.interpreter) if chosen is not None else ""
    return find_interpreter(ROOT, path, interpreter_in(environment_in(backend_folder(context))))


class _Seen:
    """What `interpreter` answered last, to which preferences, and until when that is believed."""

    asked: tuple[object, ...] = ()
    answer: Path | str = ""
    until_s = 0.0


def seen_interpreter(context: bpy.types.Context) -> Path:
    """`interpreter` for what is drawn: it looks at the disk every few seconds and not at every redraw, as a home folder
    may lie on a network. What changes the answer from here calls `look_again`. Raises `JobError`."""
    chosen = preferences(context)
    places = () if chosen is None else (chosen.run_in, chosen.interpreter, chosen.backend_folder)
    asked = (*places, os.environ.get(VARIABLE), bpy.data.filepath)
    if asked != _Seen.asked or time.monotonic() >= _Seen.until_s:
        try:
            _Seen.answer = interpreter(context)
        except JobError as failure:
            _Seen.answer = failure.message
        _Seen.asked, _Seen.until_s = asked, time.monotonic() + SEEN_S
    if isinstance(_Seen.answer, str):
        raise JobError(NO_BACKEND, _Seen.answer)
    return _Seen.answer


def look_again() -> None:
    """Have `seen_interpreter` look at the disk when it is asked next."""
    _Seen.until_s = 0.0


def backend_folder(context: bpy.types.Context) -> Path:
    """Where the set-up makes the backend: in the preferred folder, else among ours."""
    chosen = preferences(context)
    return _place(chosen.backend_folder if chosen is not None else "") or _user_folder() / "backend"


def wheels_folder(context: bpy.types.Context) -> Path | None:
    """The folder that the set-up takes packages from; None: the network."""
    chosen = preferences(context)
    return Path(bpy.path.abspath(chosen.wheels_folder)) if chosen is not None and chosen.wheels_folder else None


def new_result_folder(context: bpy.types.Context, title: str, taken: Container[str] = ()) -> Path:
    """A folder that neither exists nor is `taken`: in the preferred place, else beside the saved .blend, else among
    ours.
    """
    chosen = preferences(context)
    preferred = _place(chosen.results_folder if chosen is not None else "")
    if preferred is not None:
        base = preferred
    elif bpy.data.filepath:
        base = Path(bpy.data.filepath).parent / "vggt"
    else:
        base = _user_folder() / "results"
    name = bpy.path.clean_name(title)[:60] or "shot"
    folder, count = base / name, 1
    while folder.exists() or str(folder) in taken:
        count += 1
        folder = base / f"{name}-{count}"
    return folder


def _place(folder: str) -> Path | None:
    """The preferred `folder`; None where it says nothing, as one that counts from a .blend that was never saved."""
    path = Path(bpy.path.abspath(folder))
    return path if path.is_absolute() else None


def _user_folder() -> Path:
    try:
        return Path(bpy.utils.extension_path_user(PACKAGE, create=False))
    except ValueError:  # registered from a folder that is no extension repository
        return Path(bpy.utils.user_resource("DATAFILES")) / "vggt_matchmove"
