"""What the mapper found, as plain arrays in source pixels and in the world of the first placed frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ...geometry.cameras import Lens, invert_pose, project

MEDIAN_DEPTH = 5.0
"""The scene unit: half of all points lie closer to the cameras that see them than this."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Observations:
    """Where one frame sees points: rows of the solution's points (M,), and source pixels (M, 2)."""

    points: NDArray[np.int64]
    xy: Array


@dataclass(frozen=True)
class Solution:
    """Per position of the source: ``poses`` camera_from_world (3, 4) or None, ``lenses`` and ``observations``;
    ``xyz`` (P, 3) world points."""

    poses: list[Array | None]
    lenses: list[Lens | None]
    observations: list[Observations]
    xyz: Array

    @property
    def placed(self) -> list[int]:
        """Positions of the frames that have a pose."""
        return [position for position, pose in enumerate(self.poses) if pose is not None]

    def depths(self, position: int) -> Array:
        """Z depth (M,) of the points that a placed frame sees."""
        pose = self.poses[position]
        assert pose is not None
        return self.xyz[self.observations[position].points] @ pose[2, :3] + pose[2, 3]

    def residuals(self, position: int) -> Array:
        """Distance (M,) in source pixels between where a placed frame sees its points and where they project."""
        pose, lens = self.poses[position], self.lenses[position]
        assert pose is not None
        assert lens is not None
        seen = self.observations[position]
        return np.asarray(np.linalg.norm(project(self.xyz[seen.points], pose, lens)[0] - seen.xy, axis=1))


def lens_of(camera: pycolmap.Camera, scale: float) -> Lens:
    """The lens in source pixels of a camera in working pixels, `scale` to a source pixel."""
    params = [float(value) for value in camera.params]
    if camera.model_name == "FULL_OPENCV":
        fx, fy, cx, cy = (value / scale for value in params[:4])
        return Lens(fx, fy, cx, cy, params[4:9])
    focal, extra = params[0] / scale, params[3:]
    distortion = None if not any(extra) else (*extra, *(0.0 for _ in range(5 - len(extra))))
    return Lens(focal, focal, params[1] / scale, params[2] / scale, distortion)


def solution_of(model: pycolmap.Reconstruction, scales: Sequence[float]) -> Solution:
    """Bring `model` into the world of its first frame. `scales`: working pixels per source pixel of each frame."""
    identifiers = sorted(model.points3D.keys())
    row_of = {identifier: row for row, identifier in enumerate(identifiers)}
    xyz = np.array([model.points3D[identifier].xyz for identifier in identifiers]).reshape(-1, 3)
    poses: list[Array | None] = [None] * len(scales)
    lenses: list[Lens | None] = [None] * len(scales)
    nothing = Observations(np.zeros(0, np.int64), np.zeros((0, 2)))
    observations = [nothing] * len(scales)
    for image in model.images.values():
        if not image.has_pose:
            continue
        position = image.image_id - 1
        seen = image.get_observation_points2D()
        poses[position] = np.array(image.cam_from_world().matrix())
        lenses[position] = lens_of(model.cameras[image.camera_id], scales[position])
        observations[position] = Observations(
            np.array([row_of[point.point3D_id] for point in seen], np.int64),
            np.array([point.xy for point in seen]).reshape(-1, 2) / scales[position],
        )
    return _in_first_frame(Solution(poses, lenses, observations, xyz))


def _in_first_frame(solution: Solution) -> Solution:
    first = next(pose for pose in solution.poses if pose is not None)
    unit = MEDIAN_DEPTH / float(np.median(np.concatenate([solution.depths(position) for position in solution.placed])))
    back = invert_pose(first)
    poses: list[Array | None] = []
    for pose in solution.poses:
        if pose is not None:
            rotation = pose[:, :3] @ back[:, :3]
            pose = np.column_stack([rotation, unit * (pose[:, :3] @ back[:, 3] + pose[:, 3])])
        poses.append(pose)
    xyz = unit * (solution.xyz @ first[:, :3].T + first[:, 3])
    return Solution(poses, solution.lenses, solution.observations, xyz)
