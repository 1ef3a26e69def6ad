"""What a folder of known cameras holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vggt_blender.exchange.reconstruction import Frame, Pose, Source
from vggt_blender.exchange.writer import ReconstructionWriter

pytest.importorskip("torch")
from vggt_blender.training.folders import load_shot


def test_a_reconstructions_relative_paths_count_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "plates").mkdir()
    pose, frames = Pose(np.eye(3, 4), 50.0, 50.0, 32.0, 24.0), []
    for index in range(2):
        name = f"shot.{1001 + index}.png"
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "plates" / name)
        frames.append(Frame(name, f"../plates/{name}", index, 1001 + index, 64, 48, pose))
    with ReconstructionWriter(tmp_path / "solve") as writer:
        writer.finish(engine={"name": "t"}, source=Source("sequence", "../plates", 24.0), frames=frames)
    pictures = [frame.picture.resolve() for frame in load_shot(tmp_path / "solve")]
    assert pictures == [(tmp_path / "plates" / frame.name).resolve() for frame in frames]
