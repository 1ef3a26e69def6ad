"""Point tracks: every query point of frame 0 followed into all frames, refined over a few iterations.

The tracker is CoTracker's idea (Karaev et al. 2023) on VGGT's features: correlate, let tracks exchange what they
know across time and space, move.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from . import tables
from .block import Mlp
from .config import TrackConfig
from .correlation import correlate, pyramid, sample
from .dpt_head import FeatureExtractor
from .update_transformer import UpdateTransformer


@dataclass(frozen=True)
class Tracks:
    """What the tracker answers. Probabilities are the sigmoids of the logits."""

    positions: list[Tensor]  # per iteration (B, S, N, 2), x and y in pixels of the network's image
    visibility: Tensor  # (B, S, N) logits
    confidence: Tensor  # (B, S, N) logits


class TrackHead(nn.Module):
    """Feature extractor and tracker."""

    def __init__(self, config: TrackConfig, width: int) -> None:
        super().__init__()
        self.feature_extractor = FeatureExtractor(config.extractor, width, config.down_ratio)
        self.tracker = Tracker(config)


class Tracker(nn.Module):
    """Iterative refinement of tracks on feature maps."""

    def __init__(self, config: TrackConfig) -> None:
        super().__init__()
        self.config = config
        width = config.latent_dim
        token = 3 * width + 4
        window = config.corr_levels * (2 * config.corr_radius + 1) ** 2
        self.query_ref_token = nn.Parameter(torch.randn(1, 2, token))
        self.corr_mlp = Mlp(window, config.hidden_size, width)
        self.updateformer = UpdateTransformer(config, token, width + 2)
        self.fmap_norm = nn.LayerNorm(width)
        self.ffeat_norm = nn.GroupNorm(1, width)
        self.ffeat_updater = nn.Sequential(nn.Linear(width, width), nn.GELU())
        self.vis_predictor = nn.Sequential(nn.Linear(width, 1))
        self.conf_predictor = nn.Sequential(nn.Linear(width, 1))

    def forward(self, maps: Tensor, query_points: Tensor) -> Tracks:
        """Feature maps (B, S, h, w, c) and query points (B, N, 2) in pixels of frame 0 to tracks.

        Raises
        ------
        ValueError
            where the image is too small for the pyramid.
        """
        sizes = self.config
        scenes, total, height, width = maps.shape[:4]
        if min(height, width) < 2 ** (sizes.corr_levels - 1):
            smallest = 2 ** (sizes.corr_levels - 1) * sizes.down_ratio
            raise ValueError(f"tracking needs images of at least {smallest} pixels a side")
        scales = pyramid(self.fmap_norm(maps).flatten(0, 1), sizes.corr_levels)
        start = query_points / sizes.stride
        points = start[:, None].expand(-1, total, -1, -1)
        features = sample(scales[0].unflatten(0, (scenes, total))[:, 0], start)
        features = features[:, None].expand(-1, total, -1, -1)
        constant = self.constant(start, (height, width), total)
        positions = []
        for _ in range(sizes.iters):
            points = points.detach()
            change = self.updateformer(self.tokens(scales, features, points) + constant).transpose(1, 2)
            features = features + self._update(change[..., 2:])
            moved = points[:, 1:] + change[:, 1:, :, :2]
            points = torch.cat([start[:, None], moved], dim=1)
            positions.append(points * sizes.stride)
        visibility, confidence = self.vis_predictor(features), self.conf_predictor(features)
        return Tracks(positions, visibility.squeeze(-1), confidence.squeeze(-1))

    def tokens(self, scales: list[Tensor], features: Tensor, points: Tensor) -> Tensor:
        """(B, N, S, token): motion, correlation and feature of each track (B, S, N, ...) in each frame."""
        seen = correlate(scales, features.flatten(0, 1), points.flatten(0, 1), self.config.corr_radius)
        correlation = self.corr_mlp(seen).view_as(features)
        motion = points - points[:, :1]
        scaled = motion / self.config.max_scale
        parts = [embed_motion(motion, self.config.latent_dim // 2), scaled, scaled, correlation, features]
        return torch.cat(parts, dim=-1).transpose(1, 2)

    def constant(self, start: Tensor, size: tuple[int, int], total: int) -> Tensor:
        """What all iterations add to the tokens: where the track starts, and whether the frame is the first."""
        place = position(start, size, self.query_ref_token.shape[-1])
        reference = self.query_ref_token[:, [min(frame, 1) for frame in range(total)]]
        return place[:, :, None] + reference[:, None]

    def _update(self, change: Tensor) -> Tensor:
        normed = self.ffeat_norm(change.reshape(-1, change.shape[-1]))
        return self.ffeat_updater(normed).view_as(change)


def embed_motion(motion: Tensor, channels: int) -> Tensor:
    """(..., 2) pixels to (..., 2 * channels): per axis sines and cosines in turns, at frequencies 0 to almost 1000."""
    frequencies = torch.arange(0, channels, 2, device=motion.device) * (1000.0 / channels)
    angles = motion[..., None] * frequencies.to(motion.dtype)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-3)


def position(points: Tensor, size: tuple[int, int], channels: int) -> Tensor:
    """The embedding (B, N, channels) of the pixel grid of `size` (h, w), sampled at `points` (B, N, 2).

    The first half of the channels depends on x alone, the second on y, so two short ramps replace a whole table.
    """
    halves = []
    for axis, count in ((0, size[1]), (1, size[0])):
        (ramp,) = tables.ramp(count, channels // 2, points.device)
        along = points[..., axis].clamp(0, count - 1)
        lower = along.floor()
        upper = (lower + 1).clamp(max=count - 1)
        halves.append(torch.lerp(ramp[lower.long()], ramp[upper.long()], (along - lower)[..., None]))
    return torch.cat(halves, dim=-1)
