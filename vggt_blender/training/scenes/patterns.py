"""What a surface looks like at a point: patterns, noise and pictures, filtered to the size of a pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from .materials import FIELDS, PATTERNS
from .noise import Channels, fractal_noise, hash_channels, lattice_hash, value_noise

Pair = tuple[Tensor, Tensor]
"""How much of the second color, and one random number for the tile, brick or cell; both in [0, 1]."""


def surface_color(
    materials: Tensor, point: Tensor, normal: Tensor, footprint: Tensor, pictures: Tensor | None = None
) -> tuple[Tensor, Channels]:
    """Linear albedo (F, 3, R) and the fine noise (for bumps) at `point` (F, 3, R), in the surface's own axes, metres.

    `materials` (F, len(FIELDS), R), `normal` (F, 3, R) in the same axes, `footprint` (F, R) the pixel's size there,
    `pictures` (K, T, T, 3) linear or None.
    """
    field = dict(zip(FIELDS, materials.unbind(1), strict=True))
    x, y, z = point.unbind(1)
    seed = field["seed"].int()
    frequency = field["frequency"]
    u, v = _plane_coordinates(x, y, z, normal)
    u, v = u * field["cosine"] - v * field["sine"], u * field["sine"] + v * field["cosine"]
    coarse = fractal_noise(x * frequency, y * frequency, z * frequency, seed, footprint * frequency, 3)
    detail_frequency = field["detail_frequency"]
    fine = fractal_noise(
        x * detail_frequency, y * detail_frequency, z * detail_frequency, seed + 7, footprint * detail_frequency, 3
    )
    dirt = value_noise(x * 0.9, y * 0.9, z * 0.9, seed + 31)
    warp = field["warp"]
    u = u * frequency * field["stretch"] + warp * coarse[1]
    v = v * frequency + warp * coarse[2]
    blend, own = _patterns(field, u, v, footprint * frequency, coarse, seed)
    first, second, third = materials[:, 0:3], materials[:, 3:6], materials[:, 6:9]
    color = torch.lerp(first, second, blend[:, None])
    color = color * (0.72 + 0.56 * own[:, None])
    if pictures is not None:
        shown = (field["pattern"] == PATTERNS.index("picture"))[:, None]
        color = torch.where(shown, _picture(pictures, field["picture"], u, v), color)
    color = color * (1.0 + 1.6 * (field["detail"] * fine[0])[:, None])
    stain = (field["dirt"] * (dirt[0] * 1.6 - 0.5 + 0.8 * coarse[1])).clamp(0.0, 0.85)
    return torch.lerp(color, third, stain[:, None]).clamp(0.004, 1.0), fine


def _plane_coordinates(x: Tensor, y: Tensor, z: Tensor, normal: Tensor) -> Pair:
    """The two coordinates along the surface: those across the normal's largest component."""
    nx, ny, nz = normal.abs().unbind(1)
    along_x = (nx > ny) & (nx > nz)
    along_y = ~along_x & (ny > nz)
    return torch.where(along_x, y, x), torch.where(along_x | along_y, z, y)


def _edge(distance: Tensor, width: Tensor) -> Tensor:
    """0 below -width, 1 above +width: a filtered step."""
    return (0.5 + 0.5 * distance / width).clamp(0.0, 1.0)


def _patterns(field: dict[str, Tensor], u: Tensor, v: Tensor, pixel: Tensor, coarse: Channels, seed: Tensor) -> Pair:
    soft = pixel.clamp(0.02, 0.5)
    # Where a pixel covers a whole tile only the mean is left to see.
    seen = (1.6 - 2.0 * pixel).clamp(0.0, 1.0)
    line = field["line"]
    rows = torch.floor(v)
    choices: dict[str, Pair] = {
        "noise": ((0.5 + 1.1 * coarse[0]).clamp(0, 1), torch.full_like(u, 0.5)),
        "tiles": _tiles(u, v, line, soft, seed),
        "stripes": (_edge(0.25 - (u - torch.floor(u) - 0.5).abs(), soft), torch.full_like(u, 0.5)),
        "bricks": _tiles(u * 0.5 + 0.5 * (rows - 2 * torch.floor(rows * 0.5)), v, line, soft, seed),
        "cells": _cells(u, v, line, soft, seed),
        "dots": _dots(u, v, soft, seed),
        "patches": (_edge(coarse[0], soft * 0.25), _edge(coarse[1] - 0.1, soft * 0.25)),
        "rings": (0.5 + 0.5 * torch.sin(12.0 * (0.35 * u + coarse[0] + 0.2 * coarse[2])), 0.5 + 0.6 * coarse[2]),
        "blocks": _blocks(u, v, seed),
    }
    blend, own = torch.full_like(u, 0.5), torch.full_like(u, 0.5)
    for name, (pattern_blend, pattern_own) in choices.items():
        chosen = field["pattern"] == PATTERNS.index(name)
        blend = torch.where(chosen, pattern_blend, blend)
        own = torch.where(chosen, pattern_own, own)
    return torch.lerp(torch.full_like(u, 0.4), blend, seen), torch.lerp(torch.full_like(u, 0.5), own, seen)


def _tiles(u: Tensor, v: Tensor, line: Tensor, soft: Tensor, seed: Tensor) -> Pair:
    iu, iv = torch.floor(u), torch.floor(v)
    edge = 0.5 - torch.maximum((u - iu - 0.5).abs(), (v - iv - 0.5).abs())
    joint = 1 - _edge(edge - 0.5 * line, soft)
    tone, swap, _ = hash_channels(lattice_hash(iu.int(), iv.int(), 0, seed))
    return torch.maximum(joint, (swap > 0.8).float() * 0.6), tone


def _cells(u: Tensor, v: Tensor, line: Tensor, soft: Tensor, seed: Tensor) -> Pair:
    iu, iv = torch.floor(u), torch.floor(v)
    nearest, second, tone = torch.full_like(u, 8.0), torch.full_like(u, 8.0), torch.zeros_like(u)
    for dv in (-1, 0, 1):
        for du in (-1, 0, 1):
            a, b, c = hash_channels(lattice_hash(iu.int() + du, iv.int() + dv, 3, seed))
            distance = ((iu + du + a - u).square() + (iv + dv + b - v).square()).sqrt()
            closer = distance < nearest
            second = torch.where(closer, nearest, torch.minimum(second, distance))
            tone = torch.where(closer, c, tone)
            nearest = torch.where(closer, distance, nearest)
    return 1 - _edge(second - nearest - line, soft), tone


def _dots(u: Tensor, v: Tensor, soft: Tensor, seed: Tensor) -> Pair:
    iu, iv = torch.floor(u), torch.floor(v)
    size, tone, _ = hash_channels(lattice_hash(iu.int(), iv.int(), 5, seed))
    radius = ((u - iu - 0.5).square() + (v - iv - 0.5).square()).sqrt()
    return _edge(0.18 + 0.25 * size - radius, soft), tone


def _blocks(u: Tensor, v: Tensor, seed: Tensor) -> Pair:
    """Rectangles within rectangles, like print, screens and crates."""
    large_u, large_v = torch.floor(u * 0.5), torch.floor(v * 0.33)
    tone, split, swap = hash_channels(lattice_hash(large_u.int(), large_v.int(), 11, seed))
    scale = 1.0 + torch.floor(split * 3.99)
    small = hash_channels(lattice_hash(torch.floor(u * scale).int(), torch.floor(v * 1.7 * scale).int(), 13, seed))
    return torch.where(swap > 0.3, (small[0] > 0.5).float(), tone), 0.5 * tone + 0.5 * small[1]


def _picture(pictures: Tensor, index: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Bilinear samples (F, 3, R) of the pictures, mirrored at their borders; about five tiles of the pattern wide."""
    size = pictures.shape[1]
    columns, rows = (_mirrored(c * 0.2) * (size - 1) for c in (u, v))
    x0, y0 = columns.floor().clamp(max=size - 2), rows.floor().clamp(max=size - 2)
    wx, wy = (columns - x0)[..., None], (rows - y0)[..., None]
    start = (index.long() * size + y0.long()) * size + x0.long()
    flat = pictures.reshape(-1, 3)
    top = torch.lerp(flat[start], flat[start + 1], wx)
    bottom = torch.lerp(flat[start + size], flat[start + size + 1], wx)
    return torch.lerp(top, bottom, wy).transpose(1, 2)


def _mirrored(c: Tensor) -> Tensor:
    folded = c - 2.0 * torch.floor(c * 0.5)
    return 1.0 - (folded - 1.0).abs()
