"""What the tracker sees: features sampled at points, and their correlation with the surroundings at several scales."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

GATHERED = 2**24  # numbers gathered at once: 64 MB in float32


def pyramid(maps: Tensor, levels: int) -> list[Tensor]:
    """Feature maps (F, h, w, c) and their repeated halvings (2x2 means)."""
    scales = [maps]
    for _ in range(levels - 1):
        halved = F.avg_pool2d(scales[-1].permute(0, 3, 1, 2), 2)
        scales.append(halved.permute(0, 2, 3, 1).contiguous())
    return scales


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Features (F, N, c) of maps (F, h, w, c) at points (F, N, 2), x and y in pixel indices, clamped at the border."""
    height, width = maps.shape[1:3]
    extent = torch.tensor([max(width - 1, 1), max(height - 1, 1)]).to(points)
    grid = (2 * points / extent - 1)[:, :, None]
    taken = F.grid_sample(maps.permute(0, 3, 1, 2), grid, padding_mode="border", align_corners=True)
    return taken.squeeze(-1).transpose(1, 2)


def correlate(scales: list[Tensor], features: Tensor, points: Tensor, radius: int) -> Tensor:
    """Scaled products of each track's feature with the maps around its point.

    scales: `pyramid` of (F, h, w, c); features: (F, N, c); points: (F, N, 2) in the finest map's pixel indices.
    Returns (F, N, levels * (2 radius + 1)^2): per level a window that moves x slowly and y fast; zero outside.
    """
    window = (2 * radius + 2) ** 2 * features.shape[-1]
    tracks = max(1, GATHERED // window)
    parts = []
    for level, maps in enumerate(scales):
        flat = maps.flatten(0, 2)
        index, weight, blend = _window(points / 2**level, maps.shape[1:3], radius)
        rows = index.flatten(0, 1).split(tracks)
        products = [
            torch.einsum("nkc,nc->nk", flat[row], feature)
            for row, feature in zip(rows, features.flatten(0, 1).split(tracks), strict=True)
        ]
        corners = (torch.cat(products) * weight.flatten(0, 1)).unflatten(-1, (2 * radius + 2, -1))
        parts.append(_blend(corners, *(each.flatten() for each in blend)))
    return torch.cat(parts, dim=-1).unflatten(0, points.shape[:2]) / features.shape[-1] ** 0.5


def _window(points: Tensor, size: torch.Size, radius: int) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """The pixels that a window's samples blend: all offsets share one fraction, so each pixel is read once.

    Returns the flat index into all maps (F, N, (2 radius + 2)^2), x slow, the weight that voids pixels outside, and
    the fractions in x and y (F, N). An axis of one pixel answers with that pixel wherever the sample is aimed.
    """
    offsets = torch.arange(-radius, radius + 2, device=points.device)
    places, valid, fractions = [], [], []
    for axis, count in ((0, size[1]), (1, size[0])):
        floor = points[..., axis].floor()
        place = floor[..., None] + offsets
        places.append(place.clamp(0, count - 1).long())
        inside = (place >= 0) & (place < count)
        valid.append(inside if count > 1 else torch.ones_like(inside))
        fractions.append(points[..., axis] - floor)
    (x, y), (inside_x, inside_y) = places, valid
    first = torch.arange(len(points), device=points.device)[:, None, None, None] * (size[0] * size[1])
    index = first + y[:, :, None, :] * size[1] + x[:, :, :, None]
    inside = inside_x[:, :, :, None] & inside_y[:, :, None, :]
    return index.flatten(2), inside.flatten(2).to(points.dtype), (fractions[0], fractions[1])


def _blend(corners: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Products at whole pixels (M, k + 1, k + 1) to bilinear ones (M, k * k), at fractions (M,) in x and y."""
    across, down = across[:, None, None], down[:, None, None]
    columns = corners[:, :-1] * (1 - across) + corners[:, 1:] * across
    return (columns[:, :, :-1] * (1 - down) + columns[:, :, 1:] * down).flatten(1)
