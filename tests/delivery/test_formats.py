"""What is written for other programs, read back by them: it lands on the same pixels."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
import trimesh

from vggt_blender.delivery.cloud import gather_points
from vggt_blender.delivery.formats import FOLDERS, FORMATS, export
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import Frame, Points, Pose, Reconstruction, Source, load_reconstruction
from vggt_blender.exchange.writer import ReconstructionWriter
from vggt_blender.geometry.cameras import Lens, project, rays_of_pixels, sample_pixels

SIZE, MAP = (320, 200), (40, 25)
AFFINE = np.array([[8.0, 0, 0], [0, 8.0, 0]])
WALL = 5.0  # the scene is the plane z = 5, colored by where it is


def poses(distortion: tuple[float, float, float, float, float] | None) -> list[np.ndarray]:
    return [
        np.column_stack([cv2.Rodrigues(np.array([0.02 * i, -0.05 * i, 0.3 * i]))[0], [-0.2 * i, 0.05 * i, 0.1 * i]])
        for i in range(4)
    ]


def make(folder: Path, distortion: tuple[float, float, float, float, float] | None = None) -> Reconstruction:
    """Four frames of a wall, the third not placed; depth from the plane, sparse points on it."""
    lens = Lens(300.0, 305.0, 155.0, 104.0, distortion)
    frames = []
    with ReconstructionWriter(folder) as writer:
        writer.open_dense(4, MAP[1], MAP[0])
        for index, matrix in enumerate(poses(distortion)):
            rays = rays_of_pixels(sample_pixels(MAP[::-1], AFFINE), lens)
            camera = np.dstack([rays, np.ones(rays.shape[:2])])
            directions = camera @ matrix[:, :3]
            center = -matrix[:, :3].T @ matrix[:, 3]
            writer.depth[index] = (WALL - center[2]) / directions[..., 2]
            writer.confidence[index] = np.linspace(0, 1, MAP[0])
            writer.color[index] = (index * 60, 100, 200)
            pose = None if index == 2 else Pose(matrix, lens.fx, lens.fy, lens.cx, lens.cy, distortion)
            number = None if distortion else 1001 + index
            frames.append(Frame(f"w.{1001 + index}.png", "p", index, number, *SIZE, pose, AFFINE))
        xyz = np.random.default_rng(0).uniform(-1, 1, (30, 3)).astype(np.float32)
        xyz[:, 2] = WALL
        writer.write_points(
            Points(xyz, np.full((30, 3), 99, np.uint8), np.full(30, 0.4, np.float32), np.full(30, 3, np.int32))
        )
        writer.finish(engine={"name": "t"}, source=Source("sequence", "p", 24.0), frames=frames)
    return load_reconstruction(folder)


WIDE = (-0.2, 0.05, 1e-3, -5e-4, 0.0)


@pytest.mark.parametrize("distortion", [None, WIDE])
def test_the_cloud_lies_where_the_scene_is(tmp_path: Path, distortion: tuple[float, ...] | None) -> None:
    points, colors = gather_points(make(tmp_path / "r", distortion), percentile=0)
    assert len(points) == 3 * MAP[0] * MAP[1]
    assert np.allclose(points[:, 2], WALL, atol=1e-5)
    assert sorted({tuple(color) for color in colors.tolist()}) == [(0, 100, 200), (60, 100, 200), (180, 100, 200)]


def test_the_cloud_leaves_out_what_is_unsure_and_keeps_to_its_limit(tmp_path: Path) -> None:
    result = make(tmp_path / "r")
    assert len(gather_points(result, percentile=50)[0]) == pytest.approx(1.5 * MAP[0] * MAP[1], rel=0.1)
    assert 490 <= len(gather_points(result, limit=500, percentile=0)[0]) <= 500


def test_where_no_depth_is_known_the_sparse_points_are_the_cloud(tmp_path: Path) -> None:
    result = make(tmp_path / "r")
    unknown = dataclasses.replace(result, depth=np.full_like(result.depth, np.nan))
    points, colors = gather_points(unknown)
    assert np.array_equal(points, result.points.xyz)
    assert np.array_equal(colors, result.points.rgb)
    with pytest.raises(JobError, match="neither depth that is known nor points"):
        gather_points(dataclasses.replace(unknown, points=None))


def test_ply(tmp_path: Path) -> None:
    result = make(tmp_path / "r")
    path = export(result, "ply", tmp_path / "deep/cloud.ply")
    read = trimesh.load(path)
    points, colors = gather_points(result)
    assert np.allclose(read.vertices, points)
    assert np.array_equal(read.colors[:, :3], colors)


def glb_document(path: Path) -> dict:
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length])


def test_glb_shows_points_through_its_cameras_at_the_same_pixels(tmp_path: Path) -> None:
    """glTF 2.0: y up, a camera looks along -z, column-major matrices, yfov over the whole height."""
    result = make(tmp_path / "r")
    path = export(result, "glb", tmp_path / "a.glb")
    (cloud,) = trimesh.load(path).geometry.values()
    points, colors = gather_points(result)
    assert np.array_equal(cloud.colors[:, :3], colors)
    document = glb_document(path)
    placed = [frame for frame in result.frames if frame.registered]
    nodes = [node for node in document["nodes"] if "camera" in node]
    assert [node["name"] for node in nodes] == [frame.name for frame in placed]
    shown = {child for node in document["scenes"][0]["nodes"] for child in [node]}
    for node, frame in zip(nodes, placed, strict=True):
        assert document["nodes"].index(node) in shown
        lens = document["cameras"][node["camera"]]["perspective"]
        world_from_camera = np.array(node["matrix"]).reshape(4, 4).T
        x, y, z, _ = np.linalg.inv(world_from_camera) @ np.column_stack([cloud.vertices, np.ones(len(points))]).T
        focal_y = 1 / math.tan(lens["yfov"] / 2)
        column = SIZE[0] / 2 * (1 + x / -z * focal_y / lens["aspectRatio"])
        row = SIZE[1] / 2 * (1 - y / -z * focal_y)
        centred = Lens(frame.pose.fx, frame.pose.fy, SIZE[0] / 2, SIZE[1] / 2)
        expected, _ = project(points, frame.pose.camera_from_world, centred)
        assert np.allclose(np.column_stack([column, row]), expected, atol=0.02)


@pytest.mark.parametrize("distortion", [None, WIDE, (-0.2, 0.05, 1e-3, -5e-4, 0.01)])
def test_colmap_projects_to_the_same_pixels(tmp_path: Path, distortion: tuple[float, ...] | None) -> None:
    result = make(tmp_path / "r", distortion)
    model = pycolmap.Reconstruction(export(result, "colmap", tmp_path / "model"))
    placed = {frame.name: frame for frame in result.frames if frame.registered}
    assert {image.name for image in model.images.values()} == set(placed)
    assert len(model.cameras) == 1
    assert len(model.points3D) == 30
    for image in model.images.values():
        frame = placed[image.name]
        lens = Lens(frame.pose.fx, frame.pose.fy, frame.pose.cx, frame.pose.cy, frame.pose.distortion)
        expected, _ = project(result.points.xyz, frame.pose.camera_from_world, lens)
        assert (model.cameras[image.camera_id].width, model.cameras[image.camera_id].height) == SIZE
        points = np.array([model.points3D[identity].xyz for identity in sorted(model.points3D)])
        pixels = np.array([image.project_point(point) for point in points])
        assert np.allclose(pixels, expected, atol=1e-3)
    assert (next(iter(model.points3D.values())).color == 99).all()


def test_chan_projects_to_the_same_pixels(tmp_path: Path) -> None:
    """Nuke: frame tx ty tz rx ry rz vfov; y up, looking along -z; order ZXY, so R = Ry Rx Rz."""
    result = make(tmp_path / "r")
    lines = export(result, "chan", tmp_path / "cam.chan").read_text().splitlines()
    placed = [frame for frame in result.frames if frame.registered]
    assert [int(line.split()[0]) for line in lines] == [1001, 1002, 1004]
    points, _ = gather_points(result)
    for line, frame in zip(lines, placed, strict=True):
        tx, ty, tz, rx, ry, rz, vfov = (float(value) for value in line.split()[1:])
        about = [
            cv2.Rodrigues(np.radians(angle) * axis)[0] for angle, axis in zip((rx, ry, rz), np.eye(3), strict=True)
        ]
        rotation = about[1] @ about[0] @ about[2]
        y_up = points * [1, -1, -1]
        x, y, z = ((y_up - [tx, ty, tz]) @ rotation).T
        focal = SIZE[1] / 2 / math.tan(math.radians(vfov) / 2)
        centred = Lens(frame.pose.fy, frame.pose.fy, SIZE[0] / 2, SIZE[1] / 2)
        expected, _ = project(points, frame.pose.camera_from_world, centred)
        pixels = np.column_stack([SIZE[0] / 2 + focal * x / -z, SIZE[1] / 2 - focal * y / -z])
        assert np.allclose(pixels, expected, atol=1e-3)


def test_chan_angles_do_not_jump(tmp_path: Path) -> None:
    frames = []
    for index, angle in enumerate(np.linspace(0, 4 * np.pi, 50)):
        turn = cv2.Rodrigues(np.array([0.0, angle, 0.0]))[0]
        frames.append(Frame(f"{index}", "p", index, index + 1, *SIZE, Pose(turn @ np.eye(3, 4), 300, 300, 160, 100)))
    with ReconstructionWriter(tmp_path / "r") as writer:
        writer.finish(engine={}, source=Source("sequence", "p"), frames=frames)
    text = export(load_reconstruction(tmp_path / "r"), "chan", tmp_path / "a.chan").read_text()
    angles = np.array([[float(value) for value in line.split()[4:7]] for line in text.splitlines()])
    assert np.abs(np.diff(angles, axis=0)).max() < 30


def test_nothing_is_overwritten_unasked_and_nothing_half_written(tmp_path: Path) -> None:
    result = make(tmp_path / "r")
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((*SIZE[::-1], 3), np.uint8))
    frames = tuple(dataclasses.replace(frame, path=str(tmp_path / "p.png")) for frame in result.frames)
    result = dataclasses.replace(result, frames=frames)
    for to in FORMATS:
        output = tmp_path / "out" / to
        export(result, to, output)
        with pytest.raises(JobError, match="already there"):
            export(result, to, output)
        export(result, to, output, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FORMATS)
    (tmp_path / "mine").mkdir()
    with pytest.raises(JobError, match="name a file"):
        export(result, "ply", tmp_path / "mine", overwrite=True)


@pytest.mark.parametrize("to", sorted(FOLDERS))
def test_a_folder_written_again_is_the_new_one_and_what_else_was_in_it_stays(tmp_path: Path, to: str) -> None:
    result = make(tmp_path / "r", WIDE)
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((*SIZE[::-1], 3), np.uint8))
    frames = [dataclasses.replace(frame, path=str(tmp_path / "p.png")) for frame in result.frames]
    frames[1] = dataclasses.replace(frames[1], pose=dataclasses.replace(frames[1].pose, fx=290.0))  # a lens each
    output = export(dataclasses.replace(result, frames=tuple(frames)), to, tmp_path / "out")
    earlier = {path.name for path in output.iterdir()}
    (output / "mine.txt").write_text("mine")
    (output / "mine").mkdir()
    (output / "mine" / "note.txt").write_text("mine")
    fewer = dataclasses.replace(result, frames=(dataclasses.replace(frames[0], number=7),))
    export(fewer, to, output, overwrite=True)
    export(fewer, to, tmp_path / "fresh")
    now, fresh = ({path.name for path in folder.iterdir()} for folder in (output, tmp_path / "fresh"))
    assert now == fresh | {"mine.txt", "mine"}
    assert to == "colmap" or earlier - now, "what the new one has not is gone"
    assert (output / "mine" / "note.txt").read_text() == "mine"
    assert not list(tmp_path.glob(".partial-*"))


def test_a_folder_of_somebody_elses_is_written_into(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.txt").write_text("mine")
    (tmp_path / "own" / "images.bin").mkdir()
    (tmp_path / "own" / "images.bin" / "note.txt").write_text("mine")
    before = (tmp_path / "own").stat().st_ino
    with pytest.raises(JobError, match="Cannot write"):  # a folder has the name of a file
        export(make(tmp_path / "r"), "colmap", tmp_path / "own", overwrite=True)
    assert (tmp_path / "own" / "images.bin" / "note.txt").read_text() == "mine"
    export(make(tmp_path / "s"), "stmap", tmp_path / "own", overwrite=True)
    assert {"mine.txt", "images.bin", "lens.json"} <= {path.name for path in (tmp_path / "own").iterdir()}
    assert (tmp_path / "own").stat().st_ino == before


def test_what_is_not_there_cannot_be_written(tmp_path: Path) -> None:
    with ReconstructionWriter(tmp_path / "r") as writer:
        writer.finish(engine={}, source=Source("images", "p"), frames=[Frame("a", "p", 0, None, 4, 4)])
    empty = load_reconstruction(tmp_path / "r")
    for to in FORMATS:
        with pytest.raises(JobError) as caught:
            export(empty, to, tmp_path / "out")
        assert caught.value.code == "nothing"
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".partial-*"))
