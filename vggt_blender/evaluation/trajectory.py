"""Errors of a camera path: absolute (ATE), from frame to frame (RPE), and between all pairs (RRA, RTA, AUC).

Poses are OpenCV ``camera_from_world`` (N, 3, 4), solved ones aligned to the truth first. After Sturm et al., "A
benchmark for the evaluation of RGB-D SLAM systems", 2012, and for the pairs Wang et al., "PoseDiffusion", 2023.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.cameras import camera_center, invert_pose

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Path:
    """Errors along a path. Lengths in the truth's unit, angles in degrees; None where the path does not say."""

    length: float
    ate: float
    ate_percent: float
    rpe: float | None
    rpe_percent: float | None


@dataclass(frozen=True)
class Relative:
    """Shares (0..1) of pairs whose error is below so many degrees, and areas under that curve (0..1).

    The translation's direction is not folded: a move in the opposite direction is 180 degrees off.
    """

    rra: dict[int, float]
    rta: dict[int, float] | None
    auc: dict[int, float]


def rotation_angles(first: Array, second: Array) -> Array:
    """Degrees between rotations (..., 3, 3), exact for small angles too."""
    chord = np.linalg.norm(first - second, axis=(-2, -1))
    return np.degrees(2 * np.arcsin(np.clip(chord / np.sqrt(8.0), 0, 1)))


def path_error(solved: Array, truth: Array, consecutive: NDArray[np.bool_]) -> Path:
    """ATE and RPE of aligned poses; `consecutive` (N - 1,) says which follow one another in the shot."""
    centers, known = camera_center(solved), camera_center(truth)
    length = float(np.linalg.norm(np.diff(known, axis=0), axis=-1).sum())
    ate = float(np.sqrt(((centers - known) ** 2).sum(axis=-1).mean()))
    steps = np.flatnonzero(consecutive)
    rpe = rpe_percent = None
    if len(steps):
        errors = [_step(solved, k)[:, 3] - _step(truth, k)[:, 3] for k in steps]
        rpe = float(np.sqrt((np.asarray(errors) ** 2).sum(axis=-1).mean()))
        stride = float(np.linalg.norm(np.diff(known, axis=0), axis=-1)[steps].mean())
        rpe_percent = 100 * rpe / stride if stride > 0 else None
    return Path(length, ate, 100 * ate / length, rpe, rpe_percent)


def step_rotation_error(solved: Array, truth: Array, consecutive: NDArray[np.bool_]) -> float | None:
    """RMSE in degrees of the turn from one frame to the next; None without consecutive frames."""
    steps = np.flatnonzero(consecutive)
    if not len(steps):
        return None
    turns = [rotation_angles(_step(solved, k)[:, :3], _step(truth, k)[:, :3]) for k in steps]
    return float(np.sqrt(np.mean(np.square(turns))))


def relative_error(solved: Array, truth: Array, *, has_path: bool) -> Relative | None:
    """RRA, RTA and AUC over all pairs; rotation alone where the camera only turned. None for fewer than two frames."""
    first, second = np.triu_indices(len(solved), 1)
    if not len(first):
        return None
    turns = [pose[second, :, :3] @ np.swapaxes(pose[first, :, :3], -1, -2) for pose in (solved, truth)]
    rotation = rotation_angles(turns[0], turns[1])
    worst, rta = rotation, None
    if has_path:
        moves = [_moves(pose, first, second) for pose in (solved, truth)]
        lengths = np.linalg.norm(moves[1], axis=-1)
        moving = lengths > 1e-6 * lengths.max()
        direction = _angles(moves[0], moves[1])
        rta = _shares(direction[moving])
        worst = np.where(moving, np.maximum(rotation, direction), rotation)
    auc = {limit: float(np.mean([(worst < degree).mean() for degree in range(1, limit + 1)])) for limit in (3, 30)}
    return Relative(_shares(rotation), rta, auc)


def _shares(errors: Array) -> dict[int, float]:
    return {limit: float((errors < limit).mean()) for limit in (5, 15, 30)}


def _step(poses: Array, k: int) -> Array:
    """The pose of camera k in camera k + 1."""
    from_world, to_world = poses[k + 1], invert_pose(poses[k])
    rotation = from_world[:, :3] @ to_world[:, :3]
    return np.column_stack([rotation, from_world[:, :3] @ to_world[:, 3] + from_world[:, 3]])


def _moves(poses: Array, first: NDArray[np.intp], second: NDArray[np.intp]) -> Array:
    """The first camera's centre seen from the second, (pairs, 3)."""
    centers = camera_center(poses)[first]
    return np.einsum("nij,nj->ni", poses[second, :, :3], centers) + poses[second, :, 3]


def _angles(first: Array, second: Array) -> Array:
    cross = np.linalg.norm(np.cross(first, second), axis=-1)
    return np.degrees(np.arctan2(cross, (first * second).sum(axis=-1)))
