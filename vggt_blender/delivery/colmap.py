"""A COLMAP model: cameras, images and points, binary, for every program that reads COLMAP."""

from __future__ import annotations

from pathlib import Path

import cv2  # noqa: F401  first: loaded after pycolmap, its PNG and JPEG code corrupts the heap
import numpy as np
import pycolmap

from ..exchange.messages import JobError, Reporter
from ..exchange.reconstruction import Pose, Reconstruction

FILES = ("cameras.bin", "images.bin", "points3D.bin", "rigs.bin", "frames.bin")


def write(reconstruction: Reconstruction, path: Path, report: Reporter) -> None:
    """A folder with the model's files. Frames that share size and lens share a camera."""
    model = pycolmap.Reconstruction()
    cameras: dict[tuple[object, ...], int] = {}
    for identity, frame in enumerate(reconstruction.frames, start=1):
        report.progress("cameras", identity, len(reconstruction.frames))
        if frame.pose is None:
            continue
        name, parameters = _lens(frame.pose)
        key = (frame.width, frame.height, name, *parameters)
        if key not in cameras:
            cameras[key] = len(cameras) + 1
            model.add_camera_with_trivial_rig(
                pycolmap.Camera(
                    camera_id=cameras[key], model=name, width=frame.width, height=frame.height, params=parameters
                )
            )
        image = pycolmap.Image(image_id=identity, name=frame.name, camera_id=cameras[key])
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.asarray(frame.pose.camera_from_world)))
    if not cameras:
        raise JobError("nothing", "No frame of this reconstruction was placed: there is nothing to write.")
    points = reconstruction.points
    if points is not None:
        for xyz, rgb in zip(points.xyz, points.rgb, strict=True):
            model.add_point3D(xyz.astype(np.float64), pycolmap.Track(), rgb)
    path.mkdir()
    model.write(path)


def written(folder: Path) -> list[str]:
    """The files of a binary model in `folder`; none where it holds no whole one."""
    there = [name for name in FILES if (folder / name).is_file()]
    return there if {"cameras.bin", "images.bin", "points3D.bin"} <= set(there) else []


def _lens(pose: Pose) -> tuple[str, list[float]]:
    pinhole = [pose.fx, pose.fy, pose.cx, pose.cy]
    if pose.distortion is None:
        return "PINHOLE", pinhole
    k1, k2, p1, p2, k3 = pose.distortion
    if k3 == 0.0:
        return "OPENCV", [*pinhole, k1, k2, p1, p2]
    return "FULL_OPENCV", [*pinhole, k1, k2, p1, p2, k3, 0.0, 0.0, 0.0]
