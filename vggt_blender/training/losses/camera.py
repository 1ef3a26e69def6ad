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
    totals = {name: target.new_zeros((), dtype=torch.float32) for name in parts}
    for index, prediction in enumerate(predictions):
        weight = decay ** (len(predictions) - 1 - index)
        for name, entries in parts.items():
            difference = prediction[..., entries].float() - target[..., entries]
            size = difference.abs() if kind == "l1" else difference.norm(dim=-1, keepdim=True)
            limit = 100.0 if name == "translation" else float("inf")
            per_scene = finite(size, limit).mean(dim=(1, 2))
            totals[name] = totals[name] + weight * (per_scene * counts).sum() / scenes
    totals = {name: total / len(predictions) for name, total in totals.items()}
    return totals | {"camera": totals["translation"] + totals["rotation"] + 0.5 * totals["lens"]}
