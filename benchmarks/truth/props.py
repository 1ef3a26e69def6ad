"""Things to put into a scene. Meshes carry their real size (no object scale), so that textures keep their metres."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import bmesh
import bpy
import numpy as np
from mathutils import Matrix, Vector, noise

from .materials import background

Vector3 = Sequence[float]


def place(
    name: str,
    make: Callable[[bmesh.types.BMesh], None],
    material: bpy.types.Material,
    location: Vector3,
    turn_degrees: Vector3 = (0, 0, 0),
    *,
    smooth: bool = False,
) -> bpy.types.Object:
    """A mesh made by `make`, linked into the scene."""
    mesh = bpy.data.meshes.new(name)
    form = bmesh.new()
    make(form)
    bmesh.ops.recalc_face_normals(form, faces=form.faces)
    for face in form.faces:
        face.smooth = smooth
    form.to_mesh(mesh)
    form.free()
    mesh.materials.append(material)
    thing = bpy.data.objects.new(name, mesh)
    thing.location = location
    thing.rotation_euler = [np.radians(float(angle)) for angle in turn_degrees]
    bpy.context.scene.collection.objects.link(thing)
    return thing


def box(size: Vector3, bevel: float = 0.0) -> Callable[[bmesh.types.BMesh], None]:
    """A box of `size` metres that stands on its origin."""

    def make(form: bmesh.types.BMesh) -> None:
        turn = Matrix.Diagonal((*size, 1.0))
        bmesh.ops.create_cube(form, size=1.0, matrix=Matrix.Translation((0, 0, size[2] / 2)) @ turn)
        if bevel:
            bmesh.ops.bevel(form, geom=form.edges[:], offset=bevel, segments=2, affect="EDGES", profile=0.5)

    return make


def column(radius: float, height: float, top_radius: float | None = None, sides: int = 32) -> Callable:
    """A cylinder or a frustum that stands on its origin."""

    def make(form: bmesh.types.BMesh) -> None:
        bmesh.ops.create_cone(
            form,
            cap_ends=True,
            segments=sides,
            radius1=radius,
            radius2=radius if top_radius is None else top_radius,
            depth=height,
            matrix=Matrix.Translation((0, 0, height / 2)),
        )

    return make


def lathe(profile: Sequence[tuple[float, float]], sides: int = 40) -> Callable:
    """A pot: (radius, height) pairs from the bottom to the top, turned about z."""

    def make(form: bmesh.types.BMesh) -> None:
        rings = []
        for radius, height in profile:
            angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
            rings.append([form.verts.new((radius * np.cos(a), radius * np.sin(a), height)) for a in angles])
        for low, high in pairwise(rings):
            for k in range(sides):
                form.faces.new((low[k], low[(k + 1) % sides], high[(k + 1) % sides], high[k]))
        form.faces.new(rings[0][::-1])

    return make


def rock(radius: float, seed: int, roughness: float = 0.35, squash: float = 0.75, detail: int = 4) -> Callable:
    """A boulder, or with more roughness the crown of a tree, centred on its origin."""

    def make(form: bmesh.types.BMesh) -> None:
        bmesh.ops.create_icosphere(form, subdivisions=detail, radius=1.0)
        shift = Vector((seed * 7.13, seed * 3.77, seed * 5.31))
        for vertex in form.verts:
            swell = noise.fractal(vertex.co * 1.3 + shift, 0.9, 2.1, 4)
            vertex.co *= radius * (1 + roughness * swell)
            vertex.co.z *= squash

    return make


def gable(width: float, length: float, height: float, eaves: float = 0.3) -> Callable:
    """A pitched roof along y whose base lies at its origin."""

    def make(form: bmesh.types.BMesh) -> None:
        x, y = width / 2 + eaves, length / 2 + eaves
        base = [form.verts.new((sx * x, sy * y, 0)) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        ridge = [form.verts.new((0, sy * y, height)) for sy in (-1, 1)]
        a, b, c, d = base
        form.faces.new((a, d, c, b))
        form.faces.new((a, b, ridge[0]))
        form.faces.new((c, d, ridge[1]))
        form.faces.new((b, c, ridge[1], ridge[0]))
        form.faces.new((d, a, ridge[0], ridge[1]))

    return make


def arch(width: float, height: float, opening: tuple[float, float], depth: float, sides: int = 16) -> Callable:
    """A wall in the xz plane, `depth` thick, pierced by a round-arched `opening` (width, height at the crown)."""

    def make(form: bmesh.types.BMesh) -> None:
        span, crown = opening
        spring = crown - span / 2
        angles = np.linspace(np.pi, 0, sides + 1)
        curve = [(-span / 2, 0.0)] + [(span / 2 * np.cos(a), spring + span / 2 * np.sin(a)) for a in angles]
        curve += [(span / 2, 0.0)]
        outer = [(-width / 2, 0.0)] + [(-width / 2 + width * k / sides, height) for k in range(sides + 1)]
        outer += [(width / 2, 0.0)]
        front = [[form.verts.new((x, -depth / 2, z)) for x, z in line] for line in (curve, outer)]
        back = [[form.verts.new((x, depth / 2, z)) for x, z in line] for line in (curve, outer)]
        for k in range(len(curve) - 1):
            form.faces.new((front[0][k], front[0][k + 1], front[1][k + 1], front[1][k]))
            form.faces.new((back[0][k], back[1][k], back[1][k + 1], back[0][k + 1]))
            form.faces.new((front[0][k], back[0][k], back[0][k + 1], front[0][k + 1]))
            form.faces.new((front[1][k], front[1][k + 1], back[1][k + 1], back[1][k]))

    return make


def statue(seed: int) -> Callable:
    """A weathered head (Blender's Suzanne), about 1.3 m high, centred on its origin."""

    def make(form: bmesh.types.BMesh) -> None:
        bmesh.ops.create_monkey(form, matrix=Matrix.Scale(0.65, 4))
        bmesh.ops.subdivide_edges(form, edges=form.edges[:], cuts=2, use_grid_fill=True, smooth=0.6)
        shift = Vector((seed, 0, 0))
        for vertex in form.verts:
            vertex.co += 0.02 * Vector(noise.noise_vector(vertex.co * 6 + shift))

    return make


def sheet(width: float, length: float, sag: float, waves: int = 5, depth: float = 0.05) -> Callable:
    """Cloth in the xy plane about its origin, hanging through by `sag` along y and rippled along x."""

    def make(form: bmesh.types.BMesh) -> None:
        nx, ny = 40, 16
        grid = []
        for j in range(ny + 1):
            v = j / ny
            row = []
            for i in range(nx + 1):
                u = i / nx
                z = -sag * 4 * v * (1 - v) + depth * np.sin(2 * np.pi * waves * u) * (0.3 + v)
                row.append(form.verts.new(((u - 0.5) * width, (v - 0.5) * length, z)))
            grid.append(row)
        for j in range(ny):
            for i in range(nx):
                form.faces.new((grid[j][i], grid[j][i + 1], grid[j + 1][i + 1], grid[j + 1][i]))

    return make


def leaves(size: Vector3, leaf: float, count: int, seed: int) -> Callable:
    """`count` small leaves scattered in an ellipsoid of `size` metres about the origin, denser outside."""

    def make(form: bmesh.types.BMesh) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(count):
            direction = rng.standard_normal(3)
            direction /= np.linalg.norm(direction)
            at = direction * rng.uniform(0.55, 1.0) * np.asarray(size) / 2
            across, along = np.linalg.qr(rng.standard_normal((3, 2)))[0].T
            extent = leaf * rng.uniform(0.6, 1.3)
            corners = [
                at + extent * (a * across + 1.6 * b * along) for a, b in ((-0.5, 0), (0, -0.5), (0.5, 0), (0, 0.5))
            ]
            form.faces.new([form.verts.new(corner) for corner in corners])

    return make


def heap(ball: float, count: int, spread: Vector3, seed: int) -> Callable:
    """Fruit of radius `ball` piled up over `spread` (x, y) metres, lying on the origin."""

    def make(form: bmesh.types.BMesh) -> None:
        rng = np.random.default_rng(seed)
        for k in range(count):
            layer = 0 if k < 0.6 * count else 1
            x, y = (float(rng.uniform(-0.5, 0.5)) * extent * (1 - 0.45 * layer) for extent in spread[:2])
            centre = Matrix.Translation((x, y, ball * (0.9 + 1.3 * layer) + rng.uniform(-0.2, 0.2) * ball))
            bmesh.ops.create_uvsphere(
                form, u_segments=16, v_segments=10, radius=ball * rng.uniform(0.85, 1.1), matrix=centre
            )

    return make


def sky(strength: float, color: Vector3 = (0.75, 0.85, 1.0)) -> None:
    """An even sky."""
    bpy.context.scene.world = background("sky", strength, color)


def sun(strength: float, direction: Vector3, color: Vector3 = (1.0, 0.93, 0.82), softness_degrees: float = 1.5) -> None:
    """Sunlight that travels along `direction`."""
    light = bpy.data.lights.new("sun", "SUN")
    light.energy = strength
    light.color = color
    light.angle = np.radians(softness_degrees)
    lamp = bpy.data.objects.new("sun", light)
    lamp.rotation_mode = "QUATERNION"
    lamp.rotation_quaternion = Vector(direction).to_track_quat("-Z", "Y")
    bpy.context.scene.collection.objects.link(lamp)


def lamp(location: Vector3, size: float, power: float, color: Vector3 = (1.0, 0.9, 0.78)) -> None:
    """A square lamp that shines down."""
    light = bpy.data.lights.new("lamp", "AREA")
    light.energy, light.size, light.color = power, size, color
    thing = bpy.data.objects.new("lamp", light)
    thing.location = location
    bpy.context.scene.collection.objects.link(thing)
