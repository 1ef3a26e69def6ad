"""Local features: SIFT at a working size, in pixels of the source.

COLMAP, too, puts the centre of the top-left pixel at (0.5, 0.5), so working coordinates are source coordinates times
one scale.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

from .parallel import threads

WORKING_SIDE = 1600
"""Pictures with a longer side are reduced to this many pixels before features are looked for."""

MAX_FEATURES = 8192
"""Of a picture among stills, which may have little in common with the others."""

MAX_FEATURES_ORDERED = 4096
"""Of a frame of a shot, which has most in common with the next one."""

Gray = NDArray[np.uint8]

Look = tuple[Gray, NDArray[np.bool_] | None]
"""A grey picture (h, w), and a mask of any size that is True where to look; None: everywhere."""


@dataclass(frozen=True)
class Features:
    """``xy`` (K, 2) float64 working pixels; ``descriptors`` (K, 128) float32 of unit length."""

    xy: NDArray[np.float64]
    descriptors: NDArray[np.float32]

    def some(self, rows: NDArray[np.bool_] | slice) -> Features:
        """Those that `rows` says."""
        return Features(self.xy[rows], self.descriptors[rows])

    def within(self, mask: NDArray[np.bool_], size: tuple[int, ...]) -> Features:
        """Those where `mask` (any size) is True, in a picture of `size` (h, w)."""
        scale = np.array([mask.shape[1] / size[1], mask.shape[0] / size[0]])
        column, row = np.clip((self.xy * scale).astype(int), 0, [mask.shape[1] - 1, mask.shape[0] - 1]).T
        return self.some(mask[row, column])


def working_scale(width: int, height: int) -> float:
    """Working pixels per source pixel, at most 1."""
    return min(1.0, WORKING_SIDE / max(width, height))


def working_picture(picture: NDArray[np.uint8]) -> Gray:
    """The grey picture (h, w) at the working size of an sRGB `picture` (H, W, 3).

    The scale is exactly `working_scale` on both axes: a last row or column that is only partly covered stays.
    """
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    scale = working_scale(gray.shape[1], gray.shape[0])
    if scale == 1.0:
        return np.asarray(gray)
    return np.asarray(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def find_features(looks: Iterable[Look], most: int = MAX_FEATURES, scratch: Path | None = None) -> Iterator[Features]:
    """Up to `most` SIFT features of each of `looks` in order, small details first; of more, the smallest are kept.

    COLMAP works on several pictures at once only where they are files: a few at a time pass through a folder in
    `scratch`, which its owner clears away even after a crash (None: where the system keeps temporary files).
    """
    options = pycolmap.FeatureExtractionOptions(use_gpu=False, num_threads=threads())
    options.sift.max_num_features = most
    waiting = iter(looks)
    while some := list(itertools.islice(waiting, _AT_ONCE * threads())):
        with tempfile.TemporaryDirectory(prefix="vggt-features-", dir=scratch) as folder:
            found = list(_found_in(Path(folder), [gray for gray, _ in some], options))
        for features, (gray, mask) in zip(found, some, strict=True):
            seen = features if mask is None else features.within(mask, gray.shape)
            yield seen.some(slice(most))


_AT_ONCE = 2  # pictures a thread: the slowest of them is waited for, and progress is told in between


def _found_in(folder: Path, pictures: Sequence[Gray], options: pycolmap.FeatureExtractionOptions) -> Iterator[Features]:
    names = [f"{position:06d}.pgm" for position in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        (folder / name).write_bytes(cv2.imencode(".pgm", picture)[1].tobytes())
    pycolmap.extract_features(folder / "features.db", folder, names, extraction_options=options)
    database = pycolmap.Database.open(folder / "features.db")
    try:
        identifiers = {image.name: image.image_id for image in database.read_all_images()}
        for name in names:
            keypoints = database.read_keypoints(identifiers[name])
            descriptors = database.read_descriptors(identifiers[name]).data
            yield _features(np.asarray(keypoints, np.float64), np.asarray(descriptors, np.float32))
    finally:
        database.close()


def _features(keypoints: NDArray[np.float64], descriptors: NDArray[np.float32]) -> Features:
    length = np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Features(keypoints[:, :2].reshape(-1, 2), descriptors.reshape(-1, 128) / np.maximum(length, 1e-9))
