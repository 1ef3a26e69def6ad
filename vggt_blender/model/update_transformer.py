"""The tracker's transformer: along time for each track, then across tracks by way of a few virtual ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import attend
from .block import Mlp
from .config import TrackConfig


class CrossAttention(nn.Module):
    """Multi-head attention of (B, N, C) to (B, M, C), with the parameters of torch's `MultiheadAttention`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        width = x.shape[-1]
        queries = F.linear(x, self.in_proj_weight[:width], self.in_proj_bias[:width])
        both = F.linear(context, self.in_proj_weight[width:], self.in_proj_bias[width:])
        heads = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (queries, *both.chunk(2, dim=-1)))
        return self.out_proj(attend(*heads).transpose(1, 2).flatten(2))


class SelfBlock(nn.Module):
    """Tokens (B, N, C) among themselves. The residual starts from the normalised tokens."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.attn = CrossAttention(width, heads)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x)
        x = x + self.attn(x, x)
        return x + self.mlp(self.norm2(x))


class CrossBlock(nn.Module):
    """Tokens (B, N, C) attending to others (B, M, C). The residual starts from the normalised tokens."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm_context = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.cross_attn = CrossAttention(width, heads)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x = self.norm1(x)
        x = x + self.cross_attn(x, self.norm_context(context))
        return x + self.mlp(self.norm2(x))


class UpdateTransformer(nn.Module):
    """Tokens of all tracks in all frames to a change of position and feature."""

    def __init__(self, config: TrackConfig, token: int, out: int) -> None:
        super().__init__()
        width = config.hidden_size
        sizes = (width, config.num_heads, config.mlp_ratio)
        self.virual_tracks = nn.Parameter(torch.randn(1, config.num_virtual_tracks, 1, width))  # the checkpoint's name
        self.input_norm = nn.LayerNorm(token)
        self.input_transform = nn.Linear(token, width)
        self.output_norm = nn.LayerNorm(width)
        self.flow_head = nn.Linear(width, out)
        self.time_blocks = nn.ModuleList(SelfBlock(*sizes) for _ in range(config.depth))
        self.space_virtual_blocks = nn.ModuleList(SelfBlock(*sizes) for _ in range(config.depth))
        self.space_point2virtual_blocks = nn.ModuleList(CrossBlock(*sizes) for _ in range(config.depth))
        self.space_virtual2point_blocks = nn.ModuleList(CrossBlock(*sizes) for _ in range(config.depth))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.flow_head.weight, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, S, token) to changes (B, N, S, out)."""
        scenes, tracks, frames = x.shape[:3]
        points = first = self.input_transform(self.input_norm(x))
        tokens = torch.cat([points, self.virual_tracks.expand(scenes, -1, frames, -1)], dim=1)
        for time, exchange, to_virtual, to_points in zip(
            self.time_blocks,
            self.space_virtual_blocks,
            self.space_virtual2point_blocks,
            self.space_point2virtual_blocks,
            strict=True,
        ):
            tokens = time(tokens.flatten(0, 1)).view_as(tokens)
            by_frame = tokens.transpose(1, 2).flatten(0, 1)  # (B * S, N + virtual, C)
            points, virtual = by_frame[:, :tracks], by_frame[:, tracks:]
            virtual = exchange(to_virtual(virtual, points))
            points = to_points(points, virtual)
            tokens = torch.cat([points, virtual], dim=1).unflatten(0, (scenes, frames)).transpose(1, 2)
        return self.flow_head(self.output_norm(tokens[:, :tracks] + first))
