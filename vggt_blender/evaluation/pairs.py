"""Which solved frame belongs to which known camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from ..exchange.messages import JobError
from ..exchange.reconstruction import Frame, Pose, Reconstruction
from ..geometry.alignment import Similarity
from ..geometry.cameras import Lens
from .truth import Truth, TruthFrame

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """One input frame of a reconstruction (at `position`) and its known camera."""

    position: int
    frame: Frame
    truth: TruthFrame

    @property
    def pose(self) -> Pose:
        """The solved pose. Raises ValueError where the frame is not registered."""
        if self.frame.pose is None:
            raise ValueError(f"{self.frame.name} is not registered")
        return self.frame.pose

    @property
    def lens(self) -> Lens:
        """The solved lens."""
        pose = self.pose
        return Lens(pose.fx, pose.fy, pose.cx, pose.cy, pose.distortion)

    @property
    def true_lens(self) -> Lens:
        """The known lens in pixels of the solved frame, which may have been resized."""
        return self.truth.lens.scaled(self.frame.width / self.truth.width, self.frame.height / self.truth.height)

    def aligned_pose(self, alignment: Similarity) -> Array:
        """The solved pose (3, 4) in the truth's world."""
        return alignment.apply_to_pose(self.pose.camera_from_world)


def match(reconstruction: Reconstruction, truth: Truth) -> list[Pair]:
    """Pairs by name, in the truth's order; by name without extension where no full name fits.

    Raises `JobError` where the two have no frame in common.
    """

    def stem(name: str) -> str:
        return PurePath(name).stem.lower()

    def pairs(key: Callable[[str], str]) -> list[Pair]:
        solved = {key(frame.name): (position, frame) for position, frame in enumerate(reconstruction.frames)}
        found = [(solved.get(key(entry.name)), entry) for entry in truth.frames]
        return [Pair(hit[0], hit[1], entry) for hit, entry in found if hit is not None]

    result = pairs(str) or pairs(stem)
    if not result:
        raise JobError(
            "no_match",
            f"The truth knows no frame of this reconstruction: it has '{truth.frames[0].name}' and others, "
            f"the reconstruction '{reconstruction.frames[0].name}' and others.",
        )
    return result
