"""From light to a picture: exposure, white balance, tone, lens shading, blur and grain, shared or per frame."""

from __future__ import annotations

import torch
from torch import Tensor

from .materials import chance, log_uniform, uniform

Film = dict[str, Tensor]


def random_film(generator: torch.Generator, scenes: int, frames: int) -> Film:
    """What the camera does to each scene (B, 1, ...) and each of its frames (B, S, ...)."""
    per_frame = chance(generator, 0.25, scenes, 1)
    drift = torch.where(per_frame, 0.18 * torch.randn(scenes, frames, generator=generator), torch.zeros(scenes, frames))
    tint = (
        1
        + 0.1 * torch.randn(scenes, 1, 3, generator=generator)
        + 0.015 * torch.randn(scenes, frames, 3, generator=generator)
    )
    blurred = chance(generator, 0.5, scenes, 1)
    return {
        "key": uniform(generator, 0.1, 0.38, scenes, 1) * torch.exp(drift),
        "tint": tint,
        "filmic": chance(generator, 0.5, scenes, 1).float(),
        "contrast": uniform(generator, 0.8, 1.25, scenes, 1),
        "saturation": uniform(generator, 0.4, 1.25, scenes, 1) * (~chance(generator, 0.04, scenes, 1)),
        "vignette": uniform(generator, 0.0, 0.5, scenes, 1) * chance(generator, 0.5, scenes, 1),
        "grain": log_uniform(generator, 0.002, 0.03, scenes, 1).expand(-1, frames),
        "blur": torch.where(blurred, uniform(generator, 0.05, 0.8, scenes, frames), torch.full((scenes, frames), 0.05)),
    }


def develop(light: Tensor, film: Film, noise: Tensor) -> Tensor:
    """Pictures (B, S, 3, H, W) in [0, 1] from linear `light` (B, S, H, W, 3) and normal `noise` (B, S, H, W, 1)."""
    height, width = light.shape[2:4]
    luminance = light.mean(dim=(1, 2, 3, 4), keepdim=True).clamp(min=1e-4)
    shaped = {name: value[..., None, None, None] if value.dim() == 2 else value for name, value in film.items()}
    rows = torch.linspace(-1, 1, height, device=light.device)[:, None]
    columns = torch.linspace(-1, 1, width, device=light.device)[None]
    shade = 1 - shaped["vignette"] * 0.5 * (rows.square() + columns.square())[..., None]
    exposed = light / luminance * shaped["key"] * shaped["tint"][:, :, None, None] * shade
    exposed = _blurred(exposed, film["blur"]).clamp(min=0.0)
    plain = exposed.clamp(1e-5, 1.0) ** (1 / 2.2)
    compressed = (1.12 * exposed / (exposed + 0.24)).clamp(1e-5, 1.0) ** (1 / 1.5)
    picture = torch.lerp(plain, compressed, shaped["filmic"])
    picture = 0.45 + (picture - 0.45) * shaped["contrast"]
    grey = picture.mean(dim=-1, keepdim=True)
    picture = torch.lerp(grey, picture, shaped["saturation"])
    picture = picture + noise * shaped["grain"] * (1.2 - grey)
    return picture.clamp(0.0, 1.0).permute(0, 1, 4, 2, 3).contiguous()


def _blurred(light: Tensor, sigma: Tensor) -> Tensor:
    """`light` (B, S, H, W, 3) under a 5-tap Gaussian of `sigma` (B, S) pixels along both axes."""
    taps = torch.arange(-2, 3, device=light.device)
    weights = torch.exp(-0.5 * (taps / sigma[..., None]).square())
    weights = weights / weights.sum(dim=-1, keepdim=True)
    for axis in (2, 3):
        size = light.shape[axis]
        steps = torch.arange(size, device=light.device)
        total = torch.zeros_like(light)
        for tap in range(-2, 3):
            moved = light.index_select(axis, (steps + tap).clamp(0, size - 1))
            total = total + weights[..., tap + 2, None, None, None] * moved
        light = total
    return light
