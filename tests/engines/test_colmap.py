"""Engine `colmap` by truth: the sample shot's known cameras and depth, and real photos where they are at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from PIL import Image

from vggt_blender.engines import run_job
from vggt_blender.engines.colmap.mapping import drop_loose_frames, solve
from vggt_blender.evaluation import evaluate_folder
from vggt_blender.exchange.job import FrameRange, Job
from vggt_blender.exchange.known import Known
from vggt_blender.exchange.messages import Cancelled, JobError
from vggt_blender.exchange.reconstruction import Reconstruction, load_reconstruction
from vggt_blender.geometry.cameras import project, sample_pixels, unproject

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "courtyard"
SMALL_YARD = ROOT / "tests" / "data" / "truth" / "small_yard"
KITCHEN = ROOT.parent / "shared" / "photos" / "kitchen"


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory, recorder_type: Any) -> Path:
    """Every third frame of the sample: wider steps than the shot itself has."""
    output = tmp_path_factory.mktemp("sample") / "out"
    job = Job((str(SAMPLE),), str(output), engine="colmap", frames=FrameRange(1002, None, 3))
    return run_job(job, recorder_type())


@pytest.mark.slow
def test_cameras_and_depth_of_the_sample(solved: Path) -> None:
    report = evaluate_folder(solved, SAMPLE / "truth.json").to_dict()
    assert report["registered"] == 8
    assert report["reprojection"]["median"] < 0.1
    assert report["path"]["ate_percent"] < 0.03
    assert report["focal"]["median"] < 0.001
    assert report["depth"]["abs_rel"] < 0.016
    assert report["depth"]["coverage"] > 0.82, "wider steps than the shot's own cost coverage"


@pytest.mark.slow
def test_folder_describes_the_plates(solved: Path) -> None:
    result = load_reconstruction(solved)
    assert [frame.number for frame in result.frames] == list(range(1002, 1025, 3))
    assert result.source.kind == "sequence"
    assert len({frame.pose.fx for frame in result.frames}) == 1, "one lens"
    assert (result.frames[0].pose.cx, result.frames[0].pose.cy) == (480, 270)
    np.testing.assert_allclose(result.frames[0].pose.camera_from_world, np.eye(3, 4), atol=1e-9)
    assert result.points is not None
    assert np.median(result.points.error) < 0.5
    assert result.points.observations.min() >= 2


@pytest.mark.slow
def test_depth_maps_agree_with_each_other(solved: Path) -> None:
    """A point of one map, seen from the next camera, lies on that camera's map (unless something is in front)."""
    result = load_reconstruction(solved)
    share = agreement(result, 2, 3)
    assert share > 0.85


def agreement(result: Reconstruction, first: int, second: int) -> float:
    here, there = result.frames[first], result.frames[second]
    depth = np.asarray(result.depth[first])
    known = np.isfinite(depth)
    pixels = sample_pixels(depth.shape, here.depth_to_image)[known]
    points = unproject(pixels, depth[known], here.pose.camera_from_world, here.pose)
    seen, expected = project(points, there.pose.camera_from_world, there.pose)
    affine = there.depth_to_image
    column, row = np.floor((seen - affine[:, 2]) / [affine[0, 0], affine[1, 1]]).astype(int).T
    inside = (row >= 0) & (row < depth.shape[0]) & (column >= 0) & (column < depth.shape[1])
    found = np.asarray(result.depth[second])[row[inside], column[inside]]
    compared = np.isfinite(found) & (found > 0.95 * expected[inside])
    return float((np.abs(found / expected[inside] - 1)[compared] < 0.02).mean())


def test_pictures_that_do_not_overlap_say_so_in_one_line(recorder: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        noise = rng.integers(0, 255, (60, 80, 3), np.uint8)
        Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    with pytest.raises(JobError) as refused:
        run_job(Job((str(tmp_path),), str(tmp_path / "out"), engine="colmap"), recorder)
    assert refused.value.code == "no_overlap"
    assert "\n" not in refused.value.message
    assert not (tmp_path / "out").exists()


def test_two_frames_near_each_other_are_enough(recorder: Any, tmp_path: Path) -> None:
    job = Job((str(SMALL_YARD),), str(tmp_path / "out"), engine="colmap", frames=FrameRange(1001, 1008, 6))
    report = evaluate_folder(run_job(job, recorder), SMALL_YARD / "truth.json").to_dict()
    assert report["registered"] == 2
    assert report["reprojection"]["median"] < 1.0


def test_a_black_frame_does_not_ask_for_another_mapper(recorder_type: Any, tmp_path: Path) -> None:
    """The global mapper tells nothing on its way; the incremental one, which is slow, tells of each frame it places."""
    for number, source in enumerate(sorted(SMALL_YARD.glob("*.jpg"))[:8:2], 1):
        (tmp_path / f"shot.{number:04d}.jpg").write_bytes(source.read_bytes())
    with Image.open(tmp_path / "shot.0001.jpg") as picture:
        Image.new("RGB", picture.size).save(tmp_path / "shot.0005.jpg")
    placed: set[int] = set()

    class UpToTheCameras(recorder_type):  # type: ignore[misc]
        """Keeps how many frames the mappers told of, and cancels once the cameras are there."""

        def progress(self, stage: str, done: int, total: int) -> None:
            if stage == "cameras":
                placed.add(done)
            if stage in ("adjusting", "depth"):
                raise Cancelled

    with pytest.raises(Cancelled):
        run_job(Job((str(tmp_path),), str(tmp_path / "out"), engine="colmap"), UpToTheCameras())
    assert placed == {0, 5}


@pytest.mark.slow
@pytest.mark.skipif(not KITCHEN.is_dir(), reason="the real photos are not here")
def test_real_photos_of_a_table_are_placed(recorder: Any, tmp_path: Path) -> None:
    folder = run_job(
        Job((str(KITCHEN),), str(tmp_path / "out"), engine="colmap", frames=FrameRange(None, None, 2)), recorder
    )
    result = load_reconstruction(folder)
    assert [frame.registered for frame in result.frames] == [True] * 13
    assert result.engine["residual_px"] < 1.0


def synthetic_model() -> pycolmap.Reconstruction:
    """Six exact cameras around a hundred points."""
    pycolmap.set_random_seed(0)
    options = pycolmap.SyntheticDatasetOptions(num_rigs=1, num_cameras_per_rig=1, num_frames_per_rig=6)
    options.num_points3D = 100
    return pycolmap.synthesize_dataset(options)


def test_frames_that_the_structure_does_not_hold_are_not_registered() -> None:
    model = synthetic_model()
    loose, reversed_, *held = sorted(model.reg_image_ids())
    for index in model.images[loose].get_observation_point2D_idxs()[5:]:
        model.delete_observation(loose, index)
    half_turn = pycolmap.Rigid3d(np.diag([-1.0, 1.0, -1.0]) @ np.eye(3, 4))
    frame = model.images[reversed_].frame
    frame.rig_from_world = half_turn * frame.rig_from_world
    before = {image: model.images[image].cam_from_world().matrix() for image in held}
    drop_loose_frames(model)
    assert sorted(model.reg_image_ids()) == held
    for image in held:
        np.testing.assert_array_equal(model.images[image].cam_from_world().matrix(), before[image])
        assert model.images[image].num_points3D == 100


@pytest.mark.parametrize("noise", [3.0, 6.0])
def test_what_holds_no_frame_is_no_model(tmp_path: Path, noise: float) -> None:
    """Few points, badly seen: frames are placed by them at first, and let go because too little holds them."""
    pycolmap.set_random_seed(0)
    options = pycolmap.SyntheticDatasetOptions(num_rigs=1, num_cameras_per_rig=1, num_frames_per_rig=3)
    options.num_points3D = 18
    database = pycolmap.Database.open(tmp_path / "matches.db")
    model = pycolmap.synthesize_dataset(options, database)
    pycolmap.synthesize_noise(pycolmap.SyntheticNoiseOptions(point2D_stddev=noise), model, database)
    database.close()
    found, _ = solve(tmp_path / "matches.db", 3, lambda placed: None, Known())
    assert found is None or found.num_reg_images() >= 2


def test_a_cut_is_named_with_the_frames_beyond_it(recorder: Any, tmp_path: Path) -> None:
    """Two shots in one clip: the longer one is solved, and the frames of the other are told from blurred ones."""
    plates = sorted(SMALL_YARD.glob("*.jpg"))[::2][:4] + sorted(SAMPLE.glob("*.jpg"))[::4][:2]
    for number, plate in enumerate(plates, 1):
        with Image.open(plate) as picture:
            picture.resize((480, 270)).save(tmp_path / f"clip.{number:04d}.png")
    folder = run_job(Job((str(tmp_path),), str(tmp_path / "out"), engine="colmap"), recorder)
    assert [frame.registered for frame in load_reconstruction(folder).frames] == [True] * 4 + [False] * 2
    (said,) = (warning for warning in recorder.warnings if "a cut" in warning)
    assert "clip.0005.png to clip.0006.png" in said
