"""Mask pictures beside the frames: black is left out, as in COLMAP."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..exchange.messages import JobError, Reporter
from ..exchange.paths import exists, user_path
from ..exchange.suffixes import PICTURE_SUFFIXES
from .display_curve import DisplayCurve
from .frames import SourceFrame
from .pictures import UnreadableError, read_picture
from .plates import plate_number

GROWTH = 0.006
"""Masks are drawn wider by this part of the picture's longer side: along an outline, details belong to both sides."""

LEAST_FILL, LARGEST_BOX = 0.25, 0.5
"""A hidden part becomes a rectangle where it fills so much of that, and that no more of the picture."""


class Masks:
    """One picture for every frame, or a folder with a picture per frame; what they hide is drawn a little wider.

    In a folder a mask belongs to the frame whose file name or stem it has (``plate.0001.jpg``: ``plate.0001.png`` or
    ``plate.0001.jpg.png``), else to the frame with its number. What any of a frame's masks hides is hidden. Raises
    `JobError` where nothing fits.
    """

    def __init__(self, path: str, frames: Sequence[SourceFrame], report: Reporter | None) -> None:
        root = user_path(path).absolute()
        if not exists(root):
            raise JobError("not_found", f"There is no mask '{root}'.")
        self._files = _by_frame(root, frames) if root.is_dir() else {frame.name: [root] for frame in frames}
        if not self._files:
            raise JobError("mask", f"No mask in '{root}' has the name or number of a frame.")
        missing = [frame.name for frame in frames if frame.name not in self._files]
        if missing and report is not None:
            report.warning(f"{len(missing)} of {len(frames)} frames have no mask ('{missing[0]}' first): used whole.")
        several = next((files for files in self._files.values() if len(files) > 1), None)
        if several is not None and report is not None:
            names = ", ".join(f"'{path.name}'" for path in several)
            report.status(f"Masks of one frame are put together ({names}): what any of them hides is left out.")

    def read(self, frame: SourceFrame) -> NDArray[np.bool_] | None:
        """True (H, W) where `frame` may be used; None where it has no mask."""
        files = self._files.get(frame.name)
        if files is None:
            return None
        usable = np.logical_and.reduce([self._read(path, frame) for path in files])
        return grown(usable, round(GROWTH * max(frame.width, frame.height)))

    def _read(self, path: Path, frame: SourceFrame) -> NDArray[np.bool_]:
        try:
            picture = read_picture(path)
        except UnreadableError as failure:
            raise JobError("mask", f"The mask '{path}' cannot be used: {failure}.") from None
        usable = picture.display(DisplayCurve()).max(axis=2) > 127
        height, width = usable.shape
        if abs(width * frame.height - height * frame.width) > max(frame.width, frame.height):
            raise JobError(
                "mask",
                f"The mask '{path}' is {width} x {height}, its frame {frame.width} x {frame.height}: same shape.",
            )
        if (height, width) != (frame.height, frame.width):
            resized = Image.fromarray(usable).resize((frame.width, frame.height), Image.Resampling.NEAREST)
            usable = np.asarray(resized, bool)
        return usable


def grown(usable: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """`usable` (H, W) where nothing hidden is nearer than `pixels`."""
    if pixels < 1 or usable.all():
        return usable
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.erode(usable.astype(np.uint8), disc, borderValue=1) > 0


def boxed(usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`usable` (H, W) with every hidden part widened to its upright rectangle, and rectangles that touch to one.

    A network that sees a silhouette cut out still sees its outline; a rectangle says less. Frames, vignettes and
    backgrounds stay as they are: their rectangle would hide what they surround.
    """
    while True:
        _, _, boxes, _ = cv2.connectedComponentsWithStats((~usable).astype(np.uint8), connectivity=8)
        result = usable.copy()
        for left, top, width, height, area in boxes[1:]:
            if area >= LEAST_FILL * width * height and width * height <= LARGEST_BOX * usable.size:
                result[top : top + height, left : left + width] = False
        if (result == usable).all():
            return result
        usable = result


def _by_frame(folder: Path, frames: Sequence[SourceFrame]) -> dict[str, list[Path]]:
    by_stem: defaultdict[str, list[Path]] = defaultdict(list)
    by_number: defaultdict[int | None, list[Path]] = defaultdict(list)
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES):
        by_stem[path.stem.casefold()].append(path)
        by_number[plate_number(path)].append(path)
    found: dict[str, list[Path]] = {}
    for frame in frames:
        name = Path(frame.name).name.casefold()
        files = by_stem.get(name) or by_stem.get(Path(name).stem if frame.path.casefold().endswith(name) else name)
        if files is None and frame.number is not None:
            files = by_number.get(frame.number)
        if files is not None:
            found[frame.name] = files
    return found
