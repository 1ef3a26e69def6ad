"""The camera loss: pose vectors compared after every iteration of the camera head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .normalization import finite

DECAY = 0.6
MIN_VALID_PIXELS = 100


def camera_loss(
    predictions: Sequence[Tensor], target: Tensor, point_masks: Tensor, *, kind: str = "l1", decay: float = DECAY
) -> dict[str, Tensor]:
    """``translation``, ``rotation``, ``lens`` and their sum ``camera`` (the lens at half weight), scalars.

    `predictions`: one (B, S, 9) per iteration, `target` (B, S, 9) as `encode_cameras` makes it, `point_masks`
    (B, S, H, W). Iteration i of n weighs ``decay ** (n - 1 - i)``; the sum is divided by n. `kind` "l1" takes absolute
    differences, "l2" lengths of the difference vectors. Quaternions are compared as they are: the target's sign is
    canonical. Only scenes whose first frame has more than 100 valid pixels count; with none, the loss is a zero that
    keeps the graph.
    """
    if kind not in ("l1", "l2"):
        raise ValueError(f"the camera loss is 'l1' or 'l2', not '{kind}'")
    counts = (point_masks[:, 0].flatten(1).sum(-1) > MIN_VALID_PIXELS).float()
    scenes = counts.sum().clamp(min=1.0)
    parts = {"translation": slice(0, 3), "rotation": slice(3, 7), "lens": slice(7, 9)}
    given = torch.stack(list(predictions)).float()
    weights = iteration_weights(len(predictions), decay, target.device)
    totals = {}
    for name, entries in parts.items():
        difference = given[..., entries] - target[..., entries]
        size = difference.abs() if kind == "l1" else difference.norm(dim=-1, keepdim=True)
        limit = 100.0 if name == "translation" else float("inf")
        per_scene = finite(size, limit).mean(dim=(2, 3))
        totals[name] = ((per_scene * counts).sum(dim=-1) * weights).sum() / scenes
    return totals | {"camera": totals["translation"] + totals["rotation"] + 0.5 * totals["lens"]}


def iteration_weights(count: int, decay: float, device: torch.device) -> Tensor:
    """What each of `count` iterations weighs, (count,): ``decay ** (count - 1 - i) / count``."""
    return decay ** torch.arange(count - 1, -1, -1, device=device, dtype=torch.float32) / count
