"""A point cloud as binary PLY, in OpenCV's axes as COLMAP writes it. Numpy alone: it works inside Blender, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..exchange.messages import Reporter
from ..exchange.reconstruction import Reconstruction
from .cloud import gather_points

_VERTEX = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])
_HEADER = """ply
format binary_little_endian 1.0
element vertex {count}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
end_header
"""


def write(reconstruction: Reconstruction, path: Path, report: Reporter) -> None:
    """Points with colors."""
    points, colors = gather_points(reconstruction, report=report)
    table = np.empty(len(points), _VERTEX)
    table["xyz"], table["rgb"] = points, colors
    path.write_bytes(_HEADER.format(count=len(points)).encode("ascii") + table.tobytes())
