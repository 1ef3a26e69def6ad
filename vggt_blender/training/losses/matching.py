"""Where the first frame shows what a patch sees: attention that looks there, and tokens that know how far away it is.

A network that starts from nothing gets cameras from these in minutes: pose from displacements is easy to learn, but the
displacements do not come by themselves, not even where attention already looks at the right place. The first frame is
the only one that the network can tell from the others: their order is nothing that it sees.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as torch_f

from ..scenes.views import pixel_corners, project

READINGS = 3
"""What tokens say: x and y of the displacement, and the logit of whether the first frame sees the patch at all."""
SAME_DEPTH = 0.05
"""A point is seen where the first frame's depth is its own, up to this share."""


def matching_loss(
    scores: Tensor, readings: Tensor, truth: dict[str, Tensor], patch: int, frames: Tensor, special: int
) -> dict[str, Tensor]:
    """``matching``, ``displacement``, ``seen`` and ``match_accuracy``, scalars.

    `scores` (B, F, N, S * P): what the N patches of `frames` (F,) give to all tokens of the scene, before the softmax;
    a frame's P tokens are `special` ones, then its patches row by row. `readings` (B, F, N, READINGS): x and y in
    patches, from a patch's own place to the one in the first frame, and the logit of being seen there. `truth` as the
    generator makes it.

    Over the patches that the first frame sees too: the cross entropy against the true place, shared bilinearly by four
    patches; the mean absolute difference; last the share of patches that are looked for within one patch of the truth.
    ``seen``: the binary cross entropy over all patches that show a surface.
    """
    rows, columns = (side // patch for side in truth["depths"].shape[-2:])
    place, visible, known = patch_targets(truth, patch, frames)
    count = visible.sum().clamp(min=1)
    own = pixel_corners(rows, columns, place.device) + 0.5
    readings = readings.float()
    error = (readings[..., :2] - (place - own)).abs().mean(dim=-1)
    logits = readings[..., 2]
    doubt = torch_f.binary_cross_entropy_with_logits(logits, visible.to(logits), reduction="none")
    # From the corners of patches to their centres: whole numbers are patches.
    x, y = ((place[..., axis] - 0.5).clamp(0, size - 1 - 1e-4) for axis, size in ((0, columns), (1, rows)))
    left, top = x.floor(), y.floor()
    corners = torch.stack([top * columns + left + offset for offset in (0, 1, columns, columns + 1)], dim=-1).long()
    right, down = x - left, y - top
    weights = torch.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], dim=-1)
    scores = scores.float()
    likely = scores.gather(-1, corners + special) - scores.logsumexp(dim=-1, keepdim=True)
    best = scores.detach().argmax(dim=-1) - special
    found = (best >= 0) & (best < rows * columns)
    away = torch.stack([best % columns - x, best.div(columns, rounding_mode="floor") - y], dim=-1).norm(dim=-1)
    return {
        "matching": -((likely * weights).sum(dim=-1) * visible).sum() / count,
        "displacement": (error * visible).sum() / count,
        "seen": (doubt * known).sum() / known.sum().clamp(min=1),
        "match_accuracy": ((away <= 1) & found & visible).sum() / count,
    }


def patch_targets(truth: dict[str, Tensor], patch: int, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the patches' centres of `frames` (F,) lie in frame 0: (B, F, h * w, 2), x and y in patches, corner origin;
    and (B, F, h * w) whether they are visible there, and whether they show a surface at all."""
    middle = patch // 2
    points = truth["world_points"][:, :, middle::patch, middle::patch].index_select(1, frames).flatten(2, 3)
    known = truth["point_masks"][:, :, middle::patch, middle::patch].index_select(1, frames).flatten(2)
    depths = truth["depths"][:, :1]
    pixels, far = project(points.flatten(1, 2), truth["extrinsics"][:, :1], truth["intrinsics"][:, :1])
    pixels, far = pixels.view((*points.shape[:3], 2)), far.view(points.shape[:3])
    height, width = depths.shape[-2:]
    x, y = pixels[..., 0], pixels[..., 1]
    inside = known & (far > 1e-6) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = (y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()).clamp(0, height * width - 1)
    there = depths.flatten(2).expand(-1, len(frames), -1).gather(2, index)
    # Points that nobody sees may lie anywhere, also nowhere.
    seen = inside & ((there - far).abs() < SAME_DEPTH * far)
    return torch.where(seen[..., None], pixels / patch, 0.0), seen, known
