"""Where things stand: a room or open ground, furniture, clutter, buildings, trees, rocks and a light.

Everything is drawn on the CPU from a seeded generator, so that one seed is one scene on every device. Each object is a
canonical shape under an affine map: box [-1, 1]³, unit sphere, upright unit cylinder, an intersection of half-spaces,
or a closed triangle mesh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .materials import chance, log_uniform, random_colors, random_materials, uniform

Layout = dict[str, Tensor]

PANELS, TABLE, SHELF, CLUTTER = 4, 5, 5, 10
BOXES = PANELS + TABLE + SHELF + CLUTTER
SPHERES, CYLINDERS, POLYTOPES, MESHES = 6, 6, 6, 2
PLANES = 8
OBJECTS = BOXES + SPHERES + CYLINDERS + POLYTOPES + MESHES
SURROUNDINGS = 4
"""Rows of the material table before the objects': floor, ceiling, and the two pairs of walls."""
WAVES = 5
OUTDOOR_REACH = 150.0
BURIED = -1.0e3
"""Height of what a scene does not have: below the floor, where no ray arrives."""


@dataclass(frozen=True)
class _Solids:
    """Centres, half sizes (B, K, 3) and rotations (B, K, 3, 3), columns the solid's axes."""

    center: Tensor
    half: Tensor
    rotation: Tensor


def terrain_height(waves: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Height of the ground at x, y (B, ...) for `waves` (B, WAVES, 4): amplitude, frequency in x and y, phase."""
    height = torch.zeros_like(x)
    for wave in waves.unbind(1):
        amplitude, along_x, along_y, phase = (c.view(-1, *(1,) * (x.dim() - 1)) for c in wave.unbind(-1))
        height = height + amplitude * torch.sin(along_x * x + along_y * y + phase)
    return height


def random_layout(generator: torch.Generator, scenes: int, *, outdoor: float, terrain: bool, pictures: int) -> Layout:
    """Tensors of `scenes` scenes, keyed by what they are; the share `outdoor` of them under the sky.

    With `terrain` all of them stand on hills under the sky. `reach` (B,) is the radius in which things stand.
    """
    open_air = chance(generator, 1.0 if terrain else outdoor, scenes)
    room = torch.stack([log_uniform(generator, 1.6, 6.0, scenes), log_uniform(generator, 1.6, 6.0, scenes)], dim=-1)
    height = uniform(generator, 2.2, 4.5, scenes)
    reach = torch.where(open_air, log_uniform(generator, 2.0, 10.0, scenes), 0.8 * room.min(dim=-1).values)
    half_room = torch.cat([room, height[:, None] / 2], dim=-1)
    half_room = torch.where(open_air[:, None], torch.full_like(half_room, OUTDOOR_REACH), half_room)
    waves = _waves(generator, reach, terrain)

    clutter = _clutter(generator, reach, CLUTTER)
    boxes = [
        _panels_or_buildings(generator, open_air, half_room, reach),
        _table(generator, reach),
        _shelf(generator, reach, half_room, open_air),
        clutter,
    ]
    solids = [
        _join(boxes),
        _stacked(generator, _clutter(generator, reach, SPHERES), clutter),
        _columns(generator, _stacked(generator, _clutter(generator, reach, CYLINDERS), clutter), height, reach),
        _stacked(generator, _clutter(generator, reach, POLYTOPES), clutter),
        _clutter(generator, reach, MESHES),
    ]
    solids[1] = _crowns(generator, solids[1], solids[2], open_air)
    everything = _join(solids)
    lift = terrain_height(waves, everything.center[..., 0], everything.center[..., 1])
    everything.center[..., 2] += torch.where(everything.center[..., 2] > BURIED / 2, lift, 0.0)
    affine = everything.rotation.transpose(-1, -2) / everything.half[..., None]
    meshes = slice(OBJECTS - MESHES, OBJECTS)
    return {
        "outdoor": open_air.float(),
        "room": half_room,
        "reach": reach,
        "waves": waves,
        "center": everything.center,
        "half": everything.half,
        "affine": affine,
        "planes": _planes(generator, scenes),
        "triangles": _triangles(
            generator, everything.center[:, meshes], everything.half[:, meshes], everything.rotation[:, meshes]
        ),
        "materials": random_materials(generator, scenes, SURROUNDINGS + OBJECTS, pictures),
        **_lighting(generator, open_air, half_room, reach),
    }


def _join(parts: list[_Solids]) -> _Solids:
    return _Solids(*(torch.cat([getattr(p, name) for p in parts], dim=1) for name in ("center", "half", "rotation")))


def turned(angle: Tensor) -> Tensor:
    """Rotations (..., 3, 3) about z."""
    cosine, sine, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    rows = [cosine, -sine, zero, sine, cosine, zero, zero, zero, torch.ones_like(angle)]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def _random_rotations(generator: torch.Generator, *shape: int) -> Tensor:
    from ...model.pose import quaternion_to_matrix

    return quaternion_to_matrix(torch.randn(*shape, 4, generator=generator))


def _waves(generator: torch.Generator, reach: Tensor, terrain: bool) -> Tensor:
    scenes = len(reach)
    length = log_uniform(generator, 0.5, 4.0, scenes, WAVES) * reach[:, None]
    angle = uniform(generator, 0, 2 * math.pi, scenes, WAVES)
    amplitude = uniform(generator, 0.0, 0.045, scenes, WAVES) * length * (1.0 if terrain else 0.0)
    along = 2 * math.pi / length
    phase = uniform(generator, 0, 2 * math.pi, scenes, WAVES)
    return torch.stack([amplitude, along * torch.cos(angle), along * torch.sin(angle), phase], dim=-1)


def _clutter(generator: torch.Generator, reach: Tensor, count: int) -> _Solids:
    """Things of all sizes on the floor, most of them upright; a scene has between a third and all of them."""
    scenes = len(reach)
    size = log_uniform(generator, 0.05, 0.26, scenes, count) * reach[:, None]
    half = size[..., None] * log_uniform(generator, 0.45, 1.4, scenes, count, 3)
    angle = uniform(generator, 0, 2 * math.pi, scenes, count)
    radius = reach[:, None] * torch.rand(scenes, count, generator=generator).sqrt()
    center = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle), half[..., 2]], dim=-1)
    rotation = turned(uniform(generator, 0, 2 * math.pi, scenes, count))
    tilted = chance(generator, 0.12, scenes, count)
    rotation = torch.where(tilted[..., None, None], _random_rotations(generator, scenes, count), rotation)
    present = torch.rand(scenes, count, generator=generator) < uniform(generator, 0.35, 1.0, scenes, 1)
    center[..., 2] = torch.where(present, center[..., 2], BURIED)
    return _Solids(center, half, rotation)


def _stacked(generator: torch.Generator, solids: _Solids, support: _Solids) -> _Solids:
    """Some of `solids` put on top of boxes of `support`, made smaller to fit."""
    scenes, count = solids.center.shape[:2]
    which = torch.randint(support.center.shape[1], (scenes, count, 1), generator=generator).expand(-1, -1, 3)
    base, base_half = support.center.gather(1, which), support.half.gather(1, which)
    half = solids.half * (0.6 * base_half[..., :2].amin(-1) / solids.half.amax(-1)).clamp(max=1.0)[..., None]
    shift = uniform(generator, -0.4, 0.4, scenes, count, 2) * base_half[..., :2]
    top = base[..., 2] + base_half[..., 2] + half[..., 2]
    placed = torch.cat([base[..., :2] + shift, top[..., None]], dim=-1)
    chosen = chance(generator, 0.35, scenes, count) & (solids.center[..., 2] > BURIED / 2)
    chosen = (chosen & (base[..., 2] > BURIED / 2))[..., None]
    return _Solids(torch.where(chosen, placed, solids.center), torch.where(chosen, half, solids.half), solids.rotation)


def _columns(generator: torch.Generator, solids: _Solids, height: Tensor, reach: Tensor) -> _Solids:
    """Some cylinders made thin and tall: columns, posts, trunks."""
    scenes, count = solids.center.shape[:2]
    tall = chance(generator, 0.3, scenes, count) & (solids.center[..., 2] > BURIED / 2)
    thickness = log_uniform(generator, 0.02, 0.1, scenes, count) * reach[:, None]
    length = 0.5 * height[:, None] * log_uniform(generator, 0.3, 1.2, scenes, count)
    half = torch.where(tall[..., None], torch.stack([thickness, thickness, length], dim=-1), solids.half)
    center = torch.where(tall[..., None], torch.cat([solids.center[..., :2], length[..., None]], dim=-1), solids.center)
    upright = turned(torch.zeros(scenes, count))
    return _Solids(center, half, torch.where(tall[..., None, None], upright, solids.rotation))


def _crowns(generator: torch.Generator, spheres: _Solids, trunks: _Solids, open_air: Tensor) -> _Solids:
    """Out of doors, some spheres on top of tall cylinders: trees and lamp posts."""
    half = trunks.half
    tree = open_air[:, None] & (half[..., 2] > 3 * half[..., 0]) & chance(generator, 0.7, *half.shape[:2])
    size = half[..., 2:] * log_uniform(generator, 0.4, 0.9, *half.shape[:2], 3)
    center = trunks.center + torch.stack([half[..., 0] * 0, half[..., 0] * 0, half[..., 2] + 0.6 * size[..., 2]], -1)
    return _Solids(
        torch.where(tree[..., None], center, spheres.center),
        torch.where(tree[..., None], size, spheres.half),
        spheres.rotation,
    )


def _panels_or_buildings(generator: torch.Generator, open_air: Tensor, room: Tensor, reach: Tensor) -> _Solids:
    """Indoors flat things on the walls (pictures, doors, cupboards); outside, buildings around the place."""
    scenes, count = len(reach), PANELS
    side = torch.arange(count).expand(scenes, count) * (math.pi / 2)
    wide, tall = room[:, :2].amax(-1, keepdim=True), room[:, 2:]
    depth = log_uniform(generator, 0.015, 0.3, scenes, count)
    flat = torch.stack(
        [
            depth,
            uniform(generator, 0.1, 0.5, scenes, count) * wide,
            uniform(generator, 0.15, 0.9, scenes, count) * tall,
        ],
        -1,
    )
    distance = torch.where(side % math.pi < 0.1, room[:, :1], room[:, 1:2]) - depth
    along = uniform(generator, -0.6, 0.6, scenes, count) * wide
    up = torch.maximum(flat[..., 2], uniform(generator, 0.2, 1.6, scenes, count) * tall).minimum(
        2 * tall - flat[..., 2]
    )

    house = reach[:, None, None] * log_uniform(generator, 0.3, 1.6, scenes, count, 3)
    far = reach[:, None] * uniform(generator, 1.3, 3.5, scenes, count) + house[..., 0]
    turn = side + uniform(generator, -0.6, 0.6, scenes, count) * open_air[:, None]
    outside = open_air[:, None]
    half = torch.where(outside[..., None], house, flat)
    distance = torch.where(outside, far, distance)
    along = torch.where(outside, uniform(generator, -1.0, 1.0, scenes, count) * reach[:, None], along)
    cosine, sine = torch.cos(turn), torch.sin(turn)
    z = torch.where(outside, half[..., 2], up)
    z = torch.where(chance(generator, 0.75, scenes, count), z, torch.full_like(z, BURIED))
    center = torch.stack([distance * cosine - along * sine, distance * sine + along * cosine, z], dim=-1)
    return _Solids(center, half, turned(turn))


def _furniture(
    generator: torch.Generator, local: Tensor, half: Tensor, place: Tensor, turn: Tensor, share: float
) -> _Solids:
    """Parts at `local` (B, K, 3), z up from the floor, turned and moved together; the share that has it keeps it."""
    rotation = turned(turn)[:, None].expand(-1, local.shape[1], -1, -1)
    center = (rotation @ local[..., None])[..., 0] + torch.cat([place, torch.zeros(len(place), 1)], dim=-1)[:, None]
    present = chance(generator, share, len(place), 1)
    center[..., 2] = torch.where(present, center[..., 2], torch.full_like(center[..., 2], BURIED))
    return _Solids(center, half, rotation)


def _table(generator: torch.Generator, reach: Tensor) -> _Solids:
    scenes = len(reach)
    width, depth = (uniform(generator, 0.15, 0.45, scenes) * reach for _ in range(2))
    height, thick = uniform(generator, 0.15, 0.4, scenes) * reach, uniform(generator, 0.01, 0.03, scenes) * reach
    leg = thick * uniform(generator, 0.8, 1.5, scenes)
    zero = torch.zeros(scenes)
    local, half = [torch.stack([zero, zero, height], -1)], [torch.stack([width, depth, thick], -1)]
    for sx, sy in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        local.append(torch.stack([sx * (width - leg), sy * (depth - leg), height / 2], -1))
        half.append(torch.stack([leg, leg, height / 2], -1))
    place = uniform(generator, -0.5, 0.5, scenes, 2) * reach[:, None]
    turn = uniform(generator, 0, 2 * math.pi, scenes)
    return _furniture(generator, torch.stack(local, 1), torch.stack(half, 1), place, turn, 0.5)


def _shelf(generator: torch.Generator, reach: Tensor, room: Tensor, open_air: Tensor) -> _Solids:
    scenes = len(reach)
    width, depth = uniform(generator, 0.2, 0.5, scenes) * reach, uniform(generator, 0.06, 0.15, scenes) * reach
    height, thick = uniform(generator, 0.2, 0.55, scenes) * reach, uniform(generator, 0.01, 0.025, scenes) * reach
    zero = torch.zeros(scenes)
    local = [torch.stack([zero, side * width, height], -1) for side in (-1, 1)]
    half = [torch.stack([depth, thick, height], -1)] * 2
    for level in (0.15, 1.0, 1.9):
        local.append(torch.stack([zero, zero, level * height], -1))
        half.append(torch.stack([depth, width, thick], -1))
    away = torch.where(open_air, uniform(generator, 0.3, 1.0, scenes) * reach, room[:, 0] - depth - 0.02)
    place = torch.stack([away, uniform(generator, -0.6, 0.6, scenes) * reach], -1)
    return _furniture(generator, torch.stack(local, 1), torch.stack(half, 1), place, zero, 0.4)


def _planes(generator: torch.Generator, scenes: int) -> Tensor:
    """Half-spaces n · x <= 1 of convex bodies, (B, POLYTOPES, PLANES, 3): a box with leaning sides and two cuts."""
    axes = torch.tensor([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1.0]])
    jitter = uniform(generator, -0.6, 0.6, scenes, POLYTOPES, 6, 3)
    jitter[..., 5, :] = 0.0  # the side that it stands on
    sides = torch.nn.functional.normalize(axes + jitter, dim=-1)
    cuts = torch.nn.functional.normalize(torch.randn(scenes, POLYTOPES, PLANES - 6, 3, generator=generator), dim=-1)
    cuts = cuts / uniform(generator, 0.7, 1.2, scenes, POLYTOPES, PLANES - 6, 1)
    return torch.cat([sides, cuts], dim=2)


def _icosahedron() -> tuple[Tensor, Tensor]:
    g = (1 + 5**0.5) / 2
    corners = [(s * 1.0, t * g, 0.0) for s in (-1, 1) for t in (-1, 1)]
    vertices = torch.tensor([c[k:] + c[:k] for k in range(3) for c in corners]) / (1 + g * g) ** 0.5
    distance = torch.cdist(vertices, vertices)
    near = (distance > 0.1) & (distance < distance[distance > 0.1].min() * 1.1)
    faces = []
    for a in range(12):
        for b in range(a + 1, 12):
            for c in range(b + 1, 12):
                if near[a, b] and near[b, c] and near[a, c]:
                    outward = torch.linalg.det(vertices[[a, b, c]]) > 0
                    faces.append((a, b, c) if outward else (a, c, b))
    return vertices, torch.tensor(faces)


_ICOSAHEDRON = _icosahedron()
FACES = len(_ICOSAHEDRON[1])


def _triangles(generator: torch.Generator, center: Tensor, half: Tensor, rotation: Tensor) -> Tensor:
    """World corners (B, MESHES * FACES, 3, 3), counter-clockwise from outside, of rocks: star-shaped, not convex."""
    vertices, faces = _ICOSAHEDRON
    scale = uniform(generator, 0.55, 1.25, *center.shape[:2], len(vertices), 1)
    local = vertices * scale * half[:, :, None]
    world = local @ rotation.transpose(-1, -2) + center[:, :, None]
    return world[:, :, faces].flatten(1, 2)


def _lighting(generator: torch.Generator, open_air: Tensor, room: Tensor, reach: Tensor) -> Layout:
    """A lamp under the ceiling or a sun, its color and size, and the light from above and below."""
    scenes = len(reach)
    lamp = uniform(generator, -0.7, 0.7, scenes, 3) * room
    lamp[:, 2] = room[:, 2] * uniform(generator, 1.3, 1.94, scenes)
    azimuth, elevation = uniform(generator, 0, 2 * math.pi, scenes), uniform(generator, 0.2, 1.35, scenes)
    flat = torch.cos(elevation)
    sun = torch.stack([flat * torch.cos(azimuth), flat * torch.sin(azimuth), torch.sin(elevation)], -1)
    warm = uniform(generator, -0.25, 0.3, scenes)
    tint = torch.stack([1 + warm, torch.ones(scenes), 1 - warm], -1)
    strength = torch.where(open_air, uniform(generator, 0.3, 3.5, scenes), uniform(generator, 0.6, 3.0, scenes))
    cool = torch.stack([1 - 0.5 * warm, torch.ones(scenes), 1 + 0.5 * warm], -1)
    ambient = uniform(generator, 0.25, 0.8, scenes, 1)
    haze = random_colors(generator, scenes)
    return {
        "light": torch.where(open_air[:, None], sun * 8 * reach[:, None], lamp),
        "light_size": reach * uniform(generator, 0.0, 0.15, scenes) * torch.where(open_air, 2.0, 1.0),
        "light_color": tint * strength[:, None],
        "ambient": cool * ambient,
        "bounce": tint * ambient * uniform(generator, 0.3, 0.9, scenes, 1),
        "zenith": torch.lerp(torch.tensor([0.12, 0.3, 0.75]), haze, uniform(generator, 0.0, 0.5, scenes, 1)),
        "horizon": torch.lerp(torch.tensor([0.75, 0.82, 0.9]), haze, uniform(generator, 0.0, 0.4, scenes, 1)),
        "clouds": uniform(generator, -0.4, 0.6, scenes),
        "cloud_seed": torch.randint(1 << 20, (scenes,), generator=generator).float(),
    }
