"""Renders that roll as the plate does: each line from where the camera was when the plate's line was read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import bpy

from .collection import Holder

ROLLS = "vggt_rolls"
"""The collection's mark that its set-up made the scene's renders roll."""

MOST_READOUT = 2.0


def readout_of(engine: Mapping[str, Any]) -> float:
    """The part of the time between two frames in which a frame was read from its top line to its bottom line, of what a
    reconstruction says of its `engine`; 0 where it was not read so, which is the only way that Cycles knows."""
    settings = engine.get("settings")
    shutter = settings.get("rolling_shutter") if isinstance(settings, Mapping) else None
    readout = shutter.get("readout") if isinstance(shutter, Mapping) and shutter.get("axis") == 1 else None
    if not isinstance(readout, int | float) or not math.isfinite(readout):
        return 0.0
    return float(readout) if 0 < readout < MOST_READOUT else 0.0


def roll(scene: bpy.types.Scene, holder: Holder, readout: float) -> bool:
    """Let Cycles read the lines of a render within `readout` of the time between two frames, unblurred.

    At 0, and with other engines, renders stop rolling if an earlier call for this shot began it. Returns whether they
    roll now. Cycles' motion blur does it; the middle line stands where the frame's camera stands.
    """
    rolls = readout > 0 and scene.render.engine == "CYCLES"
    if rolls or ROLLS in holder.collection:
        scene.render.use_motion_blur = rolls
        scene.cycles.rolling_shutter_type = "TOP" if rolls else "NONE"
        holder.collection.pop(ROLLS, None)
    if rolls:
        scene.render.motion_blur_shutter = readout
        scene.render.motion_blur_position = "CENTER"
        scene.cycles.rolling_shutter_duration = 0.0
        holder.collection[ROLLS] = True
    return rolls
