"""Rotations of all frames from their relative turns, starting at those that are to be refined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..geometry.alignment import mean_rotation
from .correspondences import Turn

Array = NDArray[np.float64]

SOFT_DEGREES = 2.0
"""Turns that disagree by more than this count for little (Geman-McClure)."""


def rotation_vector(rotations: Array) -> Array:
    """Axis times angle (..., 3) in radians of rotations (..., 3, 3) of less than half a turn."""
    skew = np.stack(
        [
            rotations[..., 2, 1] - rotations[..., 1, 2],
            rotations[..., 0, 2] - rotations[..., 2, 0],
            rotations[..., 1, 0] - rotations[..., 0, 1],
        ],
        axis=-1,
    )
    sine = np.linalg.norm(skew, axis=-1, keepdims=True) / 2
    cosine = (np.trace(rotations, axis1=-2, axis2=-1)[..., None] - 1) / 2
    angle = np.arctan2(sine, cosine)
    return np.where(sine > 1e-9, skew * angle / np.maximum(2 * sine, 1e-12), skew / 2)


def rotation_matrix(vectors: Array) -> Array:
    """Rotations (..., 3, 3) of axis times angle (..., 3), by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*vectors.shape[:-1], 3, 3)
    sinc = np.sinc(angle / np.pi)
    half = np.sinc(angle / (2 * np.pi))
    return np.eye(3) + sinc * cross + 0.5 * half**2 * cross @ cross


def average_rotations(start: Array, turns: Sequence[Turn], iterations: int = 30) -> Array:
    """Camera rotations (N, 3, 3) that agree best with the relative `turns`; as a whole turned like `start`.

    Iteratively reweighted least squares on the tangent space; frames without turns keep their start.
    """
    rotations = start.copy()
    if not turns:
        return rotations
    first = np.array([turn.first for turn in turns])
    second = np.array([turn.second for turn in turns])
    measured = np.stack([turn.rotation for turn in turns])
    strength = np.sqrt(np.array([turn.matches for turn in turns], np.float64))
    count = len(start)
    rows = np.arange(len(turns))
    for _ in range(iterations):
        # R_second exp(w_second) = measured R_first exp(w_first) exp(residual), to first order in the world's axes
        residual = rotation_vector(np.swapaxes(rotations[second], 1, 2) @ measured @ rotations[first])
        size = np.degrees(np.linalg.norm(residual, axis=1))
        weight = strength / (1 + (size / SOFT_DEGREES) ** 2)
        design = np.zeros((len(turns) + count, count))
        design[rows, second] = weight
        design[rows, first] = -weight
        design[len(turns) + np.arange(count), np.arange(count)] = 1e-3 * weight.max()
        target = np.concatenate([weight[:, None] * residual, np.zeros((count, 3))])
        step = np.linalg.lstsq(design, target, rcond=None)[0]
        rotations = rotations @ rotation_matrix(step)
        if np.linalg.norm(step, axis=1).max() < 1e-7:
            break
    return rotations @ mean_rotation(np.swapaxes(rotations, 1, 2) @ start)
