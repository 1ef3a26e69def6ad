"""Camera moves as pure numpy: OpenCV poses from positions and targets given in Blender's axes (z up, metres)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vggt_blender.geometry.blender_axes import BLENDER_FROM_OPENCV

Array = NDArray[np.float64]


def look_at(position: ArrayLike, target: ArrayLike, roll_degrees: float = 0.0) -> Array:
    """The OpenCV pose ``camera_from_world`` (3, 4) of a camera at `position` that sees `target` in its centre.

    Positive `roll_degrees` turns the camera clockwise as seen from behind it.
    """
    eye = BLENDER_FROM_OPENCV.T @ np.asarray(position, np.float64)
    forward = BLENDER_FROM_OPENCV.T @ np.asarray(target, np.float64) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    angle = np.radians(roll_degrees)
    rolled_right = np.cos(angle) * right + np.sin(angle) * down
    rolled_down = np.cos(angle) * down - np.sin(angle) * right
    rotation = np.stack([rolled_right, rolled_down, forward])
    return np.column_stack([rotation, -rotation @ eye])


def look_along(positions: ArrayLike, targets: ArrayLike, rolls: ArrayLike | float = 0.0) -> Array:
    """Poses (N, 3, 4) for positions (N, 3), targets (N, 3) and rolls in degrees (N,) or one for all."""
    positions, targets = np.broadcast_arrays(np.atleast_2d(positions), np.atleast_2d(targets))
    angles = np.broadcast_to(np.asarray(rolls, np.float64), len(positions))
    rows = zip(positions, targets, angles, strict=True)
    return np.stack([look_at(position, target, float(roll)) for position, target, roll in rows])


def through(points: Sequence[Sequence[float]], count: int) -> Array:
    """`count` positions (count, 3) along the smooth curve (Catmull-Rom) through `points`, first and last included."""
    knots = np.asarray(points, np.float64)
    padded = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    s = np.linspace(0, len(knots) - 1, count)
    k = np.minimum(s.astype(int), len(knots) - 2)
    t = (s - k)[:, None]
    a, b, c, d = (padded[k + offset] for offset in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def arc(center: Sequence[float], radius: float, height: float, degrees: tuple[float, float], count: int) -> Array:
    """Positions (count, 3) on a circle about `center` at `height` above it; 0 degrees is +x, counter-clockwise."""
    angles = np.radians(np.linspace(*degrees, count))
    ring = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(count, height)], axis=-1)
    return ring + np.asarray(center, np.float64)


def shake(count: int, amplitude: float, seed: int, smoothness: float = 3.0) -> Array:
    """Hand movement (count, 3) of standard deviation `amplitude`: slow sway plus a quarter of frame-to-frame jitter."""
    rng = np.random.default_rng(seed)
    reach = int(4 * smoothness)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / smoothness) ** 2)
    noise = rng.standard_normal((count + 2 * reach, 3))
    sway = np.stack([np.convolve(column, kernel, mode="valid") for column in noise.T], axis=-1)
    sway /= np.sqrt((kernel**2).sum())
    return amplitude * (sway + 0.25 * rng.standard_normal((count, 3)))
