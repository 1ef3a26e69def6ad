"""Floor, scale, origin and direction of a Blender world from points in it: matrices (4, 4) that carry it there.

Points are (3,) in Blender's axes, z up. All turn and scale about the world's origin, so that they can follow each other
in any order. A matrix M takes a point X to M X. Raises `ValueError` with one line for people where points do not say
enough.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .blender_axes import leveling_matrix, points_from_blender

Array = NDArray[np.float64]
Axis = Literal["X", "Y", "Z"]

FLAT = 1e-4  # sine of the angle below which three points are a line, and a direction is upright


def floor_matrix(points: ArrayLike, above: ArrayLike) -> Array:
    """Lays the plane through `points` (3, 3) on z = 0, by the shortest turn, with the point `above` over it."""
    corners = np.asarray(points, np.float64)
    first, second = corners[1] - corners[0], corners[2] - corners[0]
    normal = np.cross(first, second)
    length = float(np.linalg.norm(normal))
    if length <= FLAT * max(first @ first, second @ second):
        raise ValueError("The three points lie on one line: choose others, far apart.")
    normal /= length
    if normal @ (np.asarray(above, np.float64) - corners[0]) < 0:
        normal = -normal
    return leveling_matrix(points_from_blender(normal), float(normal @ corners.mean(axis=0)))


def scale_matrix(first: ArrayLike, second: ArrayLike, distance: float) -> Array:
    """Makes the distance from `first` to `second` the given one, in Blender units."""
    length = float(np.linalg.norm(np.asarray(second, np.float64) - np.asarray(first, np.float64)))
    if length == 0:
        raise ValueError("The two points are the same: choose others, far apart.")
    return np.diag([*[distance / length] * 3, 1.0])


def origin_matrix(point: ArrayLike) -> Array:
    """Moves `point` to the world's origin."""
    matrix = np.eye(4)
    matrix[:3, 3] = -np.asarray(point, np.float64)
    return matrix


def direction_matrix(first: ArrayLike, second: ArrayLike, axis: Axis, flip: bool = False) -> Array:
    """Turns the line through both points parallel to `axis`: about the vertical for X and Y, upright for Z.

    The line has no sense of its own: it turns the shorter way, with `flip` the other.
    """
    line = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    length = float(np.linalg.norm(line))
    if length == 0:
        raise ValueError("The two points are the same: choose others, far apart.")
    line /= length
    target = np.eye(3)["XYZ".index(axis)]
    if (line @ target < 0) != flip:
        line = -line
    if axis == "Z":
        return leveling_matrix(points_from_blender(line))
    if np.hypot(line[0], line[1]) <= FLAT:
        raise ValueError("The line stands upright and shows no direction: choose two points beside each other.")
    turn = np.arctan2(target[1], target[0]) - np.arctan2(line[1], line[0])
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    return matrix
