"""A mask drawn on the plate's clip: which clip, which frames, and the pictures for the solve."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import bpy

from ..vggt_blender.exchange.job import FrameRange
from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.scene.drawn_masks import draw_masks, remove_drawn_masks
from ..vggt_blender.scene.stored_paths import full_path
from .sources import numbered_name


def write_drawn_mask(scene: bpy.types.Scene, inputs: Iterable[str], frames: FrameRange, output: str) -> str:
    """Draw the mask that `scene` chose for `frames` of the source `inputs` beside the folder `output`. Returns the
    job's mask.

    Raises `JobError` where the plate is open as no clip, or the mask covers nothing.
    """
    settings = scene.vggt
    if settings.mask:
        raise JobError("mask", "There are two masks: choose the file or the drawn one.")
    if bpy.app.is_job_running("RENDER"):
        raise JobError("mask", "Blender is rendering: solve with the drawn mask when it is done.")
    clip = plate_clip(inputs)
    names = frame_names(clip, frames)
    if not names:
        raise JobError("mask", f"The clip '{clip.name}' has none of the frames to solve.")
    if not Path(output).exists():  # what is there is of a solve that came to nothing
        forget_drawn_masks(*mask_folders(Path(output)))
    folder, count = Path(f"{output} mask"), 1
    while folder.exists():
        count += 1
        folder = Path(f"{output} mask {count}")
    return str(draw_masks(settings.drawn_mask, clip, names, folder, scene))


def mask_folders(output: Path) -> Iterator[Path]:
    """The folders of masks that were drawn for the result in the folder `output`."""
    name = re.compile(re.escape(f"{output.name} mask") + r"( \d+)?")
    return (path for path in output.parent.glob("*mask*") if name.fullmatch(path.name))


def drawn_folder(mask: str) -> Path:
    """The folder of what `write_drawn_mask` returned."""
    return Path(mask).parent if Path(mask).is_file() else Path(mask)


def forget_drawn_masks(*folders: Path) -> None:
    """Remove drawn masks that nobody needs any more, as far as the disk lets go of them."""
    for folder in folders:
        with contextlib.suppress(OSError):
            remove_drawn_masks(folder)


def plate_clip(inputs: Iterable[str]) -> bpy.types.MovieClip:
    """The clip that shows the source; the only one there is, where its files are others (a proxy)."""
    sources = {os.path.normcase(path) for path in inputs}
    for clip in bpy.data.movieclips:
        path = full_path(clip.filepath)
        if sources & {os.path.normcase(path), os.path.normcase(path.parent)}:
            return clip
    if len(bpy.data.movieclips) == 1:
        return bpy.data.movieclips[0]
    raise JobError("mask", "Open the plate as a clip in the Clip Editor: it says on which frames the mask lies.")


def frame_names(clip: bpy.types.MovieClip, frames: FrameRange) -> dict[int, str]:
    """By scene frame, as the clip is timed, the name under which a solve finds the mask of each of `frames`."""
    path = full_path(clip.filepath)
    first, name = (0, lambda index: f"{path.stem}.{index + 1:04d}")
    if clip.source == "SEQUENCE":
        first, name = numbered_name(path)
    numbers = range(first, first + clip.frame_duration)
    chosen = [numbers[position] for position in frames.choose(numbers)]
    return {clip.frame_start - clip.frame_offset + number - first: name(number) for number in chosen}
