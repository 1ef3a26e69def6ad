"""The lens of a frame as it was solved."""

from __future__ import annotations

import math

import numpy as np

from ..exchange.reconstruction import Frame
from ..geometry.cameras import Lens, rays_of_pixels


def lens_of(frame: Frame) -> Lens:
    """The lens of a registered frame."""
    pose = frame.pose
    assert pose is not None
    return pose.lens


def lens_bend(frame: Frame) -> float:
    """How far, in pixels, the lens moves the corners of the picture of a registered frame; infinite where it folds."""
    lens = lens_of(frame)
    corners = np.array([(x, y) for x in (0, frame.width) for y in (0, frame.height)], np.float64)
    straight = rays_of_pixels(corners, lens) * [lens.fx, lens.fy] + [lens.cx, lens.cy]
    moved = np.linalg.norm(straight - corners, axis=1)
    return float(np.nanmax(moved)) if np.isfinite(moved).any() else math.inf
