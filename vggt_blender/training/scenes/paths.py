"""Lenses and camera paths: orbits, dollies, trucks, pans, hand-held shots and loose photographs of one place."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .layout import Layout, terrain_height, turned
from .materials import chance, log_uniform, uniform

KINDS = ("orbit", "dolly", "lateral", "handheld", "photos", "pan")
_WEIGHTS = (0.25, 0.14, 0.17, 0.12, 0.2, 0.12)


@dataclass(frozen=True)
class Cameras:
    """``extrinsics`` (B, S, 3, 4) camera_from_world and ``intrinsics`` (B, S, 3, 3) in pixels."""

    extrinsics: Tensor
    intrinsics: Tensor


def random_cameras(generator: torch.Generator, layout: Layout, frames: int, height: int, width: int) -> Cameras:
    """Cameras that look at one place of each scene from `frames` positions."""
    reach = layout["reach"]
    scenes = len(reach)
    fov, intrinsics = _lenses(generator, scenes, frames, height, width)
    indoor = layout["outdoor"] < 0.5
    # A long lens stands further away, as its user would.
    framing = torch.where(indoor, uniform(generator, 0.6, 1.7, scenes), uniform(generator, 0.45, 1.7, scenes))
    distance = reach * framing * (0.6 / torch.tan(fov / 2)).clamp(0.6, 2.2)
    target = (
        torch.cat([uniform(generator, -0.4, 0.4, scenes, 2), uniform(generator, 0.05, 0.5, scenes, 1)], -1)
        * reach[:, None]
    )
    position, focus = _paths(generator, target, distance, reach, frames)
    position = _kept_inside(position, layout)
    focus = focus.clone()
    focus[..., 2] += terrain_height(layout["waves"], focus[..., 0], focus[..., 1])
    jitter = log_uniform(generator, 0.01, 0.12, scenes, 1, 1) * distance[:, None, None]
    focus = focus + jitter * torch.randn(scenes, frames, 3, generator=generator)
    roll = 0.05 * torch.randn(scenes, 1, generator=generator) + 0.025 * torch.randn(scenes, frames, generator=generator)
    roll = roll + chance(generator, 0.05, scenes, 1) * uniform(generator, -1.6, 1.6, scenes, 1)
    return Cameras(look_at(position, focus, roll), intrinsics)


def look_at(position: Tensor, focus: Tensor, roll: Tensor) -> Tensor:
    """camera_from_world (..., 3, 4) at `position` with `focus` (..., 3) in the centre, turned by `roll` (...,)."""
    forward = torch.nn.functional.normalize(focus - position, dim=-1)
    down = torch.tensor([0.0, 0.0, -1.0]).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(down, forward, dim=-1), dim=-1)
    down = torch.linalg.cross(forward, right, dim=-1)
    cosine, sine = torch.cos(roll)[..., None], torch.sin(roll)[..., None]
    rotation = torch.stack([cosine * right + sine * down, cosine * down - sine * right, forward], dim=-2)
    return torch.cat([rotation, -(rotation @ position[..., None])], dim=-1)


def _lenses(generator: torch.Generator, scenes: int, frames: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Field of view (B,) along the longer side, 25 to 100 degrees, and intrinsics; one scene in eight zooms."""
    degrees = 25 + 75 * torch.rand(scenes, 2, generator=generator).mean(-1)
    fov = degrees * math.pi / 180
    focal = 0.5 * max(height, width) / torch.tan(fov / 2)
    zoom = chance(generator, 0.12, scenes, 1) * uniform(generator, -0.45, 0.45, scenes, frames)
    focal = focal[:, None] * torch.exp(zoom)
    stretch = 1 + 0.015 * torch.randn(scenes, 1, generator=generator)
    intrinsics = torch.zeros(scenes, frames, 3, 3)
    intrinsics[..., 0, 0], intrinsics[..., 1, 1] = focal * stretch, focal
    intrinsics[..., 0, 2], intrinsics[..., 1, 2], intrinsics[..., 2, 2] = width / 2, height / 2, 1.0
    return fov, intrinsics


def _paths(
    generator: torch.Generator, target: Tensor, distance: Tensor, reach: Tensor, frames: int
) -> tuple[Tensor, Tensor]:
    """Positions and what they look at, each (B, S, 3)."""
    scenes = len(target)
    kind = torch.multinomial(torch.tensor(_WEIGHTS), scenes, replacement=True, generator=generator)
    even = torch.linspace(-0.5, 0.5, frames).expand(scenes, -1)
    loose = uniform(generator, -0.5, 0.5, scenes, frames)
    progress = torch.where(chance(generator, 0.6, scenes, 1), even, loose.sort(dim=-1).values)
    order = torch.rand(scenes, frames, generator=generator).argsort(dim=-1)
    shuffled = chance(generator, 0.4, scenes, 1)
    progress = torch.where(shuffled, progress.gather(1, order), progress)
    is_kind = {name: (kind == index)[:, None] for index, name in enumerate(KINDS)}
    # Left as often as right, back as often as forward.
    progress = torch.where(chance(generator, 0.5, scenes, 1), -progress, progress)
    length = log_uniform(generator, 0.2, 1.2, scenes, 1)

    turning, loose_turn = is_kind["orbit"], is_kind["photos"]
    # Some go far around: there the first frame and the last share nothing, and what lies between must link them.
    far = chance(generator, 0.25, scenes, 1)
    span = torch.where(far, uniform(generator, 1.9, 6.0, scenes, 1), uniform(generator, 0.15, 1.9, scenes, 1))
    azimuth = uniform(generator, 0, 2 * math.pi, scenes, 1) + turning * span * progress + loose_turn * span * loose
    apart = uniform(generator, -0.3, 0.3, scenes, frames)
    radius = distance[:, None] * (1 + loose_turn * apart - is_kind["dolly"] * length * progress)
    height = reach[:, None] * log_uniform(generator, 0.15, 1.1, scenes, 1)
    height = height * (1 + 0.5 * uniform(generator, -1, 1, scenes, 1) * progress * turning + 0.6 * loose_turn * apart)
    side = torch.stack([-torch.sin(azimuth), torch.cos(azimuth), torch.zeros_like(azimuth)], -1)
    out = torch.stack([torch.cos(azimuth), torch.sin(azimuth), torch.zeros_like(azimuth)], -1)
    up = torch.tensor([0.0, 0.0, 1.0])
    position = target[:, None] * torch.tensor([1.0, 1.0, 0.0]) + radius[..., None] * out + height[..., None] * up
    slide = (is_kind["lateral"] * length * progress * distance[:, None])[..., None]
    move = slide * (side + 0.4 * uniform(generator, -1, 1, scenes, 1, 1) * up)
    position = position + move
    position = (
        position
        + is_kind["handheld"][..., None]
        * _wander(generator, scenes, frames)
        * (0.35 * length * distance[:, None])[..., None]
    )
    follows = uniform(generator, 0, 1, scenes, 1, 1)
    focus = target[:, None] + follows * move
    turn = is_kind["pan"] * uniform(generator, 0.15, 1.5, scenes, 1) * progress
    # Who turns a camera seldom stands quite still.
    position = position + (is_kind["pan"] * log_uniform(generator, 0.03, 0.5, scenes, 1) * progress)[..., None] * (
        distance[:, None, None] * (side + uniform(generator, -1, 1, scenes, 1, 1) * out)
    )
    return position, position + (turned(turn) @ (focus - position)[..., None])[..., 0]


def _wander(generator: torch.Generator, scenes: int, frames: int) -> Tensor:
    """A smooth walk (B, S, 3) of size 1."""
    time = torch.linspace(0, 1, frames)[None, :, None]
    total = torch.zeros(scenes, frames, 3)
    for speed in (2.0, 5.0, 11.0):
        phase = uniform(generator, 0, 2 * math.pi, scenes, 1, 3)
        total = total + torch.randn(scenes, 1, 3, generator=generator) / speed**0.7 * torch.sin(speed * time + phase)
    return total


def _kept_inside(position: Tensor, layout: Layout) -> Tensor:
    """The positions, held above the ground and within the room."""
    ground = terrain_height(layout["waves"], position[..., 0], position[..., 1])
    z = ground + position[..., 2].clamp(min=0.08 * layout["reach"][:, None])
    margin = 0.12 * layout["reach"][:, None]
    room = layout["room"][:, None] - margin[..., None]
    z = torch.minimum(z, 2 * layout["room"][:, None, 2] - margin)
    flat = torch.maximum(torch.minimum(position[..., :2], room[..., :2]), -room[..., :2])
    return torch.cat([flat, z[..., None]], dim=-1)
