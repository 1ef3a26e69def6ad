"""The track loss: where a point goes, whether it is seen, and whether the prediction may be trusted.

The released program leaves this loss out, so the formulas are those of its documentation: see docs/training.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as torch_f
from torch import Tensor

from .normalization import finite

DECAY = 0.8
TRUSTED_PIXELS = 3.0


def track_loss(
    predictions: Sequence[Tensor],
    visibility_logits: Tensor,
    confidence_logits: Tensor,
    target: Tensor,
    visible: Tensor,
    *,
    decay: float = DECAY,
) -> dict[str, Tensor]:
    """``track``, ``visibility`` and ``confidence``, three scalars that are added up with equal weight.

    `predictions`: one (B, S, N, 2) per iteration, network pixels; `target` alike; `visible` (B, S, N) bool; the logits
    (B, S, N) are taken before the sigmoid. Only tracks that are visible in frame 0 count, and positions only where they
    are visible. Iteration i of n weighs ``decay ** (n - 1 - i)``; the sum is divided by n. The confidence is taught
    whether the last prediction lies within 3 px. Two visible entries or fewer make all three zero.
    """
    starts = visible[:, :1].expand_as(visible)
    seen = (visible & starts).float()
    enough = (seen.sum() > 2).float()
    total = target.new_zeros((), dtype=torch.float32)
    for index, prediction in enumerate(predictions):
        error = finite((prediction.float() - target).abs(), float("inf")).mean(dim=-1)
        weight = decay ** (len(predictions) - 1 - index)
        total = total + weight * (error * seen).sum() / seen.sum().clamp(min=1)
    near = ((predictions[-1].detach().float() - target).norm(dim=-1) < TRUSTED_PIXELS).float()
    return {
        "track": enough * total / len(predictions),
        "visibility": enough * _cross_entropy(visibility_logits, visible.float(), starts),
        "confidence": enough * _cross_entropy(confidence_logits, near, starts),
    }


def _cross_entropy(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    values = torch_f.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
    return (values * mask).sum() / mask.sum().clamp(min=1)
