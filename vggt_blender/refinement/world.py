"""A finished reconstruction moved as a whole: another origin, other axes, another unit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..exchange.reconstruction import Frame, Points, load_reconstruction
from ..exchange.writer import ReconstructionWriter
from ..geometry.alignment import Similarity
from .depth_scale import copy_dense

METERS = "m"


def move_world(folder: Path, move: Similarity, units: str | None = None, extra: dict[str, Any] | None = None) -> None:
    """Write the reconstruction in `folder` anew as seen from the world that `move` leads to.

    With `units` its unit is that from now on; entries of `extra` are added to the document.
    """
    with ReconstructionWriter(folder, overwrite=True) as writer:
        old = load_reconstruction(folder)
        engine, source, entries, tracks, points = old.engine, old.source, old.extra, old.tracks, old.points
        unit = units or old.units
        frames = [_moved(frame, move) for frame in old.frames]
        copy_dense(old, np.full(len(frames), move.scale), writer)
        del old  # its maps hold the files that are about to be replaced
        if points is not None:
            xyz = move.apply(points.xyz).astype(np.float32)
            writer.write_points(Points(xyz, points.rgb, points.error, points.observations))
        if tracks is not None:
            writer.write_tracks(tracks)
        writer.finish(engine=engine, source=source, frames=frames, units=unit, extra={**entries, **(extra or {})})


def _moved(frame: Frame, move: Similarity) -> Frame:
    if frame.pose is None:
        return frame
    return replace(frame, pose=replace(frame.pose, camera_from_world=move.apply_to_pose(frame.pose.camera_from_world)))
