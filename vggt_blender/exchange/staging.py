"""How a result gets into its folder: staged beside it, put in place by renames, never lost half-way.

This module may import the standard library only. A staging folder's name carries the machine and process that writes
it, so that what a killed process left behind can be told from what a living one is writing; and its owner, by which
whoever started that process finds what it left.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import uuid
from collections.abc import Collection, Iterable
from pathlib import Path

from .messages import JobError
from .paths import exists, nearest_existing

DOCUMENT = "reconstruction.json"
ARRAYS = ("depth.npy", "confidence.npy", "color.npy", "points.npz", "tracks.npz")

OWNER = "VGGT_STAGING_OWNER"
"""The variable that names the owner of what a process stages; without it the process is its own."""

_PREFIX = ".partial-"
_NEARLY_FULL = 16 * 2**20
_LEAVING, _LEFT = "leaving", "left"  # the earlier result while it is moved out, and once it is out as a whole
_ASIDE = ".aside"  # an earlier folder that another one replaces


def is_complete(folder: Path) -> bool:
    """Whether `folder` holds a finished reconstruction."""
    return exists(folder / DOCUMENT) and (folder / DOCUMENT).is_file()


def written_at(folder: Path) -> float | None:
    """When the finished reconstruction in `folder` was written (seconds of the file system's clock), or None."""
    try:
        return (folder / DOCUMENT).stat().st_mtime
    except (OSError, ValueError):
        return None


def absent_folders(folder: Path) -> list[Path]:
    """`folder` and its parents as far as they do not exist, deepest first: what a run is about to create."""
    return [path for path in (folder, *folder.parents) if not exists(path)]


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents where they are not there. Raises `JobError` where one is a file, else OSError."""
    there = nearest_existing(folder)
    if not there.is_dir():
        raise JobError("output", f"'{there}' is a file, not a folder: choose another place to write to.")
    folder.mkdir(parents=True, exist_ok=True)


def is_nearly_full(folder: Path) -> bool:
    """Whether the disk that `folder` is on, or would be, has no room left to speak of."""
    try:
        return shutil.disk_usage(nearest_existing(folder)).free < _NEARLY_FULL
    except OSError:
        return False


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
    for staging, pid, _ in _stagings(folder):
        if not _is_alive(pid):
            discard(staging, folder)
    staging = folder / f"{_PREFIX}{_machine()}-{os.getpid()}-{staging_owner()}-{uuid.uuid4().hex[:8]}"
    staging.mkdir()  # not by tempfile, whose folders are their maker's alone, with what is moved out of them (Windows)
    return staging


def new_owner() -> str:
    """A value for `OWNER` that no other process has."""
    return uuid.uuid4().hex[:12]


def staging_owner() -> str:
    """The owner of what this process stages."""
    return os.environ.get(OWNER, _SELF)


_SELF = new_owner()


def discard_of(owner: str, folder: Path) -> None:
    """Remove what processes of `owner`, which have ended, left in `folder`; an earlier result that they held is put
    back."""
    for staging, _, of in _stagings(folder):
        if of == owner:
            discard(staging, folder)


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


def swap_in(staged: Path, folder: Path, own: Collection[str]) -> None:
    """Put `staged`, which lies in a staging folder beside `folder`, in its place, whole; of what was there the files
    `own` go, and anything else stays, unless something of its name is new.

    Raises OSError, with the earlier folder back in its place.
    """
    aside = staged.parent / _ASIDE
    aside.mkdir()
    earlier = folder.rename(aside / folder.name)
    try:
        staged.rename(folder)
    except OSError:
        earlier.rename(folder)
        raise
    for name in own:
        (earlier / name).unlink(missing_ok=True)
    _bring_back(aside, folder.parent)


def _bring_back(aside: Path, parent: Path) -> None:
    """Folders in `aside` return to `parent`: whole, or where another has taken their place, with what that lacks."""
    for earlier in aside.iterdir() if aside.exists() else ():
        folder = parent / earlier.name
        if not folder.exists():
            earlier.rename(folder)
            continue
        for entry in earlier.iterdir():
            if not (folder / entry.name).exists():
                entry.rename(folder / entry.name)


def discard(staging: Path, folder: Path) -> None:
    """Remove `staging`, which `folder` holds; what was moved out of its way returns, or is kept there until it can."""
    try:
        put_back(staging, folder)
        _bring_back(staging / _ASIDE, folder)
    except OSError:
        return
    shutil.rmtree(staging, ignore_errors=True)


def _machine() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", platform.node()) or "_"


def _stagings(folder: Path) -> list[tuple[Path, int, str]]:
    """Of this machine: each with its process and its owner."""
    found = []
    for staging in folder.glob(f"{_PREFIX}{_machine()}-*") if exists(folder) else ():
        pid, _, rest = staging.name.removeprefix(f"{_PREFIX}{_machine()}-").partition("-")
        if pid.isdecimal():
            found.append((staging, int(pid), rest.partition("-")[0]))
    return found


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        return _runs_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, but alive
        pass
    return True


def _runs_on_windows(pid: int) -> bool:
    """There a signal would end the process that it asks."""
    import ctypes
    from ctypes import wintypes

    limited_information, still_active, no_such_process = 0x1000, 259, 87
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    kernel.OpenProcess.restype = wintypes.HANDLE
    process = kernel.OpenProcess(limited_information, False, wintypes.DWORD(pid))
    if not process:
        return bool(ctypes.get_last_error() != no_such_process)  # type: ignore[attr-defined,unused-ignore]
    status, handle = wintypes.DWORD(), wintypes.HANDLE(process)
    known = kernel.GetExitCodeProcess(handle, ctypes.byref(status))
    kernel.CloseHandle(handle)
    return not known or status.value == still_active
