"""Constant tables of positions: they depend on sizes alone and are made once per size and device.

Made in float64 on the CPU (some accelerators have no float64), kept in float32, and outside inference mode, so that
a table first used in inference can serve training later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")
Tables = tuple[Tensor, ...]


def _cached(make: Callable[P, Tables]) -> Callable[P, Tables]:
    @lru_cache(maxsize=32)
    @wraps(make)
    def cached(*args: P.args, **kwargs: P.kwargs) -> Tables:
        with torch.inference_mode(False), torch.no_grad():
            return make(*args, **kwargs)

    return cached  # type: ignore[return-value]


@_cached
def rotation(rows: int, columns: int, special: int, width: int, base: float, device: torch.device) -> Tables:
    """Cosines and signed sines of the rotary embedding of one frame's tokens.

    `special` tokens at position (0, 0), then the patch grid with positions (row + 1, column + 1). The first half of
    the `width` channels turns with the row, the second with the column; inside a half, channel k is paired with
    channel k + width / 4. Returns two (special + rows * columns, width); the sines carry the sign of
    (a cos - b sin, b cos + a sin).
    """
    row, column = torch.meshgrid(torch.arange(rows) + 1, torch.arange(columns) + 1, indexing="ij")
    patches = torch.stack([row.flatten(), column.flatten()], dim=-1)
    positions = torch.cat([patches.new_zeros(special, 2), patches])
    return tuple(table.to(device) for table in rotation_at(positions, width, base))


def rotation_at(positions: Tensor, width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines (..., width) of the rotary embedding at integer `positions` (..., 2), row first."""
    half = width // 2
    frequencies = base ** (-torch.arange(0, half, 2, dtype=torch.float64) / half)
    angles = (positions[..., None].float() * frequencies.float()).to(torch.float64)  # (..., 2, half / 2)
    cosine, sine = angles.cos().float(), angles.sin().float()
    return torch.stack([cosine, cosine], dim=-2).flatten(-3), torch.stack([-sine, sine], dim=-2).flatten(-3)


@_cached
def bicubic(size: int, out: int, device: torch.device) -> Tables:
    """One (out, size) matrix that resizes an axis like antialiased bicubic filtering (Keys' cubic with a = -0.5)."""
    scale = size / out
    stretch = max(scale, 1.0)
    matrix = torch.zeros(out, size, dtype=torch.float64)
    for row in range(out):
        center = scale * (row + 0.5)
        first = max(int(center - 2 * stretch + 0.5), 0)
        last = min(int(center + 2 * stretch + 0.5), size)
        weights = [_keys_cubic((tap - center + 0.5) / stretch) for tap in range(first, last)]
        matrix[row, first:last] = torch.tensor(weights, dtype=torch.float64) / math.fsum(weights)
    return (matrix.float().to(device),)


def _keys_cubic(x: float, a: float = -0.5) -> float:
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


@_cached
def view_angles(rows: int, columns: int, channels: int, aspect: float, device: torch.device) -> Tables:
    """The dense heads' embedding of normalised image coordinates, apart by axis.

    `aspect` is the image's width over height. Returns (channels / 2, 1, columns) for the first half of the channels,
    which depends on the column alone, and (channels / 2, rows, 1) for the second; both already times 0.1.
    """
    diagonal = math.hypot(aspect, 1.0)
    frequencies = 100.0 ** (-torch.arange(channels // 4, dtype=torch.float64) / (channels // 4))

    def embed(count: int, span: float) -> Tensor:
        edge = span * (count - 1) / count
        angles = frequencies[:, None] * torch.linspace(-edge, edge, count).to(torch.float64)
        return (0.1 * torch.cat([angles.sin(), angles.cos()]).float()).to(device)

    return embed(columns, aspect / diagonal)[:, None, :], embed(rows, 1 / diagonal)[:, :, None]


@_cached
def ramp(count: int, channels: int, device: torch.device) -> Tables:
    """The tracker's embedding of one axis: (count, channels), sines then cosines, frequencies 10000^(-k / (c / 2))."""
    half = channels // 2
    frequencies = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(count, dtype=torch.float64)[:, None] * frequencies
    return (torch.cat([angles.sin(), angles.cos()], dim=-1).float().to(device),)


@_cached
def channels(mean: tuple[float, ...], deviation: tuple[float, ...], device: torch.device) -> Tables:
    """The colors' mean and deviation, (3, 1, 1) each."""
    return tuple(torch.tensor(values).view(-1, 1, 1).to(device) for values in (mean, deviation))
