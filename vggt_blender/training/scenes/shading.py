"""Light on surfaces: a lamp or sun with shadows, light from above and below, gloss, sky and haze."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .layout import Layout
from .materials import FIELDS
from .noise import fractal_noise
from .patterns import surface_color
from .tracing import Hits, dot, far_limit, normalized, pick, terrain_distance, trace

_GLOSS, _SHARPNESS, _BUMP = (FIELDS.index(name) for name in ("gloss", "sharpness", "bump"))


class ShadowRays(NamedTuple):
    """From a point in the light to the surfaces: ``origin`` (F, 3), ``direction`` (F, 3, R).

    Something before t = ``limit`` (F, R) is in the way; ``in_shade`` (F, R) is what the ground already says.
    """

    origin: Tensor
    direction: Tensor
    limit: Tensor
    in_shade: Tensor


def find_surfaces(
    scene: Layout,
    origin: Tensor,
    direction: Tensor,
    object_t: Tensor,
    index: Tensor,
    light_offset: Tensor,
    terrain: bool,
) -> tuple[Hits, ShadowRays]:
    """What the rays `direction` (F, 3, R) meet, and the rays that ask whether light gets there.

    `object_t` and `index` as `nearest_object` gives them; `light_offset` (F, 3): a point within the light, of size 1.
    """
    hits = trace(scene, origin, direction, object_t, index, terrain)
    light = scene["light"] + light_offset * scene["light_size"][:, None]
    clearance = 0.004 * scene["reach"][:, None]
    lifted = hits.point + hits.normal * clearance[:, None]
    from_light = lifted - light[..., None]
    limit = 1.0 - clearance / dot(from_light, from_light).clamp(min=1e-6).sqrt()
    in_shade = torch.zeros_like(hits.sky)
    if terrain:
        in_shade = terrain_distance(scene, light, from_light, limit) < limit
    return hits, ShadowRays(light, from_light, limit, in_shade)


def shade(
    scene: Layout,
    direction: Tensor,
    hits: Hits,
    light: Tensor,
    blocked: Tensor,
    pixel: Tensor,
    pictures: Tensor | None,
) -> Tensor:
    """Linear light (F, 3, R) that comes back along the rays.

    `light` (F, 3) where it comes from, `blocked` (F, R) where it does not arrive, `pixel` (F,) a pixel's width at
    depth 1.
    """
    far = far_limit(scene)[:, None]
    t = torch.minimum(hits.t, far)
    view = -normalized(direction)
    footprint = pixel[:, None] * t / dot(view, hits.normal).clamp(min=0.12)
    materials = pick(scene["materials"], hits.surface)
    albedo, fine = surface_color(materials, hits.local_point, hits.local_normal, footprint, pictures)
    normal = normalized(hits.normal + torch.stack(fine, dim=1) * materials[:, _BUMP, None])
    lit, shine = _direct(scene, hits, normal, view, light, blocked, materials)
    up = (0.5 + 0.5 * normal[:, 2:]).clamp(0.0, 1.0)
    ambient = torch.lerp(scene["bounce"][..., None], scene["ambient"][..., None], up)
    light_color = scene["light_color"][..., None]
    color = albedo * (ambient + lit[:, None] * light_color) + shine[:, None] * light_color
    haze = ((t / far - 0.4) / 0.6).clamp(0.0, 1.0) * scene["outdoor"][:, None]
    return torch.lerp(color, _sky(scene, direction), torch.where(hits.sky, 1.0, haze)[:, None])


def _direct(
    scene: Layout, hits: Hits, normal: Tensor, view: Tensor, light: Tensor, blocked: Tensor, materials: Tensor
) -> tuple[Tensor, Tensor]:
    """How much of the lamp's or sun's light comes back matt and as gloss, (F, R) each."""
    to_light = light[..., None] - hits.point
    distance = dot(to_light, to_light).clamp(min=1e-6).sqrt()
    toward = to_light / distance[:, None]
    falloff = light.norm(dim=-1)[:, None] / distance
    strength = torch.where(scene["outdoor"][:, None] > 0.5, 1.0, (falloff * falloff).clamp(max=6.0))
    # The true normal decides what faces the light: bumps must not light a back side.
    strength = strength * ((dot(hits.normal, toward) > 0) & ~blocked)
    middle = normalized(toward + view)
    gloss = materials[:, _GLOSS] * dot(normal, middle).clamp(min=1e-4) ** materials[:, _SHARPNESS]
    return dot(normal, toward).clamp(min=0.0) * strength, gloss * strength


def _sky(scene: Layout, direction: Tensor) -> Tensor:
    x, y, z = normalized(direction).unbind(1)
    height = z.clamp(min=0.0)
    blue = torch.lerp(scene["horizon"][..., None], scene["zenith"][..., None], height.sqrt()[:, None])
    stretch = 2.5 / (height + 0.25)
    seed = scene["cloud_seed"].int()[:, None]
    noise = fractal_noise(x * stretch, y * stretch, height, seed, torch.zeros_like(height), 4)
    cover = ((noise[0] + scene["clouds"][:, None]) * 2.5).clamp(0.0, 1.0) * (height * 4).clamp(0.0, 1.0)
    return torch.lerp(blue, torch.ones_like(blue), (0.85 * cover)[:, None])
