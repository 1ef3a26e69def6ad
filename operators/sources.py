"""The picked source: as paths for the backend, as a name and a line for people."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import bpy
from bpy.app.translations import pgettext_iface as iface_

from ..vggt_blender.exchange.plate_names import NUMBERED, PLATE
from ..vggt_blender.exchange.suffixes import PICTURE_SUFFIXES
from ..vggt_blender.scene.stored_paths import full_path


def source_inputs(settings: bpy.types.PropertyGroup) -> tuple[str, ...]:
    """Absolute paths: the picked files, else the one folder, video or picture."""
    source = full_path(settings.source)
    return tuple(str(source / entry.name) for entry in settings.files) or (str(source),)


def source_title(settings: bpy.types.PropertyGroup) -> str:
    """A name for the shot: the folder's, or the video's without its ending."""
    source = full_path(settings.source)
    return source.name if settings.files or source.is_dir() else source.stem


def source_summary(settings: bpy.types.PropertyGroup) -> str:
    """What was picked, in a few words, without looking at the disk."""
    count = len(settings.files)
    name = Path(settings.source).name or settings.source
    return iface_("{} pictures in {}").format(count, name) if count else name


def numbered_name(path: Path) -> tuple[int, Callable[[int], str]]:
    """The number at the end of a plate's name, and the stem of the plate with another number."""
    match = re.search(r"\d+$", path.stem)
    if match is None:
        return 1, lambda number: path.stem
    prefix, width = path.stem[: match.start()], len(match[0])
    return int(match[0]), lambda number: f"{prefix}{number:0{width}d}"


def whole_sequence(folder: Path, name: str) -> list[str]:
    """The files in `folder` that differ from `name` in the number at its end only, in their order; `name` alone where
    it has none.
    """
    picked, ending = NUMBERED.fullmatch(Path(name).stem), Path(name).suffix
    if picked is None or not ending:
        return [name]
    others = [NUMBERED.fullmatch(path.stem) for path in folder.iterdir() if path.suffix == ending]
    same = [match for match in others if match is not None and match["name"] == picked["name"]]
    return [f"{match.string}{ending}" for match in sorted(same, key=lambda match: int(match["number"]))]


def fit_range(settings: bpy.types.PropertyGroup) -> None:
    """Make the frame range all of the source where it has none of it, as a plate that begins with 1001 by default."""
    found = _numbers(settings)
    if found is not None and (settings.last < found[0] or settings.first > found[1]):
        settings.first, settings.last = found


def _numbers(settings: bpy.types.PropertyGroup) -> tuple[int, int] | None:
    """The first and last plate number of the source; None where its frames count from 0."""
    folder = full_path(settings.source)
    names = [entry.name for entry in settings.files]
    if not names and folder.is_dir():
        names = [path.name for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    rule = NUMBERED if settings.kind == "sequence" else PLATE
    matches = [match for name in names if (match := rule.fullmatch(Path(name).stem))]
    one = len({match["name"] for match in matches}) == 1 and len({Path(name).suffix for name in names}) == 1
    if settings.kind == "images" or not one or len(matches) < len(names):
        return None
    numbers = [int(match["number"]) for match in matches]
    return min(numbers), max(numbers)
