"""Which files make up a source, in which order, and which numbers they carry. Reads names, not pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..exchange.messages import JobError
from ..exchange.paths import exists, user_path
from ..exchange.plate_names import NUMBERED, PLATE
from ..exchange.suffixes import PICTURE_SUFFIXES, VIDEO_SUFFIXES


@dataclass(frozen=True)
class Listing:
    """The files of a source in order. ``video`` is set, or ``pictures`` are; ``folder`` is what the pictures share.

    ``pattern`` (``name.####.ext``) and ``numbers`` are set where the pictures' names make a sequence.
    """

    folder: Path
    video: Path | None = None
    pictures: tuple[Path, ...] = ()
    pattern: str | None = None
    numbers: tuple[int, ...] | None = None


def natural_key(path: Path | str) -> tuple[str | int, ...]:
    """Sorts ``shot2`` before ``shot10``, whatever the case."""
    return tuple(int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", str(path)))


def list_source(inputs: Sequence[str], kind: str = "auto") -> Listing:
    """The files behind `inputs`: image files, one folder of images, or one video.

    Raises `JobError` where there is nothing to use or where `kind` does not fit what is there.
    """
    paths = [user_path(entry).absolute() for entry in inputs]
    for path in paths:
        if not exists(path):
            raise JobError("not_found", f"There is no file or folder '{path}'.")
    folders = [path for path in paths if path.is_dir()]
    if folders and len(paths) > 1:
        raise JobError("usage", f"'{folders[0]}' is a folder: give one folder, or image files, or one video.")
    if folders and kind == "video":
        raise JobError("usage", f"'{folders[0]}' is a folder: name the video file itself.")
    if not folders and (kind == "video" or any(_is_video(path) for path in paths)):
        return _list_video(paths, kind)
    pictures = _pictures_in(folders[0]) if folders else paths
    unique = {os.path.normcase(path.resolve()): path for path in pictures}
    ordered = tuple(sorted(unique.values(), key=lambda path: (natural_key(path), str(path))))
    pattern, numbers = (None, None) if kind == "images" else _numbering(ordered, strict=kind == "sequence")
    folder = Path(os.path.commonpath([path.parent for path in ordered]))
    return Listing(folder, pictures=ordered, pattern=pattern, numbers=numbers)


def plate_number(path: Path) -> int | None:
    """The number at the end of a file's name, or None."""
    match = NUMBERED.fullmatch(path.stem)
    return int(match["number"]) if match else None


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _list_video(paths: list[Path], kind: str) -> Listing:
    video = next((path for path in paths if _is_video(path)), paths[0])
    if len(paths) > 1:
        raise JobError("usage", f"'{video.name}' is a video: give one video by itself, or pictures only.")
    if kind in ("images", "sequence"):
        raise JobError("usage", f"'{video.name}' is a video, not {kind}: choose that or automatic, or give pictures.")
    return Listing(video.parent, video=video)


def _pictures_in(folder: Path) -> list[Path]:
    try:
        files = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError as failure:
        raise JobError("not_found", f"The folder '{folder}' cannot be read: {failure.strerror or failure}.") from None
    pictures = [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES]
    if pictures:
        return pictures
    videos = sorted(path.name for path in files if _is_video(path))
    hint = f" It holds the video '{videos[0]}': name that file itself." if videos else ""
    raise JobError("no_pictures", f"There are no pictures in the folder '{folder}'.{hint}")


def _numbering(paths: Sequence[Path], *, strict: bool) -> tuple[str | None, tuple[int, ...] | None]:
    """The pattern and numbers of a sequence; (None, None) where the names make none.

    By the plain rule the names are ``name.####.ext`` or ``name_####.ext`` and contiguous. `strict`, where the user says
    that it is a sequence, takes any number at the end of the names, gaps too, and raises where there is none.
    """
    matches = [(NUMBERED if strict else PLATE).fullmatch(path.stem) for path in paths]
    if any(match is None for match in matches):
        if strict:
            odd = next(path for path, match in zip(paths, matches, strict=True) if match is None)
            raise JobError("usage", f"'{odd.name}' has no frame number at the end of its name: take it as images.")
        return None, None
    parts = [match for match in matches if match is not None]
    families = sorted(
        {f"{path.parent / match['name']}#{path.suffix}" for path, match in zip(paths, parts, strict=True)}
    )
    numbers = tuple(int(match["number"]) for match in parts)
    if strict and (len(families) > 1 or len(set(numbers)) < len(numbers)):
        names = ", ".join(Path(family).name for family in families[:3])
        raise JobError("usage", f"More than one sequence is here ({names}): give the files of one.")
    width = len(parts[0]["number"])
    contiguous = numbers == tuple(range(numbers[0], numbers[0] + len(numbers)))
    padded = all(match["number"] == f"{number:0{width}d}" for match, number in zip(parts, numbers, strict=True))
    if not strict and (len(families) > 1 or not contiguous or not padded or len(paths) < 2):
        return None, None
    return str(paths[0].parent / f"{parts[0]['name']}{'#' * width}{paths[0].suffix}"), numbers
