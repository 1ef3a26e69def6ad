"""A reconstruction in another world: moved, turned and scaled as a whole.

This module may import the standard library, numpy and geometry only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..geometry.alignment import Similarity
from .reconstruction import Reconstruction


def placed(reconstruction: Reconstruction, place: Similarity) -> Reconstruction:
    """The reconstruction with its world carried along by `place`; depth maps are scaled as they are read."""
    frames = [
        frame
        if frame.pose is None
        else replace(
            frame, pose=replace(frame.pose, camera_from_world=place.apply_to_pose(frame.pose.camera_from_world))
        )
        for frame in reconstruction.frames
    ]
    points, depth = reconstruction.points, reconstruction.depth
    return replace(
        reconstruction,
        frames=tuple(frames),
        depth=None if depth is None else cast(NDArray[np.float32], _ScaledDepth(depth, place.scale)),
        points=None if points is None else replace(points, xyz=place.apply(points.xyz).astype(np.float32)),
    )


class _ScaledDepth:
    """Depth maps (N, h, w) times a factor, read from the disk frame by frame as they are asked for."""

    def __init__(self, depth: NDArray[np.float32], factor: float) -> None:
        self._depth, self._factor = depth, np.float32(factor)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._depth.shape

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        return np.asarray(self._depth[key]) * self._factor
