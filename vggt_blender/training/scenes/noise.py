"""Lattice noise from integer hashes: the same on every device, and nothing to look up."""

from __future__ import annotations

import torch
from torch import Tensor

Channels = tuple[Tensor, Tensor, Tensor]


def lattice_hash(x: Tensor, y: Tensor, z: Tensor | int, seed: Tensor) -> Tensor:
    """A scrambled int32 for integer coordinates (int32, wrapping)."""
    h = x * 374761393 + y * 668265263 + z * 1274126177 + seed
    h = (h ^ (h >> 13)) * 1103515245
    h = (h ^ (h >> 16)) * 374761393
    return h ^ (h >> 15)


def hash_channels(h: Tensor) -> Channels:
    """Three independent numbers in [0, 1] from the bits of one hash."""
    scale = 1.0 / 1023.0
    return (h & 1023).float() * scale, ((h >> 10) & 1023).float() * scale, ((h >> 20) & 1023).float() * scale


def value_noise(x: Tensor, y: Tensor, z: Tensor, seed: Tensor) -> Channels:
    """Three channels of smooth noise in [0, 1] with features of size 1."""
    fx, fy, fz = torch.floor(x), torch.floor(y), torch.floor(z)
    ix, iy, iz = fx.int(), fy.int(), fz.int()
    wx, wy, wz = (_fade(a - b) for a, b in ((x, fx), (y, fy), (z, fz)))
    totals = [torch.zeros_like(x) for _ in range(3)]
    for dz in (0, 1):
        for dy in (0, 1):
            weight_yz = (wy if dy else 1 - wy) * (wz if dz else 1 - wz)
            for dx in (0, 1):
                weight = weight_yz * (wx if dx else 1 - wx)
                for channel, value in enumerate(hash_channels(lattice_hash(ix + dx, iy + dy, iz + dz, seed))):
                    totals[channel] = totals[channel] + weight * value
    return totals[0], totals[1], totals[2]


def fractal_noise(x: Tensor, y: Tensor, z: Tensor, seed: Tensor, footprint: Tensor, octaves: int) -> Channels:
    """Three channels of noise around 0, about ±0.5, with detail down to the pixel's `footprint` and no further.

    Coordinates and footprint are in units of the first octave's feature size.
    """
    totals = [torch.zeros_like(x) for _ in range(3)]
    amplitude, frequency = 0.55, 1.0
    for octave in range(octaves):
        # An octave finer than two samples a feature would only alias.
        weight = amplitude * (1.5 - 2.0 * frequency * footprint).clamp(0.0, 1.0)
        channels = value_noise(x * frequency, y * frequency, z * frequency, seed + 1013 * octave)
        for index, value in enumerate(channels):
            totals[index] = totals[index] + weight * (value - 0.5)
        amplitude, frequency = amplitude * 0.6, frequency * 2.17
    return totals[0], totals[1], totals[2]


def _fade(t: Tensor) -> Tensor:
    return t * t * t * (t * (t * 6 - 15) + 10)
