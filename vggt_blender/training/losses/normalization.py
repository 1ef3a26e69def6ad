"""One frame of reference and one scale for every scene, which is what makes the targets learnable."""

from __future__ import annotations

import torch
from torch import Tensor

SceneTensors = dict[str, Tensor]


def finite(values: Tensor, limit: float = 100.0) -> Tensor:
    """`values` with NaN and infinities as 0 and the rest held within ±`limit`."""
    return torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).clamp(-limit, limit)


def compose_with_inverse(poses: Tensor, reference: Tensor) -> Tensor:
    """E_i E_0⁻¹ for rigid `poses` (B, S, 3, 4) and `reference` (B, 3, 4). Returns (B, S, 3, 4)."""
    back = reference[:, None, :, :3].transpose(-1, -2)
    rotation = poses[..., :3] @ back
    translation = poses[..., 3] - (rotation @ reference[:, None, :, 3:])[..., 0]
    return torch.cat([rotation, translation[..., None]], dim=-1)


def normalize_scene(batch: SceneTensors) -> SceneTensors:
    """The batch in the first camera's frame, scaled so that the points' mean distance from it is 1.

    Reads ``extrinsics`` (B, S, 3, 4), ``depths`` (B, S, H, W), ``cam_points`` and ``world_points`` (B, S, H, W, 3) and
    ``point_masks`` (B, S, H, W); returns a new dict with these replaced and ``scene_scale`` (B,) added: the length, in
    the old unit, that is 1 in the new one. All else passes through.
    """
    extrinsics, mask = batch["extrinsics"].float(), batch["point_masks"].float()
    first = extrinsics[:, 0]
    points = batch["world_points"].float()
    points = points @ first[:, None, None, :, :3].transpose(-1, -2) + first[:, None, None, None, :, 3]
    distance = (points.norm(dim=-1) * mask).sum(dim=(1, 2, 3))
    scale = (distance / (mask.sum(dim=(1, 2, 3)) + 1e-3)).clamp(1e-6, 1e6)
    moved = compose_with_inverse(extrinsics, first)
    translation = moved[..., 3] / scale[:, None, None]
    divisor = scale[:, None, None, None]
    unlimited = float("inf")
    return batch | {
        "extrinsics": finite(torch.cat([moved[..., :3], translation[..., None]], dim=-1), unlimited),
        "depths": finite(batch["depths"].float() / divisor, unlimited),
        "cam_points": finite(batch["cam_points"].float() / divisor[..., None], unlimited),
        "world_points": finite(points / divisor[..., None], unlimited),
        "scene_scale": scale,
    }
