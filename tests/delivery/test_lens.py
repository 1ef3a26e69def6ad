"""ST-maps and straightened plates: the pair undoes itself, and what they show is where a straight lens sees it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")
import cv2
import numpy as np
import pytest

from vggt_blender.delivery.exr import write_exr
from vggt_blender.delivery.formats import export
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import Frame, Pose, Reconstruction, Source, load_reconstruction
from vggt_blender.exchange.undistorted import with_straight_plates
from vggt_blender.exchange.writer import ReconstructionWriter
from vggt_blender.geometry.cameras import Lens, project, sample_pixels
from vggt_blender.geometry.stmaps import straight_picture

SIZE = (320, 200)
BARREL = (-0.25, 0.06, 4e-3, -6e-3, 0.0)
PINCUSHION = (0.12, 0.02, -2e-3, 1e-3, 0.0)


def read_exr(path: Path) -> np.ndarray:
    """(H, W, 3) in the order R, G, B."""
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]


def make(
    folder: Path,
    distortion: tuple[float, ...] | None,
    kind: str = "sequence",
    focals: tuple[float, ...] = (300.0, 300.0),
) -> Reconstruction:
    """Frames of a smooth picture, and a solve that says how the lens bends it; the last frame is not placed."""
    plates = folder.parent / "plates"
    plates.mkdir(exist_ok=True)
    frames = []
    for index, focal in enumerate((*focals, None)):
        path = plates / f"plate.{1001 + index}.png"
        pixels = sample_pixels(SIZE[::-1], np.eye(3)[:2])
        ramp = np.concatenate([pixels * 100, np.full((*SIZE[::-1], 1), 500 * index)], axis=-1)
        cv2.imwrite(str(path), ramp.astype(np.uint16)[..., ::-1])
        pose = None if focal is None else Pose(np.eye(3, 4), focal, focal, 150.0, 108.0, distortion)
        frames.append(Frame(path.name, str(path), index, 1001 + index, *SIZE, pose))
    with ReconstructionWriter(folder, overwrite=True) as writer:
        writer.finish(engine={"name": "t"}, source=Source("sequence", str(plates), 24.0), frames=frames)
    return load_reconstruction(folder)


@pytest.mark.parametrize("shape", [(5, 7), (16, 33), (61, 40)])
def test_exr_is_what_was_written(tmp_path: Path, shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    planes = {name: random.normal(size=shape).astype(np.float32) for name in "RGB"}
    planes["R"][:] = np.linspace(0, 1, shape[1])  # one that compresses, two that do not
    write_exr(tmp_path / "a.exr", planes)
    np.testing.assert_array_equal(read_exr(tmp_path / "a.exr"), np.stack([planes[name] for name in "RGB"], axis=-1))


@pytest.mark.parametrize("distortion", [BARREL, PINCUSHION, None])
def test_the_overscan_holds_the_whole_plate(distortion: tuple[float, ...] | None) -> None:
    picture = straight_picture(Lens(300.0, 305.0, 150.0, 108.0, distortion), *SIZE)
    back = picture.redistort_map()
    assert np.isfinite(back).all()
    assert (back > 0).all()
    assert (back < picture.size).all()
    if distortion == BARREL:
        assert picture.border_x > 5
    if distortion is None:
        assert (picture.border_x, picture.border_y) == (0, 0)
        np.testing.assert_allclose(back, sample_pixels(SIZE[::-1], np.eye(3)[:2]))


@pytest.mark.parametrize("distortion", [BARREL, PINCUSHION])
def test_st_maps_project_to_the_same_pixels_and_undo_each_other(tmp_path: Path, distortion: tuple[float, ...]) -> None:
    result = make(tmp_path / "r", distortion)
    folder = export(result, "stmap", tmp_path / "maps")
    assert sorted(path.name for path in folder.iterdir()) == ["lens.json", "redistort.exr", "undistort.exr"]
    document = json.loads((folder / "lens.json").read_text())["undistort.exr"]
    undistort, redistort = read_exr(folder / "undistort.exr"), read_exr(folder / "redistort.exr")
    straight = document["straight"]
    assert undistort.shape[:2] == (straight["height"], straight["width"])
    assert redistort.shape[:2] == SIZE[::-1]
    # points of the world: the straight lens's pixel, looked up in the map, is the plate's pixel
    points = np.random.default_rng(1).uniform([-0.45, -0.28, 1], [0.45, 0.28, 1], (200, 3)) * [[3, 3, 3]]
    ideal, _ = project(points, np.eye(3, 4), Lens(*(straight[key] for key in ("fx", "fy", "cx", "cy"))))
    bent, _ = project(points, np.eye(3, 4), Lens(300.0, 300.0, 150.0, 108.0, distortion))
    inside = ((bent > 2) & (bent < np.array(SIZE) - 2)).all(axis=1)
    assert inside.sum() > 100
    found = looked_up(undistort, ideal[inside], SIZE)
    np.testing.assert_allclose(found, bent[inside], atol=0.02)
    back = looked_up(redistort, bent[inside], (straight["width"], straight["height"]))
    np.testing.assert_allclose(back, ideal[inside], atol=0.02)


def looked_up(table: np.ndarray, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels (N, 2) of a picture of `size` that an ST-map names at `pixels` (N, 2)."""
    at = (pixels - 0.5).astype(np.float32)
    st = cv2.remap(table[..., :2], at[None], None, cv2.INTER_LINEAR)[0]
    return np.stack([st[:, 0] * size[0], (1 - st[:, 1]) * size[1]], axis=-1)


def test_a_lens_that_zooms_gets_a_map_a_frame(tmp_path: Path) -> None:
    folder = export(make(tmp_path / "r", BARREL, focals=(300.0, 320.0)), "stmap", tmp_path / "maps")
    assert sorted(path.name for path in folder.glob("undistort*")) == ["undistort.1001.exr", "undistort.1002.exr"]


def test_straight_plates_keep_depth_numbers_and_place(tmp_path: Path) -> None:
    result = make(tmp_path / "r", BARREL)
    folder = export(result, "undistorted", tmp_path / "r" / "undistorted")
    straight = with_straight_plates(result)
    assert [frame.number for frame in straight.frames if frame.registered] == [1001, 1002]
    assert straight.frames[2].pose is None
    assert (straight.frames[2].width, straight.frames[2].height) == (
        straight.frames[0].width,
        straight.frames[0].height,
    )
    assert Path(straight.frames[2].path).is_file()  # the sequence has no hole where a frame was not placed
    frame = straight.frames[1]
    assert frame.pose.distortion is None
    assert (frame.width, frame.height) != SIZE
    assert folder in Path(frame.path).parents
    seen = cv2.imread(frame.path, cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert seen.dtype == np.uint16
    assert seen.shape[:2] == (frame.height, frame.width)
    # the ramp says which pixel of the plate each one shows
    points = np.random.default_rng(1).uniform([-0.4, -0.25, 1], [0.4, 0.25, 1], (100, 3)) * 2
    pose = frame.pose
    ideal, _ = project(points, pose.camera_from_world, Lens(pose.fx, pose.fy, pose.cx, pose.cy))
    bent, _ = project(points, pose.camera_from_world, Lens(300.0, 300.0, 150.0, 108.0, BARREL))
    inside = ((bent > 6) & (bent < np.array(SIZE) - 6)).all(axis=1)
    at = (ideal[inside] - 0.5).astype(np.float32)
    shown = cv2.remap(seen.astype(np.float32), at[None], None, cv2.INTER_LINEAR)[0]
    np.testing.assert_allclose(shown[:, :2] / 100, bent[inside], atol=0.06)
    assert shown[:, 2] == pytest.approx(500, abs=2)


def test_straight_plates_that_are_incomplete_are_left_alone(tmp_path: Path) -> None:
    result = make(tmp_path / "r", BARREL)
    assert with_straight_plates(result) is result
    folder = export(result, "undistorted", tmp_path / "r" / "undistorted")
    document = (folder / "undistorted.json").read_text()
    for wrong in ("Infinity", "0", "1" * 500, "[" * 100_000, "null"):
        (folder / "undistorted.json").write_text(document.replace('"width": ', f'"width": {wrong}, "stored": '))
        assert with_straight_plates(result) is result
    (folder / "undistorted.json").write_text(document)
    assert with_straight_plates(result) is not result
    next(folder.glob("*1002.png")).unlink()
    assert with_straight_plates(result) is result
    (folder / "undistorted.json").write_text("[]")
    assert with_straight_plates(result) is result


def test_a_new_solve_overrules_straight_plates_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    first = make(folder, BARREL)
    export(first, "undistorted", folder / "undistorted")
    export(first, "chan", tmp_path / "first.chan")
    again = make(folder, BARREL, focals=(300.0, 320.0))  # one frame of a zoom, solved again
    said: list[str] = []
    assert with_straight_plates(again, said.append) is again
    assert len(said) == 1
    assert "write them again" in said[0]
    export(again, "chan", tmp_path / "again.chan")
    views = [float(line.split()[-1]) for line in (tmp_path / "again.chan").read_text().splitlines()]
    np.testing.assert_allclose(views, 2 * np.degrees(np.arctan(SIZE[1] / 2 / np.array([300.0, 320.0]))))
    bent = make(folder, PINCUSHION)  # the same focal length
    assert with_straight_plates(bent) is bent
    assert with_straight_plates(make(folder, BARREL)).frames[0].pose.distortion is None  # these are of its lens
    export(again, "undistorted", folder / "undistorted", overwrite=True)
    straight = with_straight_plates(make(folder, BARREL, focals=(300.0, 320.0)), said.append)
    assert [frame.pose.fx for frame in straight.frames[:2]] == [300.0, 320.0]
    assert len(said) == 1


def test_straight_plates_that_do_not_say_of_which_lens_they_are_are_not_used(tmp_path: Path) -> None:
    result = make(tmp_path / "r", BARREL)
    document = export(result, "undistorted", tmp_path / "r" / "undistorted") / "undistorted.json"
    plates = json.loads(document.read_text())
    for plate in plates["frames"].values():
        del plate["plate"]
    document.write_text(json.dumps(plates))
    said: list[str] = []
    assert with_straight_plates(result, said.append) is result
    assert len(said) == 1


def test_straight_plates_stay_in_their_folder_whatever_a_frame_is_called(tmp_path: Path) -> None:
    """By the rules of every system: a path's separators and drives, and names that differ in case alone."""
    source = tmp_path / "p.png"
    cv2.imwrite(str(source), np.zeros((*SIZE[::-1], 3), np.uint8))
    names = ["../../up", "..\\..\\up", "D:\\x", "/root/x", "a_b.jpg_5", "a/b.jpg", "A_B.jpg", "..", "", "x" * 400]
    pose = Pose(np.eye(3, 4), 300.0, 300.0, 160.0, 100.0, BARREL)
    with ReconstructionWriter(tmp_path / "r") as writer:
        frames = [Frame(name, str(source), index, None, *SIZE, pose) for index, name in enumerate(names)]
        writer.finish(engine={"name": "t"}, source=Source("images", str(tmp_path)), frames=frames)
    result = load_reconstruction(tmp_path / "r")
    before = set(tmp_path.rglob("*"))
    folder = export(result, "undistorted", tmp_path / "r" / "undistorted")
    written = set(tmp_path.rglob("*")) - before - {folder, folder / "undistorted.json"}
    assert {path.parent for path in written} == {folder}
    assert len({path.name.casefold() for path in written}) == len(names)
    assert all(re.fullmatch(r"[\w-][\w.-]*\.png", path.name) for path in written)
    assert [frame.pose.distortion for frame in with_straight_plates(result).frames] == [None] * len(names)


def test_a_plate_that_moved_is_one_line(tmp_path: Path) -> None:
    result = make(tmp_path / "r", BARREL)
    (tmp_path / "plates" / "plate.1002.png").unlink()
    with pytest.raises(JobError, match="still where it was solved from"):
        export(result, "undistorted", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_frames_of_a_video_become_a_sequence(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for grey in (40, 90, 140, 190):
            picture = np.full((*SIZE[::-1], 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    frames = [
        Frame(f"clip.{index + 1:04d}", str(path), index, index + 1, *SIZE,
              Pose(np.eye(3, 4), 300.0, 300.0, 160.0, 100.0, BARREL)) for index in (1, 3)
    ]  # fmt: skip
    with ReconstructionWriter(tmp_path / "r") as writer:
        writer.finish(engine={"name": "t"}, source=Source("video", str(path), 24.0), frames=frames)
    result = load_reconstruction(tmp_path / "r")
    folder = export(result, "undistorted", tmp_path / "r" / "undistorted")
    assert sorted(p.name for p in folder.glob("*.png")) == ["undistorted.0002.png", "undistorted.0004.png"]
    straight = with_straight_plates(result)
    assert straight.source.kind == "sequence"
    middle = cv2.imread(straight.frames[1].path)[80:120, 120:200]
    assert np.abs(middle.astype(int) - 190).max() < 8
