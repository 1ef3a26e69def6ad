"""Cameras from the camera tokens of the last layer, refined over a few iterations."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .block import Block, Mlp
from .config import CameraConfig

POSE = 9  # translation (3), quaternion (4), field of view (2): see `pose`


class CameraHead(nn.Module):
    """A transformer over the frames of a scene, modulated by the pose estimated so far."""

    def __init__(self, config: CameraConfig, width: int) -> None:
        super().__init__()
        self.iterations = config.iterations
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, POSE))
        self.trunk = nn.Sequential(
            *(Block(width, config.num_heads, config.mlp_ratio, layer_scale=0.01) for _ in range(config.trunk_depth))
        )
        self.token_norm = nn.LayerNorm(width)
        self.trunk_norm = nn.LayerNorm(width)
        self.embed_pose = nn.Linear(POSE, width)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 3 * width))
        self.pose_branch = Mlp(width, width // 2, POSE)

    def forward(self, camera_tokens: Tensor) -> list[Tensor]:
        """Camera tokens (B, S, 2C) to the pose vectors (B, S, 9) of every iteration; the last one is the answer."""
        tokens = self.token_norm(camera_tokens)
        plain = F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)
        estimate: Tensor | None = None
        poses = []
        for _ in range(self.iterations):
            before = self.empty_pose_tokens.expand(*tokens.shape[:2], -1) if estimate is None else estimate.detach()
            shift, scale, gate = self.poseLN_modulation(self.embed_pose(before)).chunk(3, dim=-1)
            x = self.trunk(tokens + gate * (plain * (1 + scale) + shift))
            change = self.pose_branch(self.trunk_norm(x))
            estimate = change if estimate is None else before + change
            poses.append(activate_pose(estimate))
        return poses


def activate_pose(estimate: Tensor) -> Tensor:
    """Fields of view cannot be negative; translation and quaternion stay as they are."""
    return torch.cat([estimate[..., :7], F.relu(estimate[..., 7:])], dim=-1)
