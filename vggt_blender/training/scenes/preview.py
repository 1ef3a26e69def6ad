"""What a few rays a frame say of a candidate scene: whether it can be learned from, and how much its frames share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .paths import Cameras
from .tracing import NEVER
from .views import project

SHORT = 0.02
"""Frames nearer to each other than this share of the scene's depth have no direction between them worth learning."""


@dataclass(frozen=True)
class Preview:
    """Of B candidates, each (B,) in 0..1.

    ``usable``: 1 where every frame stands clear of what it sees and is not mostly sky. ``overlap``: the mean share of
    one frame's surface that another one sees. ``linked``: that share for the loneliest frame and its best neighbour.
    ``short``: the share of pairs of frames that are too near to each other.
    """

    usable: Tensor
    overlap: Tensor
    linked: Tensor
    short: Tensor

    def misses(self, wanted: Tensor) -> Tensor:
        """How far (B,) the candidates are from what is `wanted` (B,), an overlap; faults count more than distance."""
        lonely = (1 - self.linked / 0.2).clamp(min=0)
        return (self.overlap - wanted).abs() + 3 * (1 - self.usable) + 2 * lonely + 2 * self.short


def look_over(
    depth: Tensor, cameras: Cameras, pixels: Tensor, size: tuple[int, int], grid: tuple[int, int], reach: Tensor
) -> Preview:
    """Judge scenes by coarse `depth` (B, S, R) at `pixels` (R, 2), the centres of `grid` rows and columns of a picture.

    `size` is the picture's (height, width), `reach` (B,) the radius in which things stand.
    """
    valid = depth < NEVER
    scenes, frames, rays = depth.shape
    x = (pixels[:, 0] - cameras.intrinsics[..., 0, 2, None]) / cameras.intrinsics[..., 0, 0, None]
    y = (pixels[:, 1] - cameras.intrinsics[..., 1, 2, None]) / cameras.intrinsics[..., 1, 1, None]
    local = torch.stack([x, y, torch.ones_like(x)], -1) * torch.where(valid, depth, 0.0)[..., None]
    world = (local - cameras.extrinsics[:, :, None, :, 3]) @ cameras.extrinsics[..., :3]
    seen, far = project(world.flatten(1, 2), cameras.extrinsics, cameras.intrinsics)
    columns = (seen[..., 0] / size[1] * grid[1]).floor()
    rows = (seen[..., 1] / size[0] * grid[0]).floor()
    inside = (far > 0) & (columns >= 0) & (columns < grid[1]) & (rows >= 0) & (rows < grid[0])
    cell = (rows.clamp(0, grid[0] - 1) * grid[1] + columns.clamp(0, grid[1] - 1)).long()
    there = depth.gather(2, cell)
    agrees = inside & ((there - far).abs() < 0.2 * far)
    shared = agrees.view(scenes, frames, frames, rays) & valid[:, None]
    # share[b, i, j]: the share of frame j's surface that frame i sees.
    share = shared.float().sum(-1) / valid.float().sum(-1).clamp(min=1)[:, None]
    ordered = torch.where(valid, depth, NEVER).sort(dim=-1).values
    clear = (ordered[..., rays // 20] / reach[:, None]).amin(dim=-1)
    filled = valid.float().mean(dim=-1).amin(dim=-1)
    usable = (clear / 0.3).clamp(max=1.0) * (filled / 0.4).clamp(max=1.0)
    if frames == 1:
        return Preview(usable, torch.ones_like(usable), torch.ones_like(usable), torch.zeros_like(usable))
    others = share.masked_fill(torch.eye(frames, dtype=torch.bool, device=depth.device), 0.0)
    pairs = frames * (frames - 1)
    center = -(cameras.extrinsics[..., :3].transpose(-1, -2) @ cameras.extrinsics[..., 3:])[..., 0]
    apart = (center[:, :, None] - center[:, None]).norm(dim=-1)
    scale = torch.where(valid, depth, 0.0).sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp(min=1)
    near = (apart < SHORT * scale[:, None, None]).float().sum(dim=(1, 2)) - frames
    return Preview(usable, others.sum(dim=(1, 2)) / pairs, others.amax(dim=1).amin(dim=-1), near / pairs)
