"""A person-sized figure that walks through a shot; its pass index 1 makes the mask."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from .. import props
from ..materials import surface

MOVING = 1


def walk(start: Sequence[float], end: Sequence[float], first_frame: int, frames: int, seed: int = 5) -> None:
    """Add the figure, on its way from `start` to `end` (x, y) during the frames, limbs swinging."""
    cloth = surface("poster", seed, [(0.2, 0.3, 0.45), (0.5, 0.5, 0.55), (0.7, 0.65, 0.5), (0.3, 0.2, 0.2)], 0.6)
    skin = surface("plaster", seed + 1, [(0.55, 0.38, 0.3), (0.72, 0.54, 0.44)], 0.5)
    body = bpy.data.objects.new("person", None)
    bpy.context.scene.collection.objects.link(body)
    heading = float(np.degrees(np.arctan2(end[1] - start[1], end[0] - start[0])))
    body.rotation_euler = (0, 0, np.radians(heading))
    parts = [
        props.place("torso", props.rock(0.42, 1, 0.1, 1.0), cloth, (0, 0, 1.15), smooth=True),
        props.place("head", props.rock(0.16, 2, 0.1, 1.2), skin, (0.02, 0, 1.72), smooth=True),
    ]
    parts[0].scale = (0.5, 0.72, 0.95)
    limbs = []
    for side in (-1, 1):
        for name, height, radius, length, material in (
            ("leg", 0.9, 0.1, 0.9, cloth),
            ("arm", 1.42, 0.065, 0.68, skin),
        ):
            at = (0, side * (0.13 if name == "leg" else 0.33), height)
            limb = props.place(name, props.column(radius, length, radius * 0.7), material, at, smooth=True)
            limb.rotation_euler = (np.pi, 0, 0)
            limbs.append((limb, side if name == "leg" else -side))
    for part in [*parts, *(limb for limb, _ in limbs)]:
        part.parent = body
        part.pass_index = MOVING
    for k in range(frames):
        share = k / max(frames - 1, 1)
        body.location = (*(np.asarray(start) + share * (np.asarray(end) - np.asarray(start))), 0)
        body.keyframe_insert("location", frame=first_frame + k)
        for limb, side in limbs:
            limb.rotation_euler = (np.pi, side * 0.5 * np.sin(k * 0.8), 0)
            limb.keyframe_insert("rotation_euler", frame=first_frame + k)
