"""Things that go their own way while the camera does: who learns from them learns to tell what stands still."""

from __future__ import annotations

import torch
from torch import Tensor

from .layout import FACES, MESHES, OBJECTS, PANELS, SHELF, TABLE, Layout
from .materials import chance, log_uniform, uniform
from .tracing import body_and_triangle, first_depth, nearest_object

_FURNITURE = PANELS + TABLE + SHELF
"""The first objects, of several parts or on walls: they stay."""


def random_moves(generator: torch.Generator, scenes: int, frames: int, share: float) -> Tensor:
    """How far each object has gone in each frame, (B, S, OBJECTS, 3), in units of the scene's ``reach``.

    In the `share` of scenes where something moves, some objects go straight over the ground, at one speed, a tenth to
    all of that radius in the whole shot.
    """
    busy = chance(generator, share, scenes, 1) * uniform(generator, 0.05, 0.35, scenes, 1)
    going = torch.rand(scenes, OBJECTS, generator=generator) < busy
    going[:, :_FURNITURE] = False
    angle = uniform(generator, 0, 2 * torch.pi, scenes, OBJECTS)
    length = going * log_uniform(generator, 0.1, 1.0, scenes, OBJECTS)
    along = torch.stack([torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)], dim=-1)
    time = torch.linspace(-0.5, 0.5, frames)
    return time[:, None, None] * (length[..., None] * along)[:, None]


def moved(scene: Layout, moves: Tensor) -> Layout:
    """The scenes (F of them) with their objects gone as far as `moves` (F, OBJECTS, 3), in the world's units."""
    corners = moves[:, OBJECTS - MESHES :].repeat_interleave(FACES, dim=1)[:, :, None]
    return scene | {"center": scene["center"] + moves, "triangles": scene["triangles"] + corners}


def owners(scene: Layout, origin: Tensor, direction: Tensor, terrain: bool) -> Tensor:
    """The object (F, R) that each ray `direction` (F, 3, R) from `origin` (F, 3) meets first; -1 for the ground or a
    wall."""
    object_t, index = nearest_object(scene, origin, direction)
    first = first_depth(scene, origin, direction, object_t, terrain)
    return torch.where(object_t <= first, body_and_triangle(index)[0], -1)


def carried(moves: Tensor, owner: Tensor) -> Tensor:
    """How far points (F, R) of the objects `owner` go, (F, R, 3), where these go as far as `moves` (F, OBJECTS, 3)."""
    way = moves.gather(1, owner.clamp(min=0)[..., None].expand(-1, -1, 3))
    return torch.where(owner[..., None] < 0, 0.0, way)
