"""Where rays meet the scene: exact intersections of a bundle of rays that share an origin.

F frames, R rays, K objects of a kind; vectors are (F, 3, R), so that every operation runs along the rays. A ray is
``origin + t * direction``; with directions whose camera z is 1, t is the Z depth. All that depends on the origin alone
is computed once a frame, so an object costs a ray a dozen operations.
Written without branches on data: `torch.compile` fuses it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .layout import BOXES, CYLINDERS, FACES, PLANES, POLYTOPES, SPHERES, SURROUNDINGS, Layout, terrain_height

NEVER = 1.0e9
_TINY = 1.0e-9
_STEPS, _BISECTIONS = 40, 14
_KINDS = {
    "box": slice(0, BOXES),
    "sphere": slice(BOXES, BOXES + SPHERES),
    "cylinder": slice(BOXES + SPHERES, BOXES + SPHERES + CYLINDERS),
    "polytope": slice(BOXES + SPHERES + CYLINDERS, BOXES + SPHERES + CYLINDERS + POLYTOPES),
}
_FIRST_MESH = BOXES + SPHERES + CYLINDERS + POLYTOPES


class Hits(NamedTuple):
    """The first surface along each ray, (F, R) each; vectors (F, 3, R).

    ``t`` (`NEVER` under the sky), ``point`` (under the sky only a stand-in), ``surface`` the row of the material table
    (0 under the sky), ``sky`` bool, ``normal`` towards the ray's origin, ``local_point`` and ``local_normal`` in the
    surface's own axes, in metres.
    """

    t: Tensor
    point: Tensor
    surface: Tensor
    sky: Tensor
    normal: Tensor
    local_point: Tensor
    local_normal: Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Scalar products (F, R) of vectors (F, 3, R)."""
    return a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2]


def normalized(vector: Tensor) -> Tensor:
    """`vector` (F, 3, R) at length 1."""
    return vector * torch.rsqrt(dot(vector, vector).clamp(min=1e-24))[:, None]


def pick(table: Tensor, index: Tensor) -> Tensor:
    """Rows of `table` (F, M, D) by `index` (F, R). Returns (F, D, R)."""
    return torch.stack([column.gather(1, index) for column in table.unbind(-1)], dim=1)


def nearest_object(scene: Layout, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """t (F, R) of the nearest object and its index among boxes, spheres, cylinders, polytopes and triangles."""
    candidates = _distances(scene, origin, direction)
    best, index = candidates[0].min(dim=1)
    offset = candidates[0].shape[1]
    for distances in candidates[1:]:
        t, which = distances.min(dim=1)
        index = torch.where(t < best, which + offset, index)
        best = torch.minimum(best, t)
        offset += distances.shape[1]
    return best, index


def body_and_triangle(index: Tensor) -> tuple[Tensor, Tensor]:
    """Of an index that `nearest_object` gave: the object, and the triangle if that is a mesh, which has several."""
    triangle = (index - _FIRST_MESH).clamp(min=0)
    return torch.where(index >= _FIRST_MESH, _FIRST_MESH + triangle // FACES, index), triangle


def nearest_distance(scene: Layout, origin: Tensor, direction: Tensor) -> Tensor:
    """t (F, R) of the nearest object, `NEVER` without one."""
    first, *others = (distances.amin(dim=1) for distances in _distances(scene, origin, direction))
    for distances in others:
        first = torch.minimum(first, distances)
    return first


def is_blocked(scene: Layout, origin: Tensor, direction: Tensor, limit: Tensor, terrain: bool) -> Tensor:
    """Whether something lies on the ray before t = `limit` (F, R)."""
    nearest = nearest_distance(scene, origin, direction)
    if terrain:
        nearest = torch.minimum(nearest, terrain_distance(scene, origin, direction, limit))
    return nearest < limit


def first_depth(scene: Layout, origin: Tensor, direction: Tensor, object_t: Tensor, terrain: bool) -> Tensor:
    """t (F, R) of the first surface, given the nearest object's; `NEVER` under the sky and beyond what is far."""
    surroundings, _, _ = _surroundings(scene, origin, direction, terrain)
    best = torch.minimum(object_t, surroundings)
    return torch.where(best < far_limit(scene)[:, None], best, NEVER)


def far_limit(scene: Layout) -> Tensor:
    """The depth (F,) beyond which a scene is only haze."""
    return 15.0 * scene["reach"]


def trace(scene: Layout, origin: Tensor, direction: Tensor, object_t: Tensor, index: Tensor, terrain: bool) -> Hits:
    """The first surface along each ray `direction` (F, 3, R) from `origin` (F, 3), with all that shading needs.

    `object_t` and `index` are those of `nearest_object`.
    """
    around_t, face, sky = _surroundings(scene, origin, direction, terrain)
    is_object = object_t < around_t
    t = torch.where(is_object, object_t, around_t)
    # Under the sky the point is only a stand-in: kept near, so that nothing overflows.
    point = origin[..., None] + torch.minimum(t, far_limit(scene)[:, None])[:, None] * direction
    body, triangle = body_and_triangle(index)
    local_point, local_normal, normal = _object_surface(scene, point, body, triangle)
    ground_normal = _surroundings_normal(scene, point, direction, face, terrain)
    chosen = is_object[:, None]
    normal = torch.where(chosen, normal, ground_normal)
    normal = torch.where((dot(normal, direction) > 0)[:, None], -normal, normal)
    return Hits(
        t=t,
        point=point,
        surface=torch.where(is_object, body + SURROUNDINGS, face),
        sky=sky & ~is_object,
        normal=normal,
        local_point=torch.where(chosen, local_point, point),
        local_normal=torch.where(chosen, local_normal, ground_normal),
    )


def _distances(scene: Layout, origin: Tensor, direction: Tensor) -> list[Tensor]:
    """t (F, K, R) of boxes, spheres, cylinders, polytopes and triangles, `NEVER` where missed."""
    shapes = {"box": _boxes, "sphere": _spheres, "cylinder": _cylinders}
    x, y, z = (c[:, None] for c in direction.unbind(1))
    distances = []
    for kind, part in _KINDS.items():
        affine = scene["affine"][:, part]
        offset = origin[:, None] - scene["center"][:, part]
        o = tuple((affine[..., i, :] * offset).sum(-1)[..., None] for i in range(3))
        rows = [affine[..., i, :, None].unbind(2) for i in range(3)]
        d = tuple(row[0] * x + row[1] * y + row[2] * z for row in rows)
        enter, leave = _polytopes(o, d, scene["planes"]) if kind == "polytope" else shapes[kind](o, d)
        distances.append(torch.where((enter < leave) & (enter > 0), enter, NEVER))
    return [*distances, _triangle_distances(scene, origin, direction)]


Triple = tuple[Tensor, ...]


def _safe(value: Tensor) -> Tensor:
    return torch.where(value.abs() < _TINY, _TINY, value)


def _slab(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    inverse = 1.0 / _safe(d)
    a, b = (-1.0 - o) * inverse, (1.0 - o) * inverse
    return torch.minimum(a, b), torch.maximum(a, b)


def _boxes(o: Triple, d: Triple) -> tuple[Tensor, Tensor]:
    enter, leave = _slab(o[0], d[0])
    for axis in (1, 2):
        a, b = _slab(o[axis], d[axis])
        enter, leave = torch.maximum(enter, a), torch.minimum(leave, b)
    return enter, leave


def _round(o: Triple, d: Triple) -> tuple[Tensor, Tensor]:
    """The unit circle or sphere, from the point of the ray closest to its middle (stable far away)."""
    square = sum((a * a for a in d[1:]), d[0] * d[0]).clamp(min=_TINY)
    middle = -sum((a * b for a, b in zip(o[1:], d[1:], strict=True)), o[0] * d[0]) / square
    closest = [a + middle * b for a, b in zip(o, d, strict=True)]
    inside = 1.0 - sum((c * c for c in closest[1:]), closest[0] * closest[0])
    reach = (inside.clamp(min=0.0) / square).sqrt()
    hit = inside > 0
    return torch.where(hit, middle - reach, NEVER), torch.where(hit, middle + reach, -NEVER)


def _spheres(o: Triple, d: Triple) -> tuple[Tensor, Tensor]:
    return _round(o, d)


def _cylinders(o: Triple, d: Triple) -> tuple[Tensor, Tensor]:
    side, cap = _round(o[:2], d[:2]), _slab(o[2], d[2])
    return torch.maximum(side[0], cap[0]), torch.minimum(side[1], cap[1])


def _polytopes(o: Triple, d: Triple, planes: Tensor) -> tuple[Tensor, Tensor]:
    enter, leave = torch.full_like(d[0], -NEVER), torch.full_like(d[0], NEVER)
    for plane in range(PLANES):
        n = planes[:, :, plane, :, None].unbind(2)
        speed = n[0] * d[0] + n[1] * d[1] + n[2] * d[2]
        room = 1.0 - (n[0] * o[0] + n[1] * o[1] + n[2] * o[2])
        t = room / _safe(speed)
        enter = torch.maximum(enter, torch.where(speed < 0, t, -NEVER))
        leave = torch.minimum(leave, torch.where(speed < 0, NEVER, t))
    return enter, leave


def _triangle_distances(scene: Layout, origin: Tensor, direction: Tensor) -> Tensor:
    """t (F, T, R): a ray passes a triangle where it lies on one side of the planes through origin and edges."""
    a, b, c = (scene["triangles"] - origin[:, None, None]).unbind(2)
    normal = torch.linalg.cross(b - a, c - a, dim=-1)
    height = (normal * a).sum(-1)[..., None]
    x, y, z = (component[:, None] for component in direction.unbind(1))

    def along(plane: Tensor) -> Tensor:
        return plane[..., 0, None] * x + plane[..., 1, None] * y + plane[..., 2, None] * z

    ab, bc, ca = (along(torch.linalg.cross(*edge, dim=-1)) for edge in ((a, b), (b, c), (c, a)))
    inside = torch.minimum(torch.minimum(ab, bc), ca) >= 0
    outside = torch.maximum(torch.maximum(ab, bc), ca) <= 0
    speed = along(normal)
    t = height / _safe(speed)
    # Closed meshes seen from outside: only faces that look at the origin can be first.
    return torch.where((inside | outside) & (t > 0) & (speed < 0), t, NEVER)


def _surroundings(scene: Layout, origin: Tensor, direction: Tensor, terrain: bool) -> tuple[Tensor, Tensor, Tensor]:
    """t (`NEVER` in the sky), material row and whether it is sky, (F, R) each: a room's inside, or ground and sky."""
    if terrain:
        t = terrain_distance(scene, origin, direction, far_limit(scene)[:, None].expand_as(direction[:, 0]))
        return t, torch.zeros_like(t, dtype=torch.int64), t >= NEVER
    half = scene["room"]
    middle = torch.stack([torch.zeros_like(half[:, 2]), torch.zeros_like(half[:, 2]), half[:, 2]], dim=-1)
    o, d = (origin - middle) / half, direction / half[..., None]
    exits = [_slab(o[:, a, None], d[:, a])[1] for a in range(3)]
    t = torch.minimum(torch.minimum(exits[0], exits[1]), exits[2])
    vertical = (exits[2] <= exits[0]) & (exits[2] <= exits[1])
    wall = torch.where(exits[0] < exits[1], 2, 3)
    face = torch.where(vertical, torch.where(direction[:, 2] < 0, 0, 1), wall)
    sky = (scene["outdoor"][:, None] > 0.5) & (face != 0)
    return torch.where(sky, NEVER, t), torch.where(sky, 0, face), sky


def terrain_distance(scene: Layout, origin: Tensor, direction: Tensor, limit: Tensor) -> Tensor:
    """t (F, R) where the ray goes under the ground, `NEVER` where it does not before `limit`: marched, bisected."""

    def clearance(t: Tensor) -> Tensor:
        x, y, z = (origin[..., None] + t[:, None] * direction).unbind(1)
        return z - terrain_height(scene["waves"], x, y)

    start = 0.002 * limit
    ratio = (limit / start) ** (1.0 / _STEPS)
    low = high = NEVER * torch.ones_like(limit)
    before = start
    for _ in range(_STEPS):
        after = before * ratio
        first = (clearance(after) < 0) & (high >= NEVER)
        low, high = torch.where(first, before, low), torch.where(first, after, high)
        before = after
    found = high < NEVER
    low, high = torch.where(found, low, start), torch.where(found, high, limit)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        under = clearance(middle) < 0
        low, high = torch.where(under, low, middle), torch.where(under, middle, high)
    return torch.where(found, 0.5 * (low + high), NEVER)


def _surroundings_normal(scene: Layout, point: Tensor, direction: Tensor, face: Tensor, terrain: bool) -> Tensor:
    if terrain:
        x, y, step = point[:, 0], point[:, 1], 1e-2
        waves = scene["waves"]
        slope_x = (terrain_height(waves, x + step, y) - terrain_height(waves, x - step, y)) / (2 * step)
        slope_y = (terrain_height(waves, x, y + step) - terrain_height(waves, x, y - step)) / (2 * step)
        return normalized(torch.stack([-slope_x, -slope_y, torch.ones_like(x)], dim=1))
    towards = -torch.sign(direction)
    return torch.stack(
        [
            torch.where(face == 2, towards[:, 0], 0.0),
            torch.where(face == 3, towards[:, 1], 0.0),
            torch.where(face <= 1, towards[:, 2], 0.0),
        ],
        dim=1,
    )


def _object_surface(scene: Layout, point: Tensor, body: Tensor, triangle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Local point (metres), local normal and world normal, (F, 3, R) each, of points on the surface of `body`."""
    half = pick(scene["half"], body)
    rows = [pick(scene["affine"][..., i, :], body) for i in range(3)]
    from_center = point - pick(scene["center"], body)
    q = torch.stack([dot(row, from_center) for row in rows], dim=1)
    unit = torch.where((body < _KINDS["sphere"].start)[:, None], _box_normal(q), q)
    unit = torch.where((body >= _KINDS["cylinder"].start)[:, None], _cylinder_normal(q), unit)
    polytope = _polytope_normal(scene["planes"], q, (body - _KINDS["polytope"].start).clamp(0, POLYTOPES - 1))
    unit = torch.where((body >= _KINDS["polytope"].start)[:, None], polytope, unit)
    # Normals go back through the transpose of the map; in metres along the body's own axes that is a division.
    local = normalized(unit / half)
    axes = [row * half[:, i, None] for i, row in enumerate(rows)]
    world = axes[0] * local[:, 0, None] + axes[1] * local[:, 1, None] + axes[2] * local[:, 2, None]
    a, b, c = scene["triangles"].unbind(2)
    rock = normalized(pick(torch.linalg.cross(b - a, c - a, dim=-1), triangle))
    rock_local = torch.stack([dot(axis, rock) for axis in axes], dim=1)
    is_mesh = (body >= _FIRST_MESH)[:, None]
    return q * half, torch.where(is_mesh, rock_local, local), torch.where(is_mesh, rock, world)


def _box_normal(q: Tensor) -> Tensor:
    x, y, z = q.abs().unbind(1)
    along_x, along_y = (x >= y) & (x >= z), (y > x) & (y >= z)
    return torch.where(torch.stack([along_x, along_y, ~along_x & ~along_y], dim=1), torch.sign(q), 0.0)


def _cylinder_normal(q: Tensor) -> Tensor:
    x, y, z = q.unbind(1)
    lid, zero = z.square() > x.square() + y.square(), torch.zeros_like(x)
    return torch.stack([torch.where(lid, zero, x), torch.where(lid, zero, y), torch.where(lid, torch.sign(z), zero)], 1)


def _polytope_normal(planes: Tensor, q: Tensor, which: Tensor) -> Tensor:
    """The plane that passes through q: the one with the largest n · q."""
    best, normal = torch.full_like(q[:, 0], -NEVER), torch.zeros_like(q)
    for plane in range(PLANES):
        candidate = pick(planes[:, :, plane], which)
        height = dot(candidate, q)
        normal = torch.where((height > best)[:, None], candidate, normal)
        best = torch.maximum(best, height)
    return normal
