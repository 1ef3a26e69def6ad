"""Frames that a rolling shutter has bent: its lines are exposed one after the other, each from a place of its own.

No camera with one pose a frame explains such pictures. What is left over is a shear or a stretch, another one in every
frame.
"""

from __future__ import annotations

import numpy as np
import pycolmap
from numpy.typing import NDArray

from .adjustment import seen_and_projected

WORTH = 0.03
"""An affine map a frame must lower the robust cost by this part: 8 % on frames of a rolling shutter, else 0.2 %."""

SHARP_WORTH = 0.0015
"""The same of a sharpened solve: 0.3 to 6 % behind a rolling shutter that hardly shows, up to 0.14 % on clean plates
without one. Film that weaves and a coarse codec come to 0.25 and 0.35 %, and are asked in vain."""

FEWEST_POINTS = 50

BENT = (
    "The frames are sheared or stretched against each other, each in its own way: no rigid solve fits them, also not "
    "with a rolling shutter, and cameras may be off by pixels. Solve the plate as it was shot."
)

Array = NDArray[np.float64]


def bend(model: pycolmap.Reconstruction, loss: float) -> float:
    """By what part affine maps, one a frame, lower the robust cost (scale `loss`) that the adjusted `model` leaves."""
    costs = np.zeros(2)
    for identifier in model.reg_image_ids():
        seen, projected = seen_and_projected(model, model.images[identifier])
        kept = np.isfinite(projected).all(axis=1)
        xy, offsets = seen[kept], (projected - seen)[kept]
        if len(xy) >= FEWEST_POINTS:
            costs += _cost(offsets, loss), _cost(offsets - _affine(xy, offsets, loss), loss)
    return float(1 - costs[1] / costs[0]) if costs[0] else 0.0


def is_bent(model: pycolmap.Reconstruction, loss: float) -> bool:
    """Whether that is more than noise gives away."""
    return bend(model, loss) > WORTH


def _affine(xy: Array, offsets: Array, loss: float) -> Array:
    """The affine map of `xy` that is nearest to `offsets`, those that are far off counting little."""
    terms = np.column_stack([np.ones(len(xy)), xy])
    weights = 1 / np.sqrt(1 + (offsets**2).sum(axis=1, keepdims=True) / loss**2)
    return np.asarray(terms @ np.linalg.lstsq(terms * weights, offsets * weights, rcond=None)[0])


def _cost(offsets: Array, loss: float) -> float:
    return float(np.log1p((offsets**2).sum(axis=1) / loss**2).sum())
