"""How a result gets into its folder: staged beside it, put in place by renames, never lost half-way.

This module may import the standard library only. A staging folder carries the machine and process that owns it, so that
what a killed process left behind can be told from what a living one is writing.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

DOCUMENT = "reconstruction.json"
ARRAYS = ("depth.npy", "confidence.npy", "color.npy", "points.npz", "tracks.npz")

_PREFIX = ".partial-"
_LEAVING, _LEFT = "leaving", "left"  # the earlier result while it is moved out, and once it is out as a whole


def is_complete(folder: Path) -> bool:
    """Whether `folder` holds a finished reconstruction."""
    return (folder / DOCUMENT).is_file()


def absent_folders(folder: Path) -> list[Path]:
    """`folder` and its parents as far as they do not exist, deepest first: what a run is about to create."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove `folders` in order, up to the first that holds something."""
    for folder in folders:
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return


def make_staging(folder: Path) -> Path:
    """A new staging folder of this process in `folder`; what dead processes of this machine left there is removed."""
    for staging, pid in _stagings(folder):
        if not _is_alive(pid):
            _discard(folder, staging)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{_machine()}-{os.getpid()}-", dir=folder))


def discard_of(pid: int, folder: Path) -> None:
    """Remove what process `pid`, which has ended, left in `folder`; an earlier result that it held is put back."""
    for staging, owner in _stagings(folder):
        if owner == pid:
            _discard(folder, staging)


def put_in_place(staging: Path, folder: Path) -> None:
    """Move the staged arrays and document into `folder`, the document last; an earlier result gives way, whole.

    Raises OSError, with the earlier result back in its place.
    """
    leaving = staging / _LEAVING
    leaving.mkdir()
    try:
        for name in (DOCUMENT, *ARRAYS):
            if (folder / name).exists():
                (folder / name).replace(leaving / name)
        left = leaving.rename(staging / _LEFT)
        for name in (*ARRAYS, DOCUMENT):
            if (staging / name).exists():
                (staging / name).replace(folder / name)
    except OSError:
        put_back(staging, folder)
        raise
    shutil.rmtree(left, ignore_errors=True)


def put_back(staging: Path, folder: Path) -> None:
    """Undo `put_in_place` where it did not come to its end."""
    leaving, left = staging / _LEAVING, staging / _LEFT
    if is_complete(folder) or not (leaving.exists() or left.exists()):
        return
    for name in (*ARRAYS, DOCUMENT):
        if left.exists():  # the earlier result had left, so what is there now is of the new one
            (folder / name).unlink(missing_ok=True)
        for held in (leaving / name, left / name):
            if held.exists():
                held.replace(folder / name)


def _discard(folder: Path, staging: Path) -> None:
    put_back(staging, folder)
    shutil.rmtree(staging, ignore_errors=True)


def _machine() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", platform.node()) or "_"


def _stagings(folder: Path) -> list[tuple[Path, int]]:
    found = []
    for staging in folder.glob(f"{_PREFIX}{_machine()}-*"):
        pid = staging.name.removeprefix(f"{_PREFIX}{_machine()}-").partition("-")[0]
        if pid.isdecimal():
            found.append((staging, int(pid)))
    return found


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # Windows has no harmless way to ask by signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, but alive
        pass
    return True
