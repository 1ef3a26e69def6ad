"""Depth and point-map losses: regression weighted by the predicted confidence, and a term on neighbouring pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as torch_f
from torch import Tensor

from .normalization import finite

ALPHA = 0.2
"""Weight of -log(confidence), which keeps the confidence from falling to its floor."""
MIN_VALID_PIXELS = 100
SCALES = {"grad": 4, "normal": 3}
QUANTILE_FLOOR = 1000
"""Fewer values than this are never thinned."""
QUANTILE_SAMPLE = 1_000_000
QUANTILE_MAX = 100_000_000


def dense_loss(
    prediction: Tensor,
    confidence: Tensor,
    target: Tensor,
    mask: Tensor,
    *,
    neighbors: str = "grad",
    valid_range: float = 0.98,
) -> dict[str, Tensor]:
    """``confidence``, ``regression`` and ``neighbors``, three scalars that are added up with equal weight.

    `prediction` and `target` (B, S, H, W, C), `confidence` (B, S, H, W) >= 1, `mask` (B, S, H, W) bool. `neighbors` is
    "grad" (differences along rows and columns), "normal" (surface normals, C = 3) or either with "_conf", which weighs
    it with the confidence too. `valid_range` in (0, 1) drops the largest residuals; <= 0 keeps all. Fewer than 100
    valid pixels in the batch make the loss zero.
    """
    name, weighted = neighbors.removesuffix("_conf"), neighbors.endswith("_conf")
    if name not in SCALES:
        raise ValueError(f"the neighbour term is 'grad' or 'normal', not '{neighbors}'")
    prediction, confidence = prediction.float(), confidence.float()
    target, mask = finite(target.float()), mask.bool()
    enough = (mask.sum() >= MIN_VALID_PIXELS).float()
    squared = (target - prediction).square().sum(dim=-1)
    residual = finite(squared.clamp(min=1e-24).sqrt())
    penalized = finite(residual * confidence - ALPHA * confidence.log())
    term = _gradient_term if name == "grad" else _normal_term
    flat = [values.flatten(0, 1) for values in (prediction, target, mask, confidence)]
    neighbor_loss = sum(
        term(*(values[:, ::step, ::step] for values in flat), weighted=weighted)
        for step in (2**level for level in range(SCALES[name]))
    )
    return {
        "confidence": enough * robust_mean(penalized, mask, valid_range),
        "regression": enough * robust_mean(residual, mask, valid_range),
        "neighbors": enough * neighbor_loss / SCALES[name],
    }


def log_depth_loss(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The mean absolute difference of the depths' logarithms where `mask`, a scalar: relative error, near and far.

    `prediction` and `target` (B, S, H, W, 1), > 0 where `mask` (B, S, H, W) holds.
    """
    logs = [values.float()[..., 0].clamp(min=1e-4).log() for values in (prediction, target)]
    return (torch.where(mask, logs[0] - logs[1], 0.0)).abs().sum() / mask.sum().clamp(min=1)


def robust_mean(values: Tensor, mask: Tensor, valid_range: float) -> Tensor:
    """The mean of `values` where `mask`, without the share above `valid_range`; 0 where nothing is left."""
    if valid_range <= 0:
        return (values * mask).sum() / mask.sum().clamp(min=1)
    kept = below_quantile(values[mask], valid_range)
    return kept.sum() / max(kept.numel(), 1)


def below_quantile(values: Tensor, quantile: float, limit: float = 100.0) -> Tensor:
    """The entries of `values` (n,) strictly below their `quantile`; all of them where few would remain.

    The threshold is an order statistic, not interpolated, at most `limit`; more than 100 million values are sampled.
    """
    if values.numel() <= QUANTILE_FLOOR:
        return values
    if values.numel() > QUANTILE_MAX:
        values = values[torch.randint(values.numel(), (QUANTILE_SAMPLE,), device=values.device)]
    values = values.clamp(max=limit)
    rank = round(quantile * (values.numel() - 1)) + 1
    threshold = values.detach().kthvalue(rank).values.clamp(max=limit)
    kept = values < threshold
    return values[kept] if int(kept.sum()) > QUANTILE_FLOOR else values


def _gradient_term(prediction: Tensor, target: Tensor, mask: Tensor, confidence: Tensor, *, weighted: bool) -> Tensor:
    """Differences between neighbouring errors, per valid pixel and channel, of maps (N, h, w, C)."""
    valid = mask[..., None].float()
    error = (prediction - target) * valid
    total = error.new_zeros(())
    for axis in (1, 2):
        count = error.shape[axis] - 1
        both = valid.narrow(axis, 1, count) * valid.narrow(axis, 0, count)
        jump = (error.narrow(axis, 1, count) - error.narrow(axis, 0, count)).abs() * both
        jump = jump.clamp(max=100.0)
        if weighted:
            later = confidence[..., None].narrow(axis, 1, count)
            jump = jump * later - ALPHA * later.log()
        total = total + jump.sum()
    return total / (valid.sum() * error.shape[-1]).clamp(min=1)


def _normal_term(prediction: Tensor, target: Tensor, mask: Tensor, confidence: Tensor, *, weighted: bool) -> Tensor:
    """1 - cosine between the normals of two point maps (N, h, w, 3), over the four corners of every pixel."""
    normals, valid = _corner_normals(prediction, mask)
    wanted, _ = _corner_normals(target, mask)
    loss = 1 - (normals * wanted).sum(dim=-1)
    if weighted:
        loss = loss * confidence - ALPHA * confidence.log()
    count = valid.sum()
    return (loss * valid).sum() / count.clamp(min=1) * (count >= 10)


def _corner_normals(points: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Unit normals (4, N, h, w, 3) of up x left, left x down, down x right, right x up, and where they are valid."""
    padded = torch_f.pad(points, (0, 0, 1, 1, 1, 1))
    inside = torch_f.pad(mask, (1, 1, 1, 1))
    height, width = mask.shape[-2:]

    def shifted(values: Tensor, row: int, column: int) -> Tensor:
        return values[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]

    neighbors = [(-1, 0), (0, -1), (1, 0), (0, 1)]
    arms = [shifted(padded, *offset) - points for offset in neighbors]
    there = [shifted(inside, *offset) for offset in neighbors]
    cross: Callable[..., Tensor] = torch.linalg.cross
    normals = torch.stack([cross(arms[k], arms[(k + 1) % 4], dim=-1) for k in range(4)])
    valid = torch.stack([mask & there[k] & there[(k + 1) % 4] for k in range(4)])
    return torch_f.normalize(normals, dim=-1, eps=1e-8), valid
