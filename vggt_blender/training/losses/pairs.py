"""Cameras relative to each other, as accuracy is measured: between all pairs of frames, not each to the first."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...model.pose import quaternion_to_matrix
from .camera import DECAY, iteration_weights

SHORT = 0.02
"""Pairs nearer than this share of the scene's scale have no direction to be learned."""
SMALLEST_BASELINE = 0.05
"""Largest baselines below this share of the scene's scale count as this."""
FLOOR = 0.2
"""A predicted move shorter than this share of the true one is not blown up to unit length: its direction is noise."""


def pair_loss(predictions: Sequence[Tensor], extrinsics: Tensor, *, decay: float = DECAY) -> dict[str, Tensor]:
    """``pair_rotation``, ``pair_direction`` and ``baseline``, scalars.

    `predictions`: one (B, S, 9) per iteration of the camera head, `extrinsics` (B, S, 3, 4) the normalised truth.
    The first two are chords 2 sin(angle / 2), radians where small: of the relative rotation's error, and between the
    directions in which one frame sees the other's centre, for all ordered pairs that are at least `SHORT` apart. The
    third is the absolute error of the translations over the scene's largest baseline. Weights over the iterations as in
    `camera_loss`. A scene of one frame has no pairs: zeros that keep the graph.
    """
    truth = extrinsics.float()
    turns, moves = _relative(truth)
    length = moves.norm(dim=-1)
    apart = length > SHORT
    different = ~torch.eye(length.shape[-1], dtype=torch.bool, device=length.device).expand_as(apart)
    direction = moves / length.clamp(min=1e-6)[..., None]
    largest = length.amax(dim=(1, 2)).clamp(min=SMALLEST_BASELINE)
    pose = torch.stack(list(predictions)).float()
    turned, moved = _relative(torch.cat([quaternion_to_matrix(pose[..., 3:7]), pose[..., :3, None]], dim=-1))
    rotation = _length((turned - turns).flatten(-2)) / 2**0.5
    pointing = moved / torch.maximum(_length(moved), FLOOR * length)[..., None].clamp(min=1e-6)
    error = (pose[..., :3] - truth[..., 3]).abs().mean(dim=-1) / largest[:, None]
    weights = iteration_weights(len(predictions), decay, truth.device)
    found = {
        "pair_rotation": _mean(rotation, different),
        "pair_direction": _mean(_length(pointing - direction), apart),
        "baseline": error.mean(dim=(1, 2)),
    }
    return {name: (values * weights).sum() for name, values in found.items()}


def _relative(poses: Tensor) -> tuple[Tensor, Tensor]:
    """For poses (..., S, 3, 4): rotations (..., S, S, 3, 3) and camera i's centre in camera j's axes (..., S, S, 3),
    [i, j].

    Sums instead of matrix products: a GPU may round the factors of those to ten bits.
    """
    rotation, translation = poses[..., :3], poses[..., 3]
    first, second = rotation.unsqueeze(-3), rotation.unsqueeze(-4)
    turns = (second[..., :, None, :] * first[..., None, :, :]).sum(dim=-1)  # R_j R_iᵀ
    moves = translation.unsqueeze(-3) - (turns * translation[..., None, None, :]).sum(dim=-1)
    return turns, moves


def _length(vectors: Tensor) -> Tensor:
    """Euclidean, with a gradient at zero too."""
    return (vectors.square().sum(dim=-1) + 1e-10).sqrt()


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Of values (I, B, S, S) where `mask` (B, S, S), (I,)."""
    return (values * mask).sum(dim=(1, 2, 3)) / mask.sum().clamp(min=1)
