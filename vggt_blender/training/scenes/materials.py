"""Random surfaces: three colors, a pattern, detail, dirt and gloss, as one row of numbers per surface."""

from __future__ import annotations

import torch
from torch import Tensor

PATTERNS = ("noise", "tiles", "stripes", "bricks", "cells", "dots", "patches", "rings", "blocks", "picture")
_WEIGHTS = (2.0, 1.3, 1.2, 1.6, 1.4, 0.7, 1.2, 1.0, 1.4, 0.0)

FIELDS = (
    "red0", "green0", "blue0", "red1", "green1", "blue1", "red2", "green2", "blue2",
    "pattern", "frequency", "warp", "detail", "detail_frequency", "dirt", "gloss", "sharpness", "seed", "bump",
    "line", "stretch", "cosine", "sine", "picture",
)  # fmt: skip
"""The entries of one row, in order."""


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    """Random numbers in [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def log_uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    """Random numbers in [low, high), every factor equally likely."""
    return low * (high / low) ** torch.rand(shape, generator=generator)


def chance(generator: torch.Generator, probability: float, *shape: int) -> Tensor:
    """Random booleans."""
    return torch.rand(shape, generator=generator) < probability


def rgb_from_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Colors (..., 3); hue in turns."""
    offsets = torch.tensor([5.0, 3.0, 1.0])
    k = (offsets + hue[..., None] * 6) % 6
    return value[..., None] * (1 - saturation[..., None] * torch.minimum(k, 4 - k).clamp(0, 1))


def random_colors(generator: torch.Generator, *shape: int) -> Tensor:
    """Linear colors (*shape, 3): greys and whites, earth and wood, and now and then something loud."""
    kind = torch.rand(shape, generator=generator)
    hue, saturation = torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)
    value = uniform(generator, 0.12, 1.0, *shape).sqrt()
    grey, earth = kind < 0.38, (kind >= 0.38) & (kind < 0.76)
    hue = torch.where(earth, 0.03 + 0.1 * hue, hue)
    saturation = torch.where(
        grey, 0.12 * saturation, torch.where(earth, 0.2 + 0.5 * saturation, 0.25 + 0.7 * saturation)
    )
    return rgb_from_hsv(hue, saturation, value) ** 2.2


def random_materials(generator: torch.Generator, scenes: int, surfaces: int, pictures: int = 0) -> Tensor:
    """Rows (scenes, surfaces, len(FIELDS)). With `pictures` > 0 some surfaces show one of them."""
    shape = (scenes, surfaces)
    # Real rooms repeat their colors: most surfaces draw from a palette of their scene.
    palette = random_colors(generator, scenes, 6)
    pick = torch.randint(6, (scenes, surfaces * 3), generator=generator)
    colors = palette.gather(1, pick[..., None].expand(-1, -1, 3))
    own = chance(generator, 0.35, scenes, surfaces * 3)[..., None]
    colors = torch.where(own, random_colors(generator, scenes, surfaces * 3), colors).view(*shape, 3, 3)
    near = chance(generator, 0.45, *shape)[..., None]
    second = colors[:, :, 0] * log_uniform(generator, 0.35, 1.8, *shape)[..., None]
    colors[:, :, 1] = torch.where(near, second.clamp(0.01, 1), colors[:, :, 1])

    weights = torch.tensor(_WEIGHTS)
    weights[-1] = 2.5 if pictures else 0.0
    pattern = torch.multinomial(weights, scenes * surfaces, replacement=True, generator=generator).view(shape)
    angle = torch.where(chance(generator, 0.7, *shape), torch.zeros(shape), uniform(generator, 0, 3.14159, *shape))
    shiny = chance(generator, 0.35, *shape)
    columns = [
        *colors.flatten(2).unbind(-1),
        pattern.float(),
        log_uniform(generator, 1.5, 16.0, *shape),
        torch.where(chance(generator, 0.5, *shape), uniform(generator, 0.0, 0.6, *shape), torch.zeros(shape)),
        log_uniform(generator, 0.15, 1.3, *shape),
        log_uniform(generator, 5.0, 60.0, *shape),
        uniform(generator, 0.0, 0.8, *shape),
        torch.where(shiny, uniform(generator, 0.05, 0.6, *shape), torch.zeros(shape)),
        log_uniform(generator, 8.0, 200.0, *shape),
        torch.randint(1 << 20, shape, generator=generator).float(),
        torch.where(chance(generator, 0.6, *shape), uniform(generator, 0.0, 0.9, *shape), torch.zeros(shape)),
        uniform(generator, 0.04, 0.2, *shape),
        log_uniform(generator, 0.4, 2.5, *shape),
        torch.cos(angle),
        torch.sin(angle),
        torch.randint(max(pictures, 1), shape, generator=generator).float(),
    ]
    return torch.stack(columns, dim=-1)
