"""A known distance on the set gives a finished reconstruction its metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..exchange.known import Distance
from ..exchange.messages import JobError, Reporter
from ..exchange.reconstruction import Frame, Points, load_reconstruction
from ..exchange.writer import ReconstructionWriter
from ..geometry.cameras import camera_center
from .depth_scale import copy_dense

METERS = "m"


def scale_to_distance(folder: Path, distance: Distance, report: Reporter) -> None:
    """Scale the reconstruction in `folder` so that the cameras of two frames are `distance` apart; its unit is metres.

    Raises `JobError` with code ``usage`` where a frame is not there, not placed, or in the other one's place.
    """
    with ReconstructionWriter(folder, overwrite=True) as writer:
        old = load_reconstruction(folder)
        first, second = (_placed(old.frames, name) for name in (distance.first, distance.second))
        apart = float(np.linalg.norm(camera_center(first) - camera_center(second)))
        if apart < 1e-9:
            raise JobError("usage", "The cameras of the distance's two frames are in one place: take two others.")
        factor = distance.meters / apart
        engine, source, extra, tracks, points = old.engine, old.source, old.extra, old.tracks, old.points
        frames = [_scaled(frame, factor) for frame in old.frames]
        copy_dense(old, np.full(len(frames), factor), writer)
        del old  # its maps hold the files that are about to be replaced
        if points is not None:
            xyz = (points.xyz * np.float32(factor)).astype(np.float32)
            writer.write_points(Points(xyz, points.rgb, points.error, points.observations))
        if tracks is not None:
            writer.write_tracks(tracks)
        writer.finish(engine=engine, source=source, frames=frames, units=METERS, extra=extra)
    report.status(f"The scene is in metres: {distance.first} to {distance.second} is {distance.meters:g} m.")


def _placed(frames: Sequence[Frame], name: str) -> np.ndarray:
    """The pose of the frame with that number (index where it has none) or file name."""
    for frame in frames:
        number = frame.index if frame.number is None else frame.number
        if name in (str(number), frame.name, Path(frame.path).name):
            if frame.pose is None:
                raise JobError("usage", f"Frame '{name}' of the distance could not be placed: take another.")
            return frame.pose.camera_from_world
    raise JobError("usage", f"There is no frame '{name}' for the distance: give its number or its file's name.")


def _scaled(frame: Frame, factor: float) -> Frame:
    if frame.pose is None:
        return frame
    pose = frame.pose.camera_from_world.copy()
    pose[:, 3] *= factor
    return replace(frame, pose=replace(frame.pose, camera_from_world=pose))
