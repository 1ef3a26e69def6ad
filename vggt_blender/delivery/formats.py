"""The formats that a reconstruction can be written in. Imports a format's libraries when it is used."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exchange.messages import JobError, Reporter
from ..exchange.paths import exists, user_path
from ..exchange.reporter import SILENCE
from ..exchange.staging import discard, make_folder, make_staging, swap_in

if TYPE_CHECKING:
    from ..exchange.reconstruction import Reconstruction

FORMATS = ("chan", "colmap", "glb", "ply", "stmap", "undistorted")
"""Each is a module of this room with ``write(reconstruction, path, report)``."""
FOLDERS = frozenset({"colmap", "stmap", "undistorted"})
"""Those that write a folder; the others write one file. Their modules also have ``written(folder)``: the names of the
files that an earlier export left in it, none where it is no such folder."""


def export(
    reconstruction: Reconstruction, to: str, output: Path, *, overwrite: bool = False, report: Reporter = SILENCE
) -> Path:
    """Write `reconstruction` as format `to`; returns what was written, whole or not at all.

    Raises `JobError` where the output exists (and `overwrite` is not set), cannot be written, or where the
    reconstruction has nothing that the format can hold; `Cancelled` where `report` says so.
    """
    output = user_path(output).absolute()
    writer = importlib.import_module(f".{to}", __package__)
    try:
        _check_free(output, to in FOLDERS, overwrite)
        make_folder(output if to in FOLDERS and exists(output) else output.parent)
        staging = make_staging(output.parent)
        try:
            writer.write(reconstruction, staging / output.name, report)
            _move(staging / output.name, output, writer)
        finally:
            discard(staging, output.parent)
    except OSError as failure:
        raise JobError("output", f"Cannot write '{output}': {failure.strerror or failure}.") from None
    return output


def _check_free(output: Path, folder: bool, overwrite: bool) -> None:
    """Raises `JobError` where something is there that is not to be overwritten, or cannot be."""
    if not exists(output):
        return
    if not folder and output.is_dir():
        raise JobError("output", f"'{output}' is a folder: name a file.")
    if not overwrite and (not folder or (output.is_dir() and any(output.iterdir()))):
        raise JobError("exists", f"'{output}' is already there: choose another name, or have it overwritten.")


def _move(staged: Path, output: Path, writer: Any) -> None:
    """Into a folder that is no earlier export files go one by one: it is somebody's own, and stays where it is."""
    if not staged.is_dir():
        staged.replace(output)
    elif not output.exists():
        staged.rename(output)
    elif not output.is_symlink() and (own := writer.written(output)):
        swap_in(staged, output, own)
    else:
        for file in sorted(staged.iterdir(), key=lambda file: file.suffix == ".json"):  # what lists the others, last
            file.replace(output / file.name)
