"""A camera's path as Nuke's .chan: one line a frame with position, rotation and vertical field of view.

Y is up and the camera looks along -z. Rotations are degrees in Nuke's default order ZXY: about z first, then x, then y.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..exchange.messages import JobError, Reporter
from ..exchange.reconstruction import Reconstruction
from ..exchange.undistorted import with_straight_plates
from ..geometry.gltf_axes import camera_matrix_y_up


def write(reconstruction: Reconstruction, path: Path, report: Reporter) -> None:
    """Frames that were placed, under the plate's own numbers (stills: 1, 2, 3, ...), with the field of view of the
    straightened plates where there are some."""
    lines = []
    previous = np.zeros(3)
    for frame in with_straight_plates(reconstruction, report.warning).frames:
        if frame.pose is None:
            continue
        matrix = camera_matrix_y_up(frame.pose.camera_from_world)
        previous = _unwrapped(euler_zxy(matrix[:3, :3]), previous)
        view = math.degrees(2 * math.atan(frame.height / (2 * frame.pose.fy)))
        values = (*matrix[:3, 3], *previous, view)
        lines.append("\t".join([str(frame.plate_number), *(f"{value:.9g}" for value in values)]))
    if not lines:
        raise JobError("nothing", "No frame of this reconstruction was placed: there is no camera to write.")
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def euler_zxy(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees (x, y, z) of a (3, 3) rotation R = Ry Rx Rz."""
    m = rotation
    x = math.asin(max(-1.0, min(1.0, -m[1, 2])))
    if abs(m[1, 2]) > 1 - 1e-12:  # y and z turn about one axis
        return np.degrees([x, math.atan2(-m[2, 0], m[0, 0]), 0.0])
    return np.degrees([x, math.atan2(m[0, 2], m[2, 2]), math.atan2(m[1, 0], m[1, 1])])


def _unwrapped(angles: NDArray[np.float64], previous: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same angles without jumps of a whole turn from `previous`."""
    return angles + 360.0 * np.round((previous - angles) / 360.0)
