"""The sample's place: a small southern market court in low sun, 12 x 12 m, with an archway to the street beyond.

The camera stands about (0, -1, 1.6) and looks along +y.
"""

from __future__ import annotations

import bpy
import numpy as np

from .. import props
from ..materials import surface
from . import market

Materials = dict[str, bpy.types.Material]


def build(seed: int) -> None:
    """Fill the empty file."""
    rng = np.random.default_rng(seed)
    palette = materials(seed)
    props.place("paving", props.box((13, 18, 0.2)), palette["paving"], (0.2, 4, -0.2))
    back_wall(palette)
    left_house(palette)
    right_wall(palette)
    street(palette)
    market.fill(palette, rng)
    props.sky(1.15, (0.66, 0.8, 1.0))
    props.sun(8.0, (-0.62, 0.62, -0.62), (1.0, 0.84, 0.62), 1.0)


def materials(seed: int) -> Materials:
    ochre = [(0.6, 0.42, 0.24), (0.78, 0.58, 0.36), (0.86, 0.7, 0.48)]
    rose = [(0.62, 0.4, 0.3), (0.76, 0.54, 0.42), (0.84, 0.66, 0.54)]
    sand = [(0.74, 0.66, 0.52), (0.6, 0.52, 0.4), (0.82, 0.75, 0.62), (0.68, 0.57, 0.43)]
    blue = [(0.12, 0.32, 0.42), (0.18, 0.42, 0.5), (0.1, 0.26, 0.36)]
    rug = [(0.5, 0.1, 0.1), (0.75, 0.6, 0.35), (0.12, 0.2, 0.35), (0.7, 0.35, 0.15), (0.85, 0.78, 0.62)]
    return {
        "paving": surface("stones", seed, [(0.6, 0.53, 0.43), (0.5, 0.43, 0.35), (0.68, 0.6, 0.5)], 6.3, relief=0.03),
        "ochre": surface("plaster", seed + 1, ochre, 4.7, relief=0.02),
        "rose": surface("plaster", seed + 2, rose, 5.1, relief=0.02),
        "ashlar": surface("bricks", seed + 3, sand, 6.0, relief=0.03),
        "trim": surface(
            "plaster", seed + 4, [(0.7, 0.64, 0.52), (0.82, 0.77, 0.66), (0.9, 0.86, 0.76)], 1.9, relief=0.01
        ),
        "blue": surface("planks", seed + 5, blue, 1.3, relief=0.01),
        "wood": surface(
            "planks", seed + 6, [(0.48, 0.32, 0.18), (0.58, 0.42, 0.26), (0.4, 0.28, 0.18)], 1.2, relief=0.01
        ),
        "clay": surface(
            "plaster", seed + 7, [(0.55, 0.26, 0.14), (0.7, 0.38, 0.22), (0.78, 0.48, 0.3)], 0.9, relief=0.006
        ),
        "glaze": surface(
            "stones", seed + 8, [(0.1, 0.35, 0.4), (0.15, 0.45, 0.42), (0.7, 0.62, 0.45)], 0.8, roughness=0.45
        ),
        "awning": surface("stripes", seed + 9, [(0.72, 0.16, 0.1), (0.88, 0.82, 0.68)], 1.9),
        "linen": surface("stripes", seed + 10, [(0.16, 0.3, 0.42), (0.82, 0.76, 0.62)], 1.1),
        "rug": surface("kilim", seed + 11, rug, 2.1),
        "roof": surface(
            "planks", seed + 12, [(0.6, 0.28, 0.16), (0.7, 0.38, 0.22), (0.52, 0.25, 0.16)], 1.5, relief=0.05
        ),
        "leaf": surface("stones", seed + 13, [(0.16, 0.28, 0.08), (0.28, 0.4, 0.12), (0.4, 0.48, 0.18)], 0.9),
        "blossom": surface("stones", seed + 14, [(0.72, 0.12, 0.36), (0.85, 0.25, 0.45), (0.62, 0.1, 0.4)], 0.7),
        "dark": surface("planks", seed + 15, [(0.05, 0.045, 0.04), (0.1, 0.085, 0.07), (0.14, 0.12, 0.1)], 1.7),
        "orange": surface("plaster", seed + 16, [(0.85, 0.4, 0.05), (0.95, 0.52, 0.1), (0.98, 0.62, 0.2)], 0.4),
        "lemon": surface("plaster", seed + 17, [(0.85, 0.7, 0.12), (0.95, 0.82, 0.25), (0.7, 0.66, 0.15)], 0.4),
        "pomegranate": surface("plaster", seed + 18, [(0.55, 0.07, 0.07), (0.72, 0.15, 0.1), (0.8, 0.35, 0.2)], 0.4),
    }


def back_wall(palette: Materials) -> None:
    """The wall at y = 11 with its archway, cornice and windows."""
    props.place("gate", props.arch(5.0, 5.4, (2.5, 3.5), 0.7), palette["ashlar"], (1.0, 11, 0))
    props.place("back.left", props.box((4.2, 0.6, 6.4)), palette["rose"], (-3.55, 11.1, 0))
    props.place("back.right", props.box((3.6, 0.6, 4.6)), palette["ochre"], (5.25, 11.1, 0))
    props.place("cornice", props.box((5.3, 1.0, 0.22), 0.03), palette["trim"], (1.0, 11, 5.4))
    props.place("cornice.left", props.box((4.4, 0.9, 0.2), 0.03), palette["trim"], (-3.55, 11.1, 6.4))
    for k, angle in enumerate(np.linspace(0, np.pi, 13)):
        at = (1.0 + 1.44 * np.cos(angle), 10.6, 2.25 + 1.44 * np.sin(angle))
        block = props.box((0.36, 0.22, 0.42), 0.015)
        props.place(f"voussoir{k}", block, palette["trim"], at, (0, 90 - np.degrees(angle), 0))
    for side in (-1, 1):
        props.place(f"impost{side}", props.box((0.5, 0.9, 2.2), 0.02), palette["trim"], (1.0 + 1.5 * side, 10.9, 0))
    window(palette, "back.a", (-4.3, 10.8, 1.2), 0)
    window(palette, "back.b", (-2.6, 10.8, 3.9), 0)
    window(palette, "back.c", (-4.3, 10.8, 3.9), 0)
    window(palette, "back.d", (5.2, 10.8, 2.0), 0)
    props.place("lintel.rug", props.box((1.1, 0.03, 1.7)), palette["rug"], (-2.55, 10.77, 1.3))


def window(palette: Materials, name: str, at: tuple[float, float, float], turn: float) -> None:
    """A window with open blue shutters, its sill at `at`, looking along -y before it is turned."""
    x, y, z = at
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))

    def there(dx: float, dy: float, dz: float) -> tuple[float, float, float]:
        return (x + c * dx - s * dy, y + s * dx + c * dy, z + dz)

    props.place(f"{name}.hole", props.box((0.9, 0.06, 1.3)), palette["dark"], there(0, 0.0, 0), (0, 0, turn))
    for k, (dx, size) in enumerate(((-0.5, (0.12, 0.14, 1.3)), (0.5, (0.12, 0.14, 1.3)))):
        props.place(f"{name}.jamb{k}", props.box(size), palette["trim"], there(dx, -0.03, 0), (0, 0, turn))
    for k, dz in enumerate((-0.12, 1.3)):
        props.place(
            f"{name}.sill{k}", props.box((1.2, 0.22, 0.12), 0.01), palette["trim"], there(0, -0.05, dz), (0, 0, turn)
        )
    for side in (-1, 1):
        props.place(
            f"{name}.shutter{side}",
            props.box((0.5, 0.05, 1.26)),
            palette["blue"],
            there(0.79 * side, -0.12, 0.02),
            (0, 0, turn + 14 * side),
        )


def left_house(palette: Materials) -> None:
    """The facade at x = -5.2, facing the court, with door, windows and a balcony."""
    props.place("left", props.box((0.6, 13, 5.8)), palette["ochre"], (-5.5, 5.0, 0))
    props.place("left.base", props.box((0.7, 13, 0.7), 0.02), palette["ashlar"], (-5.5, 5.0, 0))
    props.place("left.eaves", props.box((1.2, 13, 0.18), 0.02), palette["wood"], (-5.3, 5.0, 5.8))
    props.place("door", props.box((0.1, 1.2, 2.3)), palette["blue"], (-5.18, 9.2, 0.05))
    for k, y in enumerate((8.52, 9.88)):
        props.place(f"door.jamb{k}", props.box((0.25, 0.18, 2.4)), palette["trim"], (-5.15, y, 0))
    props.place("door.lintel", props.box((0.3, 1.7, 0.22), 0.02), palette["trim"], (-5.15, 9.2, 2.4))
    for k, (y, z) in enumerate(((5.2, 3.5), (7.2, 3.5), (9.2, 3.5), (3.2, 3.5))):
        window(palette, f"left{k}", (-5.17, y, z), 90)
    props.place("balcony", props.box((1.0, 3.6, 0.12)), palette["wood"], (-4.75, 6.2, 3.1))
    for k, y in enumerate((4.6, 5.7, 6.8, 7.8)):
        props.place(f"bracket{k}", props.box((0.9, 0.12, 0.2)), palette["wood"], (-4.8, y, 2.9))
        props.place(f"post{k}", props.box((0.07, 0.07, 0.95)), palette["wood"], (-4.3, y, 3.2))
    props.place("rail", props.box((0.08, 3.6, 0.07)), palette["wood"], (-4.3, 6.2, 4.12))
    for k in range(17):
        props.place(f"baluster{k}", props.column(0.022, 0.9), palette["wood"], (-4.3, 4.55 + 0.205 * k, 3.22))
    props.place("carpet", props.box((0.04, 1.1, 1.25)), palette["rug"], (-4.24, 5.3, 2.85))


def right_wall(palette: Materials) -> None:
    """The wall at x = 5.6 with a flight of steps up to a door, and bougainvillea over it."""
    props.place("right", props.box((0.5, 13, 3.9)), palette["rose"], (5.9, 5.0, 0))
    props.place("right.cap", props.box((0.8, 13, 0.16), 0.03), palette["roof"], (5.9, 5.0, 3.9))
    for k in range(9):
        rise = 0.2 * (k + 1)
        props.place(f"step{k}", props.box((1.3, 0.36, rise), 0.015), palette["ashlar"], (5.0, 6.6 + 0.34 * k, 0))
    props.place("landing", props.box((1.3, 1.6, 1.8), 0.02), palette["ashlar"], (5.0, 10.4, 0))
    props.place("upper.door", props.box((0.1, 1.0, 2.0)), palette["blue"], (5.62, 10.2, 1.82))
    rng = np.random.default_rng(4)
    for k in range(16):
        y, z = float(rng.uniform(2.2, 9.5)), float(rng.uniform(2.9, 4.4))
        size = (0.6, float(rng.uniform(0.8, 1.6)), float(rng.uniform(0.5, 1.3)))
        skin = palette["blossom"] if k % 3 else palette["leaf"]
        props.place(f"vine{k}", props.leaves(size, 0.085, 420, k), skin, (5.55, y, z))


def street(palette: Materials) -> None:
    """What the archway shows: a lane, houses across it, and roofs over the wall."""
    props.place("lane", props.box((26, 20, 0.2)), palette["paving"], (0, 22, -0.22))
    props.place("across", props.box((9, 5, 6.6)), palette["rose"], (2.5, 25, 0))
    props.place("across.roof", props.gable(9, 5, 1.7), palette["roof"], (2.5, 25, 6.6))
    props.place("tower", props.box((3.0, 3.0, 11.5)), palette["ashlar"], (-4.6, 24, 0))
    props.place("tower.cap", props.box((3.5, 3.5, 0.3), 0.04), palette["trim"], (-4.6, 24, 11.5))
    props.place("tower.top", props.box((2.2, 2.2, 1.9)), palette["ochre"], (-4.6, 24, 11.8))
    props.place("dome", props.rock(1.15, 3, 0.0, 0.95), palette["roof"], (-4.6, 24, 13.7), smooth=True)
    props.place("right.house", props.box((6, 6, 7.6)), palette["ochre"], (10.5, 20, 0), (0, 0, -6))
    props.place("right.roof", props.gable(6, 6, 1.6), palette["roof"], (10.5, 20, 7.6), (0, 0, -6))
    for k, (x, z) in enumerate(((0.4, 1.2), (2.2, 1.2), (0.4, 3.9), (2.6, 3.9), (4.8, 3.9))):
        window(palette, f"across{k}", (x, 22.47, z), 0)
    for k, (x, z) in enumerate(((-4.6, 6.2), (-4.6, 9.0))):
        window(palette, f"tower{k}", (x, 22.47, z), 0)
    for k in range(3):
        jar = props.lathe([(0.2, 0), (0.34, 0.35), (0.32, 0.7), (0.16, 1.0), (0.2, 1.08)])
        props.place(f"lane.jar{k}", jar, palette["clay"], (0.1 + 0.8 * k, 14.5 + 1.3 * k, 0), smooth=True)
