"""Between pixels, rays and points: what a picture's cameras and depths say about where things are."""

from __future__ import annotations

import torch
from torch import Tensor

from .paths import Cameras


def pixel_corners(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Top-left corners (1, H * W, 2) of the pixels as x, y, row by row."""
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(1, -1, 2).float()


def camera_rays(cameras: Cameras, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (F, 3) and world directions (F, 3, R), z depth 1, of `pixels` (F or 1, R, 2)."""
    rotation, translation = cameras.extrinsics[..., :3], cameras.extrinsics[..., 3]
    origin = -(rotation.transpose(-1, -2) @ translation[..., None])[..., 0]
    intrinsics = cameras.intrinsics[:, None]
    x = (pixels[..., 0] - intrinsics[..., 0, 2]) / intrinsics[..., 0, 0]
    y = (pixels[..., 1] - intrinsics[..., 1, 2]) / intrinsics[..., 1, 1]
    right, down, forward = rotation[..., None].unbind(1)
    return origin, x[:, None] * right + y[:, None] * down + forward


def project(points: Tensor, extrinsics: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels (B, S, N, 2) and depths (B, S, N) of world `points` (B, N, 3) in every frame."""
    local = points[:, None] @ extrinsics[..., :3].transpose(-1, -2) + extrinsics[..., None, :, 3]
    depth = local[..., 2]
    safe = torch.where(depth > 1e-6, depth, 1.0)
    focal = torch.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], dim=-1)
    middle = intrinsics[..., :2, 2]
    return local[..., :2] / safe[..., None] * focal[..., None, :] + middle[..., None, :], depth


def label(depths: Tensor, cameras: Cameras) -> dict[str, Tensor]:
    """Cameras, points and masks of `depths` (B, S, H, W), as the losses want them."""
    scenes, frames, height, width = depths.shape
    pixels = pixel_corners(height, width, depths.device) + 0.5
    intrinsics = cameras.intrinsics[:, :, None]
    x = (pixels[..., 0] - intrinsics[..., 0, 2]) / intrinsics[..., 0, 0]
    y = (pixels[..., 1] - intrinsics[..., 1, 2]) / intrinsics[..., 1, 1]
    rays = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    local = rays * depths.flatten(2)[..., None]
    rotation, translation = cameras.extrinsics[..., :3], cameras.extrinsics[..., 3]
    world = (local - translation[:, :, None]) @ rotation
    shape = (scenes, frames, height, width, 3)
    return {
        "extrinsics": cameras.extrinsics,
        "intrinsics": cameras.intrinsics,
        "cam_points": local.view(shape),
        "world_points": world.view(shape),
        "point_masks": depths > 1e-8,
    }
