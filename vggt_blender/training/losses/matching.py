"""The matching loss: which patch of another frame shows the same place. Cameras are easy for tokens that know it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as torch_f
from torch import Tensor

TEMPERATURE = 0.1
SAME_DEPTH = 0.05
"""A point is seen where the other frame's depth is its own, up to this share."""


def matching_loss(
    descriptors: Tensor, truth: dict[str, Tensor], patch: int, shifts: Sequence[int]
) -> dict[str, Tensor]:
    """``matching`` and ``match_accuracy`` (the share of patches whose best match lies within one patch), scalars.

    `descriptors` (B, S, h * w, C) of the patches, row by row; `truth` as the generator makes it, normalised or not.
    Each patch of frame i is looked for among the patches of frames i + `shifts` (counted round): the cross entropy of
    the cosines over 0.1 against the true place, shared bilinearly by four patches, where its centre is visible there.
    """
    descriptors = torch_f.normalize(descriptors.float(), dim=-1)
    rows, columns = (side // patch for side in truth["depths"].shape[-2:])
    total = (0 * descriptors).sum()  # in the graph also where nothing is matched
    correct = count = descriptors.new_zeros(())
    for shift in shifts:
        place, visible = patch_targets(truth, patch, shift)
        logits = descriptors @ descriptors.roll(-shift, dims=1).transpose(-1, -2) / TEMPERATURE
        target = (place - 0.5).clamp(min=0.0)
        x, y = target[..., 0].clamp(max=columns - 1 - 1e-4), target[..., 1].clamp(max=rows - 1 - 1e-4)
        left, top = x.floor(), y.floor()
        corners = torch.stack([top * columns + left + offset for offset in (0, 1, columns, columns + 1)], dim=-1)
        right, down = x - left, y - top
        weights = torch.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], dim=-1)
        likely = logits.gather(-1, corners.long()) - logits.logsumexp(dim=-1, keepdim=True)
        total = total - ((likely * weights).sum(dim=-1) * visible).sum()
        best = logits.detach().argmax(dim=-1)
        away = torch.stack([best % columns - x, best // columns - y], dim=-1).norm(dim=-1)
        correct = correct + ((away <= 1) & visible).sum()
        count = count + visible.sum()
    count = count.clamp(min=1)
    return {"matching": total / count, "match_accuracy": correct / count}


def patch_targets(truth: dict[str, Tensor], patch: int, shift: int) -> tuple[Tensor, Tensor]:
    """Where the patches' centres lie in the frame `shift` further on: (B, S, h * w, 2) as x, y in patches, corner
    origin, and whether they are visible there (B, S, h * w)."""
    middle = patch // 2
    points = truth["world_points"][:, :, middle::patch, middle::patch].flatten(2, 3)
    known = truth["point_masks"][:, :, middle::patch, middle::patch].flatten(2)
    extrinsics, lens, depths = (truth[name].roll(-shift, dims=1) for name in ("extrinsics", "intrinsics", "depths"))
    # A sum, not a matrix product: a GPU may round the factors of those to ten bits.
    local = (extrinsics[:, :, None, :, :3] * points[..., None, :]).sum(dim=-1) + extrinsics[:, :, None, :, 3]
    far = local[..., 2]
    focal = torch.stack([lens[..., 0, 0], lens[..., 1, 1]], dim=-1)[:, :, None]
    pixels = local[..., :2] / far.clamp(min=1e-6)[..., None] * focal + lens[:, :, None, :2, 2]
    height, width = depths.shape[-2:]
    x, y = pixels[..., 0], pixels[..., 1]
    inside = known & (far > 1e-6) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = (y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()).clamp(0, height * width - 1)
    there = depths.flatten(2).gather(2, index)
    return pixels / patch, inside & ((there - far).abs() < SAME_DEPTH * far)
