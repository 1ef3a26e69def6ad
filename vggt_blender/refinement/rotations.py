"""Rotations of all frames from their relative turns, starting at those that are to be refined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..geometry.alignment import mean_rotation
from ..geometry.rotations import rotation_matrix, rotation_vector
from .correspondences import Turn

Array = NDArray[np.float64]

SOFT_DEGREES = 2.0
"""Turns that disagree by more than this count for little (Geman-McClure)."""


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
