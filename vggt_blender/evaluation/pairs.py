"""Which solved frame belongs to which known camera."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        return self.pose.lens

    @property
    def true_lens(self) -> Lens:
        """The known lens in pixels of the solved frame, which may have been resized."""
        return self.truth.lens.scaled(self.frame.width / self.truth.width, self.frame.height / self.truth.height)

    def aligned_pose(self, alignment: Similarity) -> Array:
        """The solved pose (3, 4) in the truth's world."""
        return alignment.apply_to_pose(self.pose.camera_from_world)


def match(reconstruction: Reconstruction, truth: Truth) -> list[Pair]:
    """Pairs by name, in the truth's order; by name without folders and extension where no full name fits.

    Raises `JobError` where the two have no frame in common, and where one name would fit several frames.
    """

    def pairs(key: Callable[[str], str]) -> list[Pair]:
        solved = _by_name([key(frame.name) for frame in reconstruction.frames], "reconstruction")
        known = _by_name([key(entry.name) for entry in truth.frames], "truth")
        both = [(solved[name], position) for name, position in known.items() if name in solved]
        return [Pair(mine, reconstruction.frames[mine], truth.frames[theirs]) for mine, theirs in both]

    result = pairs(str) or pairs(_plain)
    if not result:
        raise JobError(
            "no_match",
            f"The truth knows no frame of this reconstruction: it has '{truth.frames[0].name}' and others, "
            f"the reconstruction '{reconstruction.frames[0].name}' and others.",
        )
    return result


def _plain(name: str) -> str:
    """The name without folders and extension. A frame of a video is called ``shot.0001``: a number is no extension."""
    path = PurePath(name.lower())
    return path.name if path.suffix[1:].isdigit() else path.stem


def _by_name(names: Sequence[str], whose: str) -> dict[str, int]:
    positions = {name: position for position, name in enumerate(names)}
    if len(positions) < len(names):
        twice = next(name for position, name in enumerate(names) if positions[name] != position)
        raise JobError("no_match", f"Two frames of the {whose} are called '{twice}': which is meant cannot be told.")
    return positions
