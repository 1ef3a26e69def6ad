"""A point cloud as PLY, in OpenCV's axes as COLMAP writes it."""

from __future__ import annotations

from pathlib import Path

import trimesh

from ..exchange.reconstruction import Reconstruction
from .cloud import gather_points


def write(reconstruction: Reconstruction, path: Path) -> None:
    """Binary PLY with colors."""
    points, colors = gather_points(reconstruction)
    path.write_bytes(trimesh.PointCloud(points, colors).export(file_type="ply"))
