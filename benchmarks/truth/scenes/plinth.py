"""A weathered head on a plinth in a paved court with pots about it, to be circled at 2 to 4 m.

The plinth is at 0, 0.
"""

from __future__ import annotations

import numpy as np

from .. import props
from ..materials import surface


def build(seed: int) -> None:
    """Fill the empty file."""
    rng = np.random.default_rng(seed)
    paving = surface("stones", seed, [(0.66, 0.6, 0.52), (0.52, 0.47, 0.42), (0.75, 0.7, 0.6)], 4.0)
    marble = surface("plaster", seed + 1, [(0.55, 0.5, 0.42), (0.75, 0.7, 0.62), (0.88, 0.85, 0.8)], 1.1)
    brick = surface("bricks", seed + 2, [(0.62, 0.36, 0.26), (0.72, 0.48, 0.36), (0.5, 0.3, 0.24)], 2.6)
    pot = surface("stones", seed + 3, [(0.7, 0.42, 0.28), (0.6, 0.34, 0.22), (0.35, 0.42, 0.45)], 0.9)
    wood = surface("planks", seed + 4, [(0.5, 0.36, 0.24), (0.62, 0.48, 0.33)], 1.2)
    plaster = surface("plaster", seed + 6, [(0.5, 0.47, 0.4), (0.68, 0.62, 0.52), (0.8, 0.76, 0.68)], 4.3)
    poster = surface("poster", seed + 5, [(0.8, 0.72, 0.55), (0.6, 0.2, 0.15), (0.15, 0.3, 0.4), (0.3, 0.4, 0.2)], 2.4)
    props.place("court", props.box((30, 30, 0.2)), paving, (0, 0, -0.2))
    props.place("plinth", props.box((0.8, 0.8, 0.75), 0.02), brick, (0, 0, 0.12), (0, 0, 15))
    props.place("step", props.box((1.4, 1.4, 0.12), 0.02), marble, (0, 0, 0), (0, 0, 15))
    props.place("head", props.statue(seed), marble, (0, 0, 1.42), (8, 0, 20), smooth=True)
    for k in range(26):
        angle, reach = k * 2.39996, 1.35 + 0.075 * k if k < 6 else 4.6 + 0.12 * k
        at = (reach * np.cos(angle), reach * np.sin(angle), 0)
        r = float(rng.uniform(0.13, 0.26)) * (1 if k < 6 else 2.2)
        if k % 3 == 0:
            form, skin = props.box((2 * r, 1.7 * r, 2.2 * r), 0.01), wood
        elif k % 3 == 1:
            profile = [(0.6 * r, 0), (r, 0.9 * r), (1.05 * r, 1.5 * r), (0.55 * r, 2.5 * r), (0.7 * r, 2.8 * r)]
            form, skin = props.lathe(profile), pot
        else:
            form, skin = props.rock(r, k, 0.3), paving
        props.place(f"thing{k}", form, skin, at, (0, 0, float(rng.uniform(0, 90))), smooth=k % 3 != 0)
    for k in range(12):
        angle = np.radians(30 * k + 7)
        at, turn = (9.5 * np.cos(angle), 9.5 * np.sin(angle), 0), (0, 0, np.degrees(angle) + 90 + rng.uniform(-8, 8))
        skin = (brick, poster, plaster, wood)[k % 4]
        props.place(f"wall{k}", props.box((5.2, 0.4, float(rng.uniform(2.2, 4.2)))), skin, at, turn)
    props.sky(1.0)
    props.sun(3.8, (0.5, 0.35, -0.8))
