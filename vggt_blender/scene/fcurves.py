"""Keys on whole curves at once: `keyframe_insert` in a loop is slow."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .versions import action_curves

LINEAR = 1  # the number behind 'LINEAR' for foreach_set


def write_keys(datablock: bpy.types.ID, path: str, frames: Sequence[int], values: ArrayLike) -> None:
    """Animate property `path` of `datablock` with linear keys, instead of whatever keys it had.

    `values` is (K,) for a number, (K, C) for a vector, one row per entry of `frames`.
    """
    table = np.asarray(values, np.float64)
    channels = table[:, None] if table.ndim == 1 else table
    curves = action_curves(datablock, datablock.name)
    remove_keys(datablock, path)
    for channel in range(channels.shape[1]):
        curve = curves.new(path, index=channel)
        curve.keyframe_points.add(len(frames))
        points = np.column_stack([np.asarray(frames, np.float64), channels[:, channel]]).astype(np.float32)
        curve.keyframe_points.foreach_set("co", points.ravel())
        curve.keyframe_points.foreach_set("interpolation", np.full(len(frames), LINEAR, np.int32))
        curve.update()


def read_keys(datablock: bpy.types.ID, path: str) -> dict[int, NDArray[np.float64]]:
    """The keyed values (C,) of vector property `path` by frame, at the frames where every channel has a key."""
    if datablock.animation_data is None or datablock.animation_data.action is None:
        return {}
    channels: dict[int, dict[int, float]] = {}
    for curve in action_curves(datablock, datablock.name):
        if curve.data_path == path:
            channels[curve.array_index] = {round(key.co.x): key.co.y for key in curve.keyframe_points}
    frames = set.intersection(*(set(keys) for keys in channels.values())) if channels else set()
    return {frame: np.array([channels[index][frame] for index in sorted(channels)]) for frame in sorted(frames)}


def remove_keys(datablock: bpy.types.ID, path: str) -> None:
    """Take the keys of property `path` away; other animation stays."""
    if datablock.animation_data is None or datablock.animation_data.action is None:
        return
    curves = action_curves(datablock, datablock.name)
    for curve in [curve for curve in curves if curve.data_path == path]:
        curves.remove(curve)
