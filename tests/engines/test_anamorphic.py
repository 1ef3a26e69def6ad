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
from vggt_blender.exchange.hand_tracks import HandTrack, HandTracks
from vggt_blender.exchange.job import FrameRange, Job
from vggt_blender.exchange.known import Known
from vggt_blender.exchange.reconstruction import load_reconstruction
from vggt_blender.geometry.blender_axes import points_to_blender
from vggt_blender.geometry.cameras import project, unproject
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


@pytest.mark.usefixtures("cameras_alone")
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


def points_by_hand(truth: Truth) -> HandTracks:
    """Measured points of the set, where the known cameras see them in the thin picture's own pixels."""
    first, tracks = truth.frames[0], []
    height, width = first.depth.shape
    for row, column in ((0.3, 0.3), (0.4, 0.6), (0.6, 0.45), (0.75, 0.25), (0.8, 0.7)):
        y, x = int(row * height), int(column * width)
        pixel = np.array([(x + 0.5) * first.width / width, (y + 0.5) * first.height / height])
        point = unproject(pixel, first.depth[y, x], first.camera_from_world, first.lens)
        seen = []
        for frame in truth.frames:
            (px, py), depth = project(point, frame.camera_from_world, frame.lens)
            if depth > 0 and 0 < px < frame.width and 0 < py < frame.height:
                seen.append((Path(frame.name).name, float(px), float(py)))
        tracks.append(HandTrack(f"{row} {column}", tuple(seen), tuple(points_to_blender(point).tolist())))
    return HandTracks(tuple(tracks))


def test_tracks_by_hand_and_frames_solved_again_count_the_files_own_pixels(thin: Path, tmp_path: Path) -> None:
    truth, folder = known_truth(thin), tmp_path / "solve"
    job = Job(
        inputs=(str(thin / "plates"),),
        output=str(folder),
        kind="sequence",
        engine="colmap",
        known=Known(pixel_aspect=2.0),
        hand_tracks=points_by_hand(truth),
    )
    run_job(job, Silent())
    document = json.loads((folder / "reconstruction.json").read_text())
    assert document["hand_tracks"]["gives"] == "survey"
    for track in document["hand_tracks"]["tracks"]:
        assert track["residual_px"] < 1.0
        assert track["fits"]
    good = evaluate_folder(folder, thin / "truth.json")
    assert good.reprojection.median < 0.5

    frame = document["frames"][3]
    frame["camera_from_world"][0][3] += 0.3
    (folder / "reconstruction.json").write_text(json.dumps(document))
    bad = evaluate_folder(folder, thin / "truth.json")
    assert bad.frames[3].reprojection > 5
    again = Job(
        inputs=job.inputs, output=str(folder), frames=FrameRange(frame["number"], frame["number"] + 1), resolve=True
    )
    run_job(again, Silent())
    mended = evaluate_folder(folder, thin / "truth.json")
    assert mended.frames[3].reprojection < 0.5
    result = load_reconstruction(folder)
    assert result.frames[3].pose.fy / result.frames[3].pose.fx == pytest.approx(2.0, rel=1e-6)
    assert (result.frames[3].width, result.frames[3].height) == (240, 270)
