"""A furnished room, 7 x 8 m, open behind the camera; textured, or painted almost plain for the low-texture shot.

The floor is z = 0, the far wall y = 8; the camera stands about (0, 1, 1.6) and looks along +y.
"""

from __future__ import annotations

import bpy
import numpy as np

from .. import props
from ..materials import surface

Materials = dict[str, bpy.types.Material]


def build(seed: int) -> None:
    """The textured room."""
    furnish(materials(seed), np.random.default_rng(seed), clutter=46)


def build_plain(seed: int) -> None:
    """The same room in plain paint, with few things in it."""
    palette = materials(seed)
    plain = {
        "wall": surface("paint", seed + 20, [(0.6, 0.62, 0.6), (0.82, 0.83, 0.8)], 4.0),
        "floor": surface("paint", seed + 21, [(0.35, 0.32, 0.3), (0.6, 0.56, 0.5)], 4.0),
        "ceiling": surface("paint", seed + 22, [(0.8, 0.8, 0.8), (0.95, 0.95, 0.95)], 4.0),
        "plain": surface("paint", seed + 23, [(0.3, 0.36, 0.4), (0.55, 0.6, 0.65)], 2.0),
    }
    furnish({name: plain.get(name, plain["plain"]) for name in palette}, np.random.default_rng(seed), clutter=12)


def materials(seed: int) -> Materials:
    cover = [(0.75, 0.7, 0.6), (0.55, 0.15, 0.15), (0.12, 0.25, 0.4), (0.2, 0.4, 0.25), (0.85, 0.65, 0.25)]
    dark_wood = [(0.4, 0.25, 0.15), (0.5, 0.32, 0.2), (0.6, 0.42, 0.26)]
    return {
        "wall": surface("plaster", seed, [(0.5, 0.52, 0.48), (0.7, 0.7, 0.62), (0.82, 0.8, 0.72)], 3.1),
        "floor": surface("planks", seed + 1, [(0.5, 0.35, 0.22), (0.62, 0.45, 0.28), (0.44, 0.3, 0.2)], 2.2),
        "ceiling": surface("plaster", seed + 2, [(0.7, 0.68, 0.64), (0.86, 0.85, 0.82)], 3.7),
        "wood": surface("planks", seed + 3, dark_wood, 1.1),
        "rug": surface("poster", seed + 4, cover, 2.1),
        "cloth": surface("poster", seed + 5, [cover[2], cover[0], cover[4], (0.3, 0.45, 0.6)], 0.9),
        "books": surface("poster", seed + 6, cover, 0.7),
        "pot": surface("stones", seed + 7, [(0.65, 0.35, 0.25), (0.7, 0.5, 0.35), (0.35, 0.4, 0.45)], 0.8),
        "brick": surface("bricks", seed + 8, [(0.6, 0.32, 0.25), (0.5, 0.28, 0.22), (0.7, 0.45, 0.34)], 2.0),
    }


def furnish(palette: Materials, rng: np.random.Generator, clutter: int) -> None:
    shell(palette)
    furniture(palette)
    for k in range(clutter):
        small_thing(k, palette, rng)
    props.sky(1.0, (0.9, 0.95, 1.0))
    props.lamp((-1.3, 4.2, 2.85), 1.2, 300.0)
    props.lamp((1.6, 6.4, 2.85), 0.9, 180.0, (0.85, 0.92, 1.0))


def shell(palette: Materials) -> None:
    props.place("floor", props.box((7, 10, 0.1)), palette["floor"], (0, 3, -0.1))
    props.place("ceiling", props.box((7, 10, 0.1)), palette["ceiling"], (0, 3, 3.0))
    props.place("far", props.box((7, 0.1, 3)), palette["brick"], (0, 8, 0))
    for side in (-1, 1):
        props.place(f"wall{side}", props.box((0.1, 10, 3)), palette["wall"], (3.5 * side, 3, 0))
    props.place("rug", props.box((3.0, 2.4, 0.02)), palette["rug"], (0.2, 4.6, 0.0), (0, 0, 12))


def furniture(palette: Materials) -> None:
    wood, cloth = palette["wood"], palette["cloth"]
    props.place("table", props.box((1.8, 1.0, 0.06), 0.01), wood, (0.3, 4.6, 0.72), (0, 0, 12))
    for k, (x, y) in enumerate(((-0.45, 4.1), (1.15, 4.45), (-0.6, 4.8), (1.0, 5.12))):
        props.place(f"leg{k}", props.column(0.04, 0.72), wood, (x, y, 0), smooth=True)
    props.place("sofa.seat", props.box((2.2, 0.9, 0.45), 0.04), cloth, (-2.2, 6.6, 0), (0, 0, 35))
    props.place("sofa.back", props.box((2.2, 0.25, 0.9), 0.04), cloth, (-2.5, 7.0, 0), (0, 0, 35))
    for level in range(5):
        props.place(f"shelf{level}", props.box((2.4, 0.4, 0.04)), wood, (1.9, 7.7, 0.25 + 0.52 * level))
    for side in (0.72, 3.08):
        props.place(f"upright{side}", props.box((0.05, 0.4, 2.5)), wood, (side, 7.7, 0))
    for k, (x, y, turn) in enumerate(((-0.9, 3.6, 30.0), (1.7, 3.9, -40.0), (2.6, 2.6, 10.0))):
        props.place(f"stool{k}", props.column(0.24, 0.06), cloth, (x, y, 0.46), (0, 0, turn))
        props.place(f"stem{k}", props.column(0.05, 0.46), wood, (x, y, 0), smooth=True)
    for k, (x, y, z) in enumerate(((-3.42, 3.0, 1.4), (-3.42, 5.2, 1.3), (3.42, 4.0, 1.3), (3.42, 6.2, 1.5))):
        props.place(f"picture{k}", props.box((0.06, 1.3, 1.0)), palette["rug"], (x, y, z))
    props.place("chest", props.box((0.9, 0.6, 0.7), 0.02), wood, (-2.7, 3.7, 0), (0, 0, 80))
    props.place("column", props.box((0.35, 0.35, 3.0)), palette["brick"], (-1.1, 6.0, 0), (0, 0, 20))


def small_thing(k: int, palette: Materials, rng: np.random.Generator) -> None:
    """Books on the shelves, pots and boxes on the table, the chest and the floor."""
    if k % 2 == 0:
        level, slot = (k // 2) % 4, (k // 8) % 6
        height = float(rng.uniform(0.22, 0.42))
        size = (float(rng.uniform(0.1, 0.3)), 0.28, height)
        at = (0.98 + 0.36 * slot + rng.uniform(-0.03, 0.03), 7.62, 0.29 + 0.52 * level)
        props.place(f"book{k}", props.box(size), palette["books"], at)
        return
    r = float(rng.uniform(0.06, 0.16))
    where = k // 2 % 3
    if where == 0:
        at = (0.3 + rng.uniform(-0.7, 0.7), 4.6 + rng.uniform(-0.3, 0.3), 0.78)
    elif where == 1:
        at = (float(rng.uniform(-2.2, 2.6)), float(rng.uniform(3.2, 7.0)), 0.02)
        r *= 1.6
    else:
        at = (-2.7 + rng.uniform(-0.15, 0.15), 3.7 + rng.uniform(-0.25, 0.25), 0.7)
    profile = [(0.6 * r, 0), (r, 0.8 * r), (1.1 * r, 1.5 * r), (0.5 * r, 2.6 * r), (0.65 * r, 2.9 * r)]
    if k % 4 == 1:
        props.place(f"pot{k}", props.lathe(profile), palette["pot"], at, smooth=True)
    else:
        props.place(f"box{k}", props.box((2 * r, 1.5 * r, 1.6 * r)), palette["books"], at, (0, 0, rng.uniform(0, 90)))
