"""Where the first frame shows what a patch sees: attention that looks there, and tokens that know how far away it is.

A network that starts from nothing gets cameras from these in minutes: pose from displacements is easy to learn, but the
displacements do not come by themselves, not even where attention already looks at the right place.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..scenes.views import pixel_corners, project

SAME_DEPTH = 0.05
"""A point is seen where the first frame's depth is its own, up to this share."""


def matching_loss(
    scores: Tensor, displacement: Tensor, truth: dict[str, Tensor], patch: int, frames: Sequence[int], special: int
) -> dict[str, Tensor]:
    """``matching``, ``displacement`` and ``match_accuracy``, scalars, over the patches that the first frame sees too.

    `scores` (B, heads, F, N, S * P): what the N patches of F `frames` give to all tokens of the scene, before the
    softmax; a frame's P tokens are `special` ones, then its patches row by row. `displacement` (B, F, N, 2) x and y in
    patches, from a patch's own place to the one in the first frame. `truth` as the generator makes it.

    The first is the cross entropy against the true place, shared bilinearly by four patches; the second the mean
    absolute difference; the third the share of patches that the first head looks for within one patch of the truth.
    """
    rows, columns = (side // patch for side in truth["depths"].shape[-2:])
    place, visible = patch_targets(truth, patch, frames)
    count = visible.sum().clamp(min=1)
    own = pixel_corners(rows, columns, place.device) + 0.5
    error = (displacement.float() - (place - own)).abs().mean(dim=-1)
    # From the corners of patches to their centres: whole numbers are patches.
    x, y = ((place[..., axis] - 0.5).clamp(0, size - 1 - 1e-4) for axis, size in ((0, columns), (1, rows)))
    left, top = x.floor(), y.floor()
    corners = torch.stack([top * columns + left + offset for offset in (0, 1, columns, columns + 1)], dim=-1).long()
    right, down = x - left, y - top
    weights = torch.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], dim=-1)
    scores = scores.float()
    index = (corners + special)[:, None].expand(-1, scores.shape[1], -1, -1, -1)
    likely = (scores.gather(-1, index) - scores.logsumexp(dim=-1, keepdim=True)).mean(dim=1)
    best = scores.detach()[:, 0].argmax(dim=-1) - special
    found = (best >= 0) & (best < rows * columns)
    away = torch.stack([best % columns - x, best.div(columns, rounding_mode="floor") - y], dim=-1).norm(dim=-1)
    return {
        "matching": -((likely * weights).sum(dim=-1) * visible).sum() / count,
        "displacement": (error * visible).sum() / count,
        "match_accuracy": ((away <= 1) & found & visible).sum() / count,
    }


def patch_targets(truth: dict[str, Tensor], patch: int, frames: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Where the patches' centres of `frames` lie in frame 0: (B, F, h * w, 2) as x, y in patches, corner origin, and
    whether they are visible there (B, F, h * w)."""
    middle, chosen = patch // 2, list(frames)
    points = truth["world_points"][:, chosen, middle::patch, middle::patch].flatten(2, 3)
    known = truth["point_masks"][:, chosen, middle::patch, middle::patch].flatten(2)
    depths = truth["depths"][:, :1]
    pixels, far = project(points.flatten(1, 2), truth["extrinsics"][:, :1], truth["intrinsics"][:, :1])
    pixels, far = pixels.view(*points.shape[:3], 2), far.view(points.shape[:3])
    height, width = depths.shape[-2:]
    x, y = pixels[..., 0], pixels[..., 1]
    inside = known & (far > 1e-6) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = (y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()).clamp(0, height * width - 1)
    there = depths.flatten(2).expand(-1, len(chosen), -1).gather(2, index)
    # Points that nobody sees may lie anywhere, also nowhere.
    seen = inside & ((there - far).abs() < SAME_DEPTH * far)
    return torch.where(seen[..., None], pixels / patch, 0.0), seen
