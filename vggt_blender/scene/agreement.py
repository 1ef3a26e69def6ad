"""How many other frames see the same depth where a frame sees a point: what floats in the air is seen by none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..exchange.reconstruction import Frame, Reconstruction
from ..geometry.cameras import camera_center, distort
from .lenses import lens_of

Float32 = NDArray[np.float32]

TOLERANCE = 0.05  # of the depth
OTHERS = 4  # frames asked
SAME_WAY = 0.7  # cosine between the directions of view: frames that look elsewhere have no say


class Witnesses:
    """Which frames are asked about which, chosen once for a reconstruction."""

    def __init__(self, reconstruction: Reconstruction, positions: list[int]) -> None:
        self._reconstruction = reconstruction
        self._positions = positions
        poses = np.array([self._pose(position) for position in positions]).reshape(-1, 3, 4)
        self._centers, self._directions = camera_center(poses), poses[:, 2, :3]

    def _pose(self, position: int) -> NDArray[np.float64]:
        pose = self._reconstruction.frames[position].pose
        assert pose is not None
        return np.asarray(pose.camera_from_world)

    def of(self, position: int) -> list[int]:
        """At most `OTHERS` frames that look the same way, from near to far: those next door see all alike."""
        row = self._positions.index(position)
        distance = np.linalg.norm(self._centers - self._centers[row], axis=1)
        similar = self._directions @ self._directions[row] >= SAME_WAY
        similar[row] = False
        near = np.flatnonzero(similar)[np.argsort(distance[similar], kind="stable")]
        near = near[: max(OTHERS, (len(near) + 1) // 2)]
        picked = np.unique(np.linspace(0, len(near) - 1, min(OTHERS, len(near))).round().astype(int))
        return [self._positions[index] for index in near[picked]]

    def agreement(self, position: int, camera: Float32) -> NDArray[np.uint8]:
        """For points (P, 3) in the camera of frame `position`: how many of its witnesses (P,) have that depth there."""
        count = np.zeros(len(camera), np.uint8)
        pose = self._pose(position)
        for other in self.of(position):
            theirs = self._pose(other)
            turn = theirs[:, :3] @ pose[:, :3].T
            moved = camera @ turn.T.astype(np.float32) + (theirs[:, 3] - turn @ pose[:, 3]).astype(np.float32)
            count += self._agrees(other, moved)
        return count

    def _agrees(self, position: int, camera: Float32) -> NDArray[np.bool_]:
        """Whether frame `position` has the depth of points (P, 3) of its own camera where they fall on it."""
        assert self._reconstruction.depth is not None
        depth = np.asarray(self._reconstruction.depth[position])
        frame = self._reconstruction.frames[position]
        z = camera[:, 2]
        with np.errstate(all="ignore"):
            x, y = _on_map(frame, camera[:, 0] / z, camera[:, 1] / z)
            inside = (z > 0) & (x >= 0) & (y >= 0) & (x < depth.shape[1]) & (y < depth.shape[0])
            cell = np.where(inside, y, 0).astype(np.int32) * depth.shape[1] + np.where(inside, x, 0).astype(np.int32)
            seen = depth.ravel()[cell]
            return inside & (np.abs(z - seen) <= TOLERANCE * seen)


def _on_map(frame: Frame, x: Float32, y: Float32) -> tuple[Float32, Float32]:
    """Where rays (x, y, 1), each (P,), of the camera of `frame` fall on its depth map: columns and rows (P,)."""
    lens = lens_of(frame)
    if lens.distortion is not None:
        bent = distort(np.stack([x, y], axis=-1), lens.distortion).astype(np.float32)
        x, y = bent[:, 0], bent[:, 1]
    affine = np.asarray(frame.depth_to_image, np.float64)
    back = np.linalg.inv(affine[:, :2])
    turn = (back * [lens.fx, lens.fy]).astype(np.float32)
    offset = (back @ (np.array([lens.cx, lens.cy]) - affine[:, 2])).astype(np.float32)
    return turn[0, 0] * x + turn[0, 1] * y + offset[0], turn[1, 0] * x + turn[1, 1] * y + offset[1]
