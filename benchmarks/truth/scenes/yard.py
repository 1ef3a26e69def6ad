"""A builder's yard between houses: walls, crates, barrels, rocks, posts and trees, 4 to 40 m away.

The open ground is about the origin; the camera looks along +y.
"""

from __future__ import annotations

import bpy
import numpy as np

from .. import props
from ..materials import surface

Materials = dict[str, bpy.types.Material]


def build(seed: int) -> None:
    """Fill the empty file."""
    rng = np.random.default_rng(seed)
    palette = materials(seed)
    ground = palette["earth"]
    props.place("ground", lambda form: props.box((80, 80, 0.2))(form), ground, (0, 18, -0.2))
    houses(palette, rng)
    clutter(palette, rng)
    trees(palette, rng)
    props.sky(1.1)
    props.sun(4.2, (0.55, 0.75, -0.8))


def materials(seed: int) -> Materials:
    brick = [(0.62, 0.3, 0.22), (0.7, 0.4, 0.28), (0.5, 0.25, 0.2), (0.72, 0.5, 0.38)]
    wood = [(0.62, 0.45, 0.28), (0.5, 0.34, 0.2), (0.7, 0.56, 0.38), (0.42, 0.36, 0.3)]
    bright = [(0.85, 0.8, 0.7), (0.8, 0.25, 0.18), (0.15, 0.35, 0.55), (0.9, 0.7, 0.2), (0.15, 0.15, 0.18)]
    return {
        "earth": surface("earth", seed, [(0.3, 0.25, 0.2), (0.55, 0.47, 0.38), (0.72, 0.66, 0.56)], 5.0),
        "brick": surface("bricks", seed + 1, brick, 3.2),
        "plaster": surface("plaster", seed + 2, [(0.6, 0.55, 0.45), (0.8, 0.74, 0.62), (0.9, 0.86, 0.78)], 4.0),
        "stone": surface("stones", seed + 3, [(0.6, 0.57, 0.52), (0.48, 0.45, 0.42), (0.7, 0.66, 0.6)], 3.0),
        "wood": surface("planks", seed + 4, wood, 1.6),
        "poster": surface("poster", seed + 5, bright, 2.3),
        "leaf": surface("stones", seed + 6, [(0.2, 0.33, 0.12), (0.32, 0.45, 0.18), (0.45, 0.52, 0.22)], 2.0),
        "rust": surface("plaster", seed + 7, [(0.35, 0.2, 0.14), (0.55, 0.33, 0.2), (0.4, 0.42, 0.45)], 1.7),
    }


def houses(palette: Materials, rng: np.random.Generator) -> None:
    walls = [palette[name] for name in ("brick", "plaster", "stone", "plaster", "brick")]
    for k, x in enumerate((-17.0, -8.5, 0.5, 9.5, 18.0)):
        depth, height = rng.uniform(5, 8), rng.uniform(5, 8.5)
        y = 21 + rng.uniform(-2, 4)
        turn = (0, 0, float(rng.uniform(-9, 9)))
        props.place(f"house{k}", props.box((8.0, depth, height)), walls[k], (x, y, 0), turn)
        props.place(f"roof{k}", props.gable(8.0, depth, 2.4), palette["stone"], (x, y, height), turn)
        for window in range(6):
            at = (x - 2.6 + 2.6 * (window % 3), y - depth / 2 - 0.05, 1.2 + 2.4 * (window // 3))
            props.place(f"shutter{k}.{window}", props.box((1.1, 0.2, 1.4)), palette["wood"], at, turn)
    for k, x in enumerate((-11.0, 11.5)):
        turn = (0, 0, 62 if x < 0 else -58)
        props.place(f"side{k}", props.box((14, 0.5, 3.2)), palette["stone" if k else "brick"], (x, 11, 0), turn)
    for k in range(5):
        at = (-9 + 4.5 * k + rng.uniform(-1, 1), 16.5 + rng.uniform(-0.8, 0.8), 0)
        props.place(f"hoarding{k}", props.box((3.2, 0.12, 2.2)), palette["poster"], at, (0, 0, rng.uniform(-20, 20)))


def clutter(palette: Materials, rng: np.random.Generator) -> None:
    """Crates, barrels, posts and rocks on the ground, none standing in another."""
    taken: list[tuple[float, float, float]] = []
    for k in range(72):
        kind = ("crate", "barrel", "rock", "post")[k % 4]
        size = float(rng.uniform(0.35, 1.1)) * (1.0 if k < 40 else 1.35)
        for _ in range(40):
            x, y = float(rng.uniform(-9, 9)), float(rng.uniform(4.6, 16))
            if all(np.hypot(x - a, y - b) > 0.75 * (size + c) for a, b, c in taken):
                break
        else:
            continue
        taken.append((x, y, size))
        turn = (0, 0, float(rng.uniform(0, 90)))
        if kind == "crate":
            form, name = props.box((size, size * rng.uniform(0.7, 1.2), size * rng.uniform(0.6, 1.3)), 0.015), "wood"
            if k % 8 == 0:
                name = "poster"
        elif kind == "barrel":
            r, h = size * 0.4, size * 1.1
            form, name = props.lathe([(r, 0), (1.15 * r, h / 2), (r, h), (0.9 * r, h), (0.85 * r, 0.9 * h)]), "rust"
        elif kind == "rock":
            form, name = props.rock(size * 0.6, int(rng.integers(1000))), "stone"
        else:
            form, name = props.column(0.09, 1.2 + 1.6 * size), "plaster" if k % 8 == 3 else "rust"
        props.place(f"{kind}{k}", form, palette[name], (x, y, 0), turn, smooth=kind in ("barrel", "rock", "post"))


def trees(palette: Materials, rng: np.random.Generator) -> None:
    for k, (x, y) in enumerate(((-7.5, 12.5), (7.2, 14.0), (-13.0, 16.0), (13.5, 10.0), (3.0, 17.5))):
        height = float(rng.uniform(2.6, 3.6))
        props.place(f"trunk{k}", props.column(0.22, height, 0.14), palette["wood"], (x, y, 0), smooth=True)
        for leaf in range(5):
            at = (x + rng.normal(0, 0.7), y + rng.normal(0, 0.7), height + rng.uniform(-0.2, 1.4))
            form = props.rock(float(rng.uniform(0.7, 1.2)), int(rng.integers(1000)), 0.7, 0.85)
            props.place(f"crown{k}.{leaf}", form, palette["leaf"], at)
