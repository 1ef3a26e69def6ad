"""A point cloud with the solved cameras as binary glTF: y up, lengths in scene units, one camera node a frame."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import trimesh

from ..exchange.messages import Reporter
from ..exchange.reconstruction import Frame, Reconstruction
from ..exchange.undistorted import with_straight_plates
from ..geometry.gltf_axes import camera_matrix_y_up, points_to_y_up
from .cloud import gather_points


def write(reconstruction: Reconstruction, path: Path, report: Reporter) -> None:
    """Points with colors, and cameras, of the straightened plates where there are some.

    glTF knows neither an off-centre lens nor distortion: both are left out.
    """
    points, colors = gather_points(reconstruction, report=report)
    plates = with_straight_plates(reconstruction, report.warning)
    scene = trimesh.Scene({"points": trimesh.PointCloud(points_to_y_up(points), colors)})

    def add_cameras(tree: dict[str, Any]) -> None:
        cameras, nodes = tree.setdefault("cameras", []), tree["nodes"]
        for frame in plates.frames:
            if frame.pose is not None:
                nodes.append(_node(frame, len(cameras)))
                cameras.append(_camera(frame))
                tree["scenes"][0]["nodes"].append(len(nodes) - 1)

    path.write_bytes(trimesh.exchange.gltf.export_glb(scene, tree_postprocessor=add_cameras))


def _node(frame: Frame, camera: int) -> dict[str, Any]:
    assert frame.pose is not None
    matrix = camera_matrix_y_up(frame.pose.camera_from_world)
    return {"name": frame.name, "camera": camera, "matrix": matrix.T.ravel().tolist()}


def _camera(frame: Frame) -> dict[str, Any]:
    assert frame.pose is not None
    lens = {
        "yfov": 2 * math.atan(frame.height / (2 * frame.pose.fy)),
        "aspectRatio": frame.width / frame.pose.fx / (frame.height / frame.pose.fy),
        "znear": 0.001,
    }
    return {"name": frame.name, "type": "perspective", "perspective": lens}
