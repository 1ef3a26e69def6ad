"""Local features: SIFT at a working size, in pixels of the source.

COLMAP, too, puts the centre of the top-left pixel at (0.5, 0.5), so working coordinates are source coordinates times
one scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

WORKING_SIDE = 1600
"""Pictures with a longer side are reduced to this many pixels before features are looked for."""

MAX_FEATURES = 8192
"""Of a picture among stills, which may have little in common with the others."""

MAX_FEATURES_ORDERED = 4096
"""Of a frame of a shot, which has most in common with the next one."""

Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class Features:
    """``xy`` (K, 2) float64 working pixels; ``descriptors`` (K, 128) float32 of unit length."""

    xy: NDArray[np.float64]
    descriptors: NDArray[np.float32]

    def some(self, rows: NDArray[np.bool_] | slice) -> Features:
        """Those that `rows` says."""
        return Features(self.xy[rows], self.descriptors[rows])


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


class FeatureFinder:
    """Finds up to `most` SIFT features in a picture."""

    def __init__(self, most: int = MAX_FEATURES) -> None:
        self._most = most
        options = pycolmap.FeatureExtractionOptions(use_gpu=False, num_threads=1)
        options.sift.max_num_features = most
        self._extractor = pycolmap.FeatureExtractor.create(options)

    def find(self, gray: Gray, mask: NDArray[np.bool_] | None = None) -> Features:
        """Features of a grey picture (h, w), small details first; `mask` (any size) is True where to look."""
        keypoints, descriptors = self._extractor.extract_from_uint8_array(np.ascontiguousarray(gray))
        xy = np.array([(point.x, point.y) for point in keypoints], np.float64).reshape(-1, 2)
        values = np.asarray(descriptors.data, np.float32)
        values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
        if mask is not None and len(xy):
            scale = np.array([mask.shape[1] / gray.shape[1], mask.shape[0] / gray.shape[0]])
            column, row = np.clip((xy * scale).astype(int), 0, [mask.shape[1] - 1, mask.shape[0] - 1]).T
            xy, values = xy[mask[row, column]], values[mask[row, column]]
        return Features(xy[: self._most], values[: self._most])
