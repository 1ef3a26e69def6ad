"""Pictures in: one door for stills, image sequences and videos.

Every engine sees the same thing: frames in order, as sRGB bytes with the orientation applied once, each with its
place in the source. Nothing is scaled here; coordinates are pixels of the source as it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..exchange.job import FrameRange
from ..exchange.messages import Reporter
from ..exchange.reconstruction import Frame, Pose, Source
from .squeeze import Squeeze


@dataclass(frozen=True)
class SourceFrame:
    """One frame of the source.

    ``name`` is unique in the source: the file's name, for a video ``stem.0001`` with the frame's number. ``path`` is
    the absolute path of the picture or of the video. ``index`` is 0-based in the source, ``number`` the plate's own
    (sequence: from the file's name; video: index + 1; stills: None). ``width`` and ``height`` are pixels after the
    orientation was applied. ``focal_px`` is the focal length in those pixels as far as EXIF knows it, or None.
    ``pixel_aspect`` is a pixel's width over its height as the file states it. Where ``squeeze`` is set, the frame has
    been stretched to square pixels: `width`, `height` and ``focal_px`` count those.
    """

    name: str
    path: str
    index: int
    number: int | None
    width: int
    height: int
    focal_px: float | None
    pixel_aspect: float = 1.0
    squeeze: Squeeze | None = None

    def solved(self, pose: Pose | None, depth_to_image: NDArray[np.float64], extra: dict[str, Any]) -> Frame:
        """This frame in a reconstruction: with its `pose` (None: not registered) and depth map; `extra` entries."""
        return self.stored(
            Frame(self.name, self.path, self.index, self.number, self.width, self.height, pose, depth_to_image, extra)
        )

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height in the file's pixels."""
        return (self.width, self.height) if self.squeeze is None else (self.squeeze.width, self.squeeze.height)

    def seen_xy(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places (..., 2) in the file's pixels, in this frame's."""
        return xy if self.squeeze is None else self.squeeze.seen_xy(xy)

    def stored(self, frame: Frame) -> Frame:
        """`frame`, solved in this one's pixels, in those of the file."""
        return frame if self.squeeze is None else self.squeeze.stored(frame)

    def seen(self, frame: Frame) -> Frame:
        """`frame`, in the file's pixels, in this one's: undoes `stored`."""
        return frame if self.squeeze is None else self.squeeze.square(frame)


class FrameSource(Protocol):
    """An opened source. Positions count the frames that were chosen, from 0."""

    @property
    def source(self) -> Source: ...

    @property
    def frames(self) -> tuple[SourceFrame, ...]: ...

    def read(self, position: int) -> NDArray[np.uint8]:
        """The picture (H, W, 3) sRGB. Raises `JobError` where it can no longer be read."""
        ...

    def mask(self, position: int) -> NDArray[np.bool_] | None:
        """True (H, W) where the picture may be used; None where all of it may (no mask, no transparency)."""
        ...

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Every picture in order; a video is decoded once from front to back."""
        ...


def open_source(
    inputs: Sequence[str],
    *,
    kind: str = "auto",
    frames: FrameRange = FrameRange(),  # noqa: B008  (frozen)
    report: Reporter | None = None,
    mask: str | None = None,
) -> FrameSource:
    """Open image files, one folder of images, or one video.

    `kind` is ``auto``, ``images``, ``sequence`` or ``video``; `frames` counts 0-based indices, for a sequence the
    plate's numbers. `mask` is one picture for all frames or a folder with one a frame: black is left out. Files that
    cannot be read are named in a warning to `report` and skipped. Raises `JobError` where nothing is left to use.
    """
    from .plates import list_source

    listing = list_source(inputs, kind)
    if listing.video is not None:
        from .video import open_video

        return open_video(listing.video, frames, report, mask)
    from .stills import open_stills

    return open_stills(listing, kind, frames, report, mask)
