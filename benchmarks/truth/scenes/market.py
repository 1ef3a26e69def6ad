"""What stands in the courtyard: a stall with fruit under an awning, a fountain, jars, barrels and plants."""

from __future__ import annotations

import bpy
import numpy as np

from .. import props

Materials = dict[str, bpy.types.Material]

AMPHORA = ((0.1, 0.0), (0.24, 0.28), (0.29, 0.52), (0.22, 0.78), (0.1, 0.92), (0.1, 1.02), (0.15, 1.08))
JAR = ((0.16, 0.0), (0.28, 0.2), (0.3, 0.38), (0.2, 0.56), (0.22, 0.62))
BOWL = ((0.1, 0.0), (0.2, 0.08), (0.26, 0.2), (0.24, 0.2))
BARREL = ((0.28, 0.0), (0.35, 0.25), (0.36, 0.45), (0.34, 0.7), (0.28, 0.9), (0.25, 0.9), (0.25, 0.84))


def fill(palette: Materials, rng: np.random.Generator) -> None:
    """Everything between the walls."""
    stall(palette)
    fountain(palette)
    jars(palette, rng)
    foreground(palette)
    laundry(palette)


def turned(profile: tuple[tuple[float, float], ...], scale: float) -> list[tuple[float, float]]:
    """The profile of a pot, `scale` times as large."""
    return [(scale * radius, scale * height) for radius, height in profile]


def stall(palette: Materials) -> None:
    """A counter along the left house with an awning on poles."""
    wood = palette["wood"]
    props.place("counter", props.box((1.0, 3.2, 0.08), 0.01), wood, (-3.5, 6.2, 0.85))
    props.place("counter.front", props.box((0.06, 3.1, 0.75)), palette["linen"], (-3.02, 6.2, 0.1))
    props.place("counter.side", props.box((0.9, 0.06, 0.75)), wood, (-3.5, 4.66, 0.1))
    for k, (x, y) in enumerate(((-2.7, 4.5), (-2.7, 7.9))):
        props.place(f"pole{k}", props.column(0.045, 2.5), wood, (x, y, 0), smooth=True)
    cloth = props.sheet(3.9, 2.4, 0.16, 6, 0.035)
    props.place("awning", cloth, palette["awning"], (-3.75, 6.2, 2.62), (14, 0, 90), smooth=True)
    props.place(
        "valance", props.sheet(3.9, 0.32, 0.0, 9, 0.03), palette["awning"], (-2.58, 6.2, 2.19), (90, 0, 90), smooth=True
    )
    fruit = ("orange", "lemon", "pomegranate", "leaf", "orange", "lemon")
    for k, name in enumerate(fruit):
        at = (-3.3 - 0.42 * (k % 2), 4.95 + 0.5 * k, 0.93)
        props.place(f"tray{k}", props.box((0.42, 0.46, 0.1), 0.005), wood, at, (0, 0, 4 * (k % 3) - 4))
        radius = 0.045 if name != "lemon" else 0.036
        pile = props.heap(radius, 34, (0.34, 0.38), k)
        props.place(f"fruit{k}", pile, palette[name], (at[0], at[1], 1.02), smooth=True)
    for k, (x, y, turn) in enumerate(((-2.5, 5.0, 8.0), (-2.45, 5.75, -14.0), (-2.55, 7.2, 20.0))):
        props.place(f"crate{k}", props.box((0.5, 0.62, 0.36), 0.008), wood, (x, y, 0), (0, 0, turn))
        pile = props.heap(0.05, 40, (0.4, 0.5), 20 + k)
        props.place(f"crate.fruit{k}", pile, palette[fruit[k]], (x, y, 0.33), (0, 0, turn), smooth=True)


def fountain(palette: Materials) -> None:
    """An eight-sided basin with a bowl on a shaft."""
    x, y = 1.3, 7.4
    props.place("basin.step", props.column(1.45, 0.16, 1.4, 8), palette["ashlar"], (x, y, 0), (0, 0, 10))
    wall = [(1.15, 0.16), (1.15, 0.62), (1.22, 0.66), (1.22, 0.74), (1.0, 0.74), (0.98, 0.5), (0.05, 0.48)]
    props.place("basin", props.lathe(wall, 8), palette["trim"], (x, y, 0), (0, 0, 10))
    shaft = [(0.26, 0.48), (0.16, 0.62), (0.13, 1.1), (0.19, 1.3), (0.52, 1.42), (0.56, 1.5), (0.5, 1.5), (0.1, 1.46)]
    props.place("shaft", props.lathe(shaft), palette["trim"], (x, y, 0), smooth=True)
    finial = [(0.1, 1.46), (0.08, 1.72), (0.16, 1.84), (0.1, 1.98), (0.01, 2.08)]
    props.place("finial", props.lathe(finial), palette["clay"], (x, y, 0), smooth=True)


def jars(palette: Materials, rng: np.random.Generator) -> None:
    """Jars and barrels along the walls, plants in some of them."""
    skins = (palette["clay"], palette["glaze"], palette["clay"], palette["trim"])
    places = [
        (-1.9, 9.9, 1.0, AMPHORA), (-1.25, 10.2, 0.85, JAR), (-3.6, 10.0, 1.15, JAR), (-4.4, 10.2, 1.0, AMPHORA),
        (3.0, 10.0, 1.15, AMPHORA), (3.55, 9.5, 0.9, JAR), (3.9, 10.1, 1.1, AMPHORA), (4.0, 6.0, 1.2, JAR),
        (3.5, 5.6, 0.75, JAR), (4.75, 4.9, 1.25, AMPHORA), (4.2, 4.5, 0.8, BOWL), (-0.6, 8.9, 0.9, JAR),
    ]  # fmt: skip
    for k, (x, y, scale, profile) in enumerate(places):
        props.place(f"jar{k}", props.lathe(turned(profile, scale)), skins[k % 4], (x, y, 0), smooth=True)
        if profile is JAR:
            bush = props.leaves((0.75 * scale, 0.75 * scale, 0.8 * scale), 0.07, 380, k)
            props.place(f"bush{k}", bush, palette["leaf"], (x, y, 0.92 * scale))
    for k, (x, y) in enumerate(((4.6, 3.4), (4.9, 2.6), (-4.6, 3.2), (-4.0, 2.5))):
        props.place(
            f"barrel{k}", props.lathe(BARREL), palette["wood"], (x, y, 0), (0, 0, rng.uniform(0, 90)), smooth=True
        )
    props.place("barrel.top", props.heap(0.05, 40, (0.36, 0.36), 77), palette["orange"], (4.6, 3.4, 0.8), smooth=True)
    props.place("ladder.a", props.box((0.06, 0.06, 3.4)), palette["wood"], (-0.95, 10.05, 0), (-13, 0, 0))
    props.place("ladder.b", props.box((0.06, 0.06, 3.4)), palette["wood"], (-0.45, 10.05, 0), (-13, 0, 0))
    for k in range(9):
        z = 0.35 + 0.35 * k
        props.place(f"rung{k}", props.box((0.5, 0.05, 0.05)), palette["wood"], (-0.7, 10.05 + 0.23 * z, z))
    props.place("mat", props.box((1.7, 2.3, 0.02)), palette["rug"], (-0.9, 5.0, 0.0), (0, 0, 24))


def foreground(palette: Materials) -> None:
    """Close to the camera: a pillar at the right, a bench with bowls and fruit at the left."""
    props.place("pillar.base", props.box((0.62, 0.62, 0.35), 0.02), palette["ashlar"], (2.55, 3.0, 0))
    props.place("pillar", props.column(0.22, 2.9, 0.19, 40), palette["trim"], (2.55, 3.0, 0.35), smooth=True)
    props.place("capital", props.box((0.6, 0.6, 0.22), 0.04), palette["ashlar"], (2.55, 3.0, 3.25))
    props.place("beam", props.box((3.6, 0.24, 0.26), 0.01), palette["wood"], (4.2, 3.0, 3.47))
    props.place("bench", props.box((1.3, 0.5, 0.07), 0.01), palette["wood"], (-1.75, 3.0, 0.48), (0, 0, 12))
    for k, dx in enumerate((-0.5, 0.5)):
        props.place(
            f"bench.leg{k}", props.box((0.08, 0.4, 0.48)), palette["wood"], (-1.75 + dx, 3.0 + 0.21 * dx, 0), (0, 0, 12)
        )
    props.place("bench.jar", props.lathe(turned(JAR, 0.6)), palette["glaze"], (-2.1, 2.95, 0.55), smooth=True)
    props.place("bench.bowl", props.lathe(turned(BOWL, 1.0)), palette["clay"], (-1.5, 3.05, 0.55), smooth=True)
    props.place(
        "bench.fruit", props.heap(0.045, 26, (0.3, 0.3), 9), palette["pomegranate"], (-1.5, 3.05, 0.66), smooth=True
    )
    props.place("floor.jar", props.lathe(turned(AMPHORA, 0.85)), palette["clay"], (-0.95, 3.3, 0), smooth=True)
    crate = props.box((0.6, 0.45, 0.34), 0.01)
    props.place("near.crate", crate, palette["wood"], (1.75, 3.9, 0), (0, 0, -18))
    props.place(
        "near.fruit",
        props.heap(0.05, 46, (0.5, 0.36), 31),
        palette["lemon"],
        (1.75, 3.9, 0.3),
        (0, 0, -18),
        smooth=True,
    )


def laundry(palette: Materials) -> None:
    """Cloth on a line across the court."""
    props.place("line", props.column(0.008, 11.0), palette["dark"], (-5.2, 8.6, 4.45), (0, 89, 4))
    for k, (x, name) in enumerate(((-2.2, "linen"), (-0.9, "rug"), (2.6, "awning"), (3.6, "linen"))):
        drape = props.sheet(0.95, 1.2, 0.0, 2, 0.04)
        props.place(
            f"cloth{k}", drape, palette[name], (x, 8.85 + 0.07 * (x + 2), 3.95), (84, 0, 6 * k - 8), smooth=True
        )
