"""A known distance on the set gives a finished reconstruction its metres."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..exchange.job import count_of
from ..exchange.known import Distance
from ..exchange.messages import JobError, Reporter
from ..exchange.reconstruction import Frame, load_reconstruction
from ..geometry.alignment import Similarity
from ..geometry.cameras import camera_center
from .world import METERS, move_world


def scale_to_distance(folder: Path, distance: Distance, report: Reporter) -> None:
    """Scale the reconstruction in `folder` so that the cameras of two frames are `distance` apart; its unit is metres.

    Raises `JobError` with code ``usage`` where a frame is not there, not placed, or in the other one's place.
    """
    result = load_reconstruction(folder)
    first, second = (_placed(result.frames, result.source.kind, name) for name in (distance.first, distance.second))
    del result  # its maps hold the files that are about to be replaced
    apart = float(np.linalg.norm(camera_center(first) - camera_center(second)))
    if apart < 1e-9:
        raise JobError("usage", "The cameras of the distance's two frames are in one place: take two others.")
    move_world(folder, Similarity(distance.meters / apart, np.eye(3), np.zeros(3)), METERS)
    report.status(f"The scene is in metres: {distance.first} to {distance.second} is {distance.meters:g} m.")


def _placed(frames: Sequence[Frame], kind: str, name: str) -> np.ndarray:
    """The pose of the frame that is called so, or counted so in a source of that `kind`."""
    for frame in frames:
        if name in (str(count_of(kind, frame.index, frame.number)), frame.name, Path(frame.path).name):
            if frame.pose is None:
                raise JobError("usage", f"Frame '{name}' of the distance could not be placed: take another.")
            return frame.pose.camera_from_world
    raise JobError("usage", f"There is no frame '{name}' for the distance: give its number or its file's name.")
