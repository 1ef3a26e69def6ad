"""Where a shot lies on disk, and its ``truth.json`` (the format of `docs/design.md`, with a mask where things move)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vggt_blender.geometry.cameras import Lens

from .shots import FIRST_FRAME, Shot

COARSE = 5
"""A compact shot's depth maps have so many pixels side by side under each sample; odd, so that one is in the middle."""


@dataclass(frozen=True)
class Place:
    """The folder of one rendered shot: frames, ``depth/``, ``masks/`` (black where something moves), ``truth.json``,
    ``tracks.npz``.
    """

    folder: Path
    shot: Shot
    size: tuple[int, int]

    def prepare(self, settings: dict[str, Any]) -> None:
        """Make the folder; frames that were rendered with other `settings` go.

        Edits to a scene are not among them: delete the folder, or change the shot's seed.
        """
        card = self.folder / "settings.json"
        wanted = json.dumps(settings, sort_keys=True)
        if self.folder.exists() and (not card.exists() or card.read_text(encoding="utf-8") != wanted):
            shutil.rmtree(self.folder)
        self.scratch.mkdir(parents=True, exist_ok=True)
        (self.folder / "depth").mkdir(exist_ok=True)
        card.write_text(wanted, encoding="utf-8")

    @property
    def scratch(self) -> Path:
        return self.folder / ".unfinished"

    def name(self, k: int) -> str:
        return f"{self.shot.name}.{FIRST_FRAME + k}.{'jpg' if self.shot.compact else 'png'}"

    def color(self, k: int) -> Path:
        return self.folder / self.name(k)

    def depth(self, k: int) -> Path:
        return self.folder / "depth" / f"{self.shot.name}.{FIRST_FRAME + k}.npy"

    def mask(self, k: int) -> Path:
        return self.folder / "masks" / self.name(k)

    def missing(self) -> bool:
        return not all(self.color(k).exists() and self.depth(k).exists() for k in range(self.shot.frames))

    def save_depth(self, k: int, depth: NDArray[np.float32]) -> None:
        """Keep Z `depth` (h, w); of a compact shot each `COARSE` x `COARSE` pixels' middle, in half precision."""
        partial = self.scratch / "depth.npy"
        middle = COARSE // 2
        np.save(partial, depth[middle::COARSE, middle::COARSE].astype(np.float16) if self.shot.compact else depth)
        partial.replace(self.depth(k))


def write_truth(place: Place, poses: NDArray[np.float64], lenses: Sequence[Lens]) -> None:
    """Write ``truth.json`` beside the frames."""
    frames = []
    for k, (pose, lens) in enumerate(zip(poses, lenses, strict=True)):
        entry: dict[str, Any] = {
            "name": place.name(k),
            "camera_from_world": pose.tolist(),
            "fx": lens.fx,
            "fy": lens.fy,
            "cx": lens.cx,
            "cy": lens.cy,
            "distortion": None if lens.distortion is None else list(lens.distortion),
            "depth": place.depth(k).relative_to(place.folder).as_posix(),
        }
        if place.mask(k).exists():
            entry["mask"] = place.mask(k).relative_to(place.folder).as_posix()
        frames.append(entry)
    document = {"width": place.size[0], "height": place.size[1], "frames": frames}
    (place.folder / "truth.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
