"""An anamorphic plate by truth: a shot with known cameras, squeezed 2:1 as such a lens does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks.refinement import DISTURBANCES, write_disturbed
from vggt_blender.engines import run_job
from vggt_blender.evaluation import Truth, evaluate, evaluate_folder, load_truth
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.known import Known
from vggt_blender.exchange.reconstruction import load_reconstruction
from vggt_blender.inference.frames import open_source
from vggt_blender.refinement import refine

SHOT = Path(__file__).parents[1] / "data" / "truth" / "small_yard"

pytestmark = pytest.mark.slow


class Silent:
    def progress(self, stage: str, done: int, total: int) -> None: ...

    def status(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...


@pytest.fixture(scope="module")
def thin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every second frame, half as wide, with its truth."""
    folder = tmp_path_factory.mktemp("anamorphic")
    (folder / "plates").mkdir()
    (folder / "depth").mkdir()
    document = json.loads((SHOT / "truth.json").read_text())
    document["width"] //= 2
    document["frames"] = document["frames"][:12:2]
    for entry in document["frames"]:
        picture = cv2.imread(str(SHOT / entry["name"]))[..., ::-1]
        reduced = cv2.resize(picture, (document["width"], document["height"]), interpolation=cv2.INTER_AREA)
        entry["name"] = entry["name"].replace(".jpg", ".png")
        Image.fromarray(reduced).save(folder / "plates" / entry["name"])
        np.save(folder / entry["depth"], np.load(SHOT / entry["depth"])[:, ::2])
        entry.update(fx=entry["fx"] / 2, cx=entry["cx"] / 2)
    (folder / "truth.json").write_text(json.dumps(document))
    return folder


def known_truth(thin: Path) -> Truth:
    return load_truth(thin / "truth.json")


def test_the_known_aspect_brings_the_error_down(thin: Path, tmp_path: Path) -> None:
    reports: dict[bool, Any] = {}
    for knows in (True, False):
        job = Job(
            inputs=(str(thin / "plates"),),
            output=str(tmp_path / str(knows)),
            kind="sequence",
            engine="colmap",
            known=Known(pixel_aspect=2.0 if knows else None),
        )
        folder = run_job(job, Silent())
        reports[knows] = evaluate_folder(folder, thin / "truth.json")
    assert reports[True].reprojection.median < 0.25
    assert reports[False].reprojection.median > 4 * reports[True].reprojection.median
    assert reports[True].focal.median < 0.005
    result = load_reconstruction(tmp_path / "True")
    assert result.engine["settings"]["known"] == {"pixel_aspect": 2.0}
    for frame in result.frames:
        assert (frame.width, frame.height) == (240, 270)
        assert frame.pose.fy / frame.pose.fx == pytest.approx(2.0, abs=1e-9)
        assert (frame.pose.cx, frame.pose.cy) == (120.0, 135.0)


def test_refinement_keeps_the_aspect_and_brings_the_error_down(thin: Path, tmp_path: Path) -> None:
    truth, source = known_truth(thin), open_source([str(thin / "plates")], kind="sequence")
    folder = tmp_path / "solve"
    write_disturbed(folder, truth, source, DISTURBANCES[0], 0)
    before = evaluate(load_reconstruction(folder), truth)
    outcome = refine(folder, source, Silent(), known=Known(pixel_aspect=2.0))
    after, result = evaluate(load_reconstruction(folder), truth), load_reconstruction(folder)
    assert outcome.accepted
    assert before.reprojection.median > 5
    assert after.reprojection.median < 0.3
    for frame in result.frames:
        assert (frame.width, frame.height) == (240, 270)
        assert frame.pose.fy / frame.pose.fx == pytest.approx(2.0, rel=1e-6)
    held = Known(pixel_aspect=2.0, focal_px=truth.frames[0].lens.fx)
    write_disturbed(tmp_path / "held", truth, source, DISTURBANCES[0], 1)
    assert refine(tmp_path / "held", source, Silent(), known=held).lens in ("fixed", "distortion")
    (fx,) = {round(frame.pose.fx, 6) for frame in load_reconstruction(tmp_path / "held").frames}
    assert fx == pytest.approx(truth.frames[0].lens.fx)
