"""Frames that a rolling shutter has bent: its lines are exposed one after the other, each from a place of its own.

No camera with one pose a frame explains such pictures. What is left over is a shear or a stretch, another one in every
frame.
"""

from __future__ import annotations

import numpy as np
import pycolmap
from numpy.typing import NDArray

WORTH = 0.03
"""An affine map a frame must lower the robust cost by this part: 8 % on frames of a rolling shutter, else 0.2 %."""

SHARP_WORTH = 0.0015
"""The same of a sharpened solve: 0.3 to 6 % behind a rolling shutter that hardly shows, else 0.13 % at the most."""

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
        xy, offsets = _offsets(model, model.images[identifier])
        if len(xy) >= FEWEST_POINTS:
            costs += _cost(offsets, loss), _cost(offsets - _affine(xy, offsets, loss), loss)
    return float(1 - costs[1] / costs[0]) if costs[0] else 0.0


def is_bent(model: pycolmap.Reconstruction, loss: float) -> bool:
    """Whether that is more than noise gives away."""
    return bend(model, loss) > WORTH


def _offsets(model: pycolmap.Reconstruction, image: pycolmap.Image) -> tuple[Array, Array]:
    """Where an image sees its points, (M, 2), and how far from there they project, (M, 2), in working pixels."""
    points = image.get_observation_points2D()
    if not points:
        return np.zeros((0, 2)), np.zeros((0, 2))
    world = np.array([model.points3D[point.point3D_id].xyz for point in points])
    pose = image.cam_from_world().matrix()
    projected = model.cameras[image.camera_id].img_from_cam(world @ pose[:, :3].T + pose[:, 3])
    xy = np.array([point.xy for point in points])
    kept = np.isfinite(projected).all(axis=1)
    return xy[kept], (projected - xy)[kept]


def _affine(xy: Array, offsets: Array, loss: float) -> Array:
    """The affine map of `xy` that is nearest to `offsets`, those that are far off counting little."""
    terms = np.column_stack([np.ones(len(xy)), xy])
    weights = 1 / np.sqrt(1 + (offsets**2).sum(axis=1, keepdims=True) / loss**2)
    return np.asarray(terms @ np.linalg.lstsq(terms * weights, offsets * weights, rcond=None)[0])


def _cost(offsets: Array, loss: float) -> float:
    return float(np.log1p((offsets**2).sum(axis=1) / loss**2).sum())
