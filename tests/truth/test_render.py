"""Rendered truth is true: known points appear where the recorded cameras put them, at the recorded depth."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("bpy")
cv2 = pytest.importorskip("cv2")

import bpy  # noqa: E402

from benchmarks.truth import paths, props  # noqa: E402
from benchmarks.truth.record import Place  # noqa: E402
from benchmarks.truth.render import render_shot  # noqa: E402
from benchmarks.truth.shots import Shot  # noqa: E402
from vggt_blender.evaluation import load_truth  # noqa: E402
from vggt_blender.geometry.blender_axes import BLENDER_FROM_OPENCV  # noqa: E402
from vggt_blender.geometry.cameras import project, unproject  # noqa: E402
from vggt_blender.scene.versions import node_material  # noqa: E402

# in Blender's world: x right, y away from the camera, z up
BALLS = np.array([[-2.2, 6.0, 1.9], [0.1, 5.0, 0.4], [2.4, 6.5, 0.2], [1.7, 5.5, 2.0], [-1.2, 5.2, -0.2]])
WALL = 9.0
BARREL = (-0.15, 0.02, 0.001, -0.0005, 0.0)


def glowing(name: str, strength: float) -> bpy.types.Material:
    material = node_material(name)
    nodes = material.node_tree.nodes
    emission, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    emission.inputs["Strength"].default_value = strength
    material.node_tree.links.new(emission.outputs[0], output.inputs["Surface"])
    return material


def build(seed: int) -> None:
    white, black = glowing("white", 0.9), glowing("black", 0.0)
    for k, ball in enumerate(BALLS):
        props.place(f"ball{k}", props.rock(0.09, 1, 0.0, 1.0), white, ball, smooth=True)
    props.place("wall", props.box((60, 0.2, 60)), black, (0, WALL + 0.1, -30))


def move(count: int) -> np.ndarray:
    positions = paths.through([(-0.6, 0.0, 0.8), (0.5, 0.4, 1.0)], count)
    return paths.look_along(positions, (0.2, 6.0, 0.8), np.linspace(-8, 5, count))


@pytest.fixture(scope="module", params=[None, BARREL], ids=["pinhole", "distorted"])
def rendered(request, tmp_path_factory):
    zoom = (26, 26) if request.param else (30, 24)
    shot = Shot("probe", build, move, size=(240, 136), frames=2, focal_mm=zoom, distortion=request.param)
    place = Place(tmp_path_factory.mktemp("truth") / "probe", shot, shot.size)
    place.prepare({})
    told: list[str] = []
    render_shot(shot, place, 16, told.append)
    assert len(told) == 4
    return place


def test_points_lie_where_the_cameras_say(rendered):
    truth = load_truth(rendered.folder / "truth.json")
    for frame in truth.frames:
        picture = cv2.imread(str(rendered.folder / frame.name), cv2.IMREAD_GRAYSCALE).astype(float)
        pixels, _ = project(BALLS @ BLENDER_FROM_OPENCV, frame.camera_from_world, frame.lens)
        light = np.where(picture > 40, picture, 0)
        found = []
        for x, y in pixels:
            left, top = int(x) - 6, int(y) - 6
            patch = light[top : top + 13, left : left + 13]
            rows, columns = np.mgrid[top : top + 13, left : left + 13] + 0.5
            found.append([(patch * columns).sum() / patch.sum(), (patch * rows).sum() / patch.sum()])
        offsets = np.asarray(found) - pixels
        assert np.abs(offsets).max() < 0.12
        assert np.abs(offsets.mean(axis=0)).max() < 0.05  # half a pixel would show here


def test_depth_is_that_of_the_pixel_centre(rendered):
    truth = load_truth(rendered.folder / "truth.json")
    for frame in truth.frames:
        rows, columns = np.mgrid[: frame.height, : frame.width] + 0.5
        pixels = np.stack([columns, rows], axis=-1)
        points = unproject(pixels, frame.depth, frame.camera_from_world, frame.lens) @ BLENDER_FROM_OPENCV.T
        nearest = np.linalg.norm(points[..., None, :] - BALLS, axis=-1).min(axis=-1)
        on_wall = np.abs(points[..., 1] - WALL) < 1e-3
        assert on_wall.mean() > 0.97
        assert (on_wall | (np.abs(nearest - 0.09) < 0.01)).mean() > 0.999


def test_finished_frames_are_kept_and_other_settings_start_anew(tmp_path):
    shot = Shot("probe", build, move, size=(48, 28), frames=2)
    place = Place(tmp_path / "probe", shot, shot.size)
    place.prepare({"samples": 1})
    told: list[str] = []
    render_shot(shot, place, 1, told.append)
    first = place.color(0).read_bytes()
    place.depth(1).unlink()
    told.clear()
    place.prepare({"samples": 1})
    render_shot(shot, place, 1, told.append)
    assert told == ["probe: depth 2 of 2"]
    place.color(0).write_bytes(b"kept")
    place.prepare({"samples": 1})
    render_shot(shot, place, 1, told.append)
    assert place.color(0).read_bytes() == b"kept"
    place.prepare({"samples": 2})
    assert not place.color(0).exists()
    render_shot(shot, place, 1, told.append)
    assert place.color(0).read_bytes() == first  # the same seed
    assert json.loads((place.folder / "truth.json").read_text())["width"] == 48


def test_tracks_follow_the_surface(rendered):
    truth = load_truth(rendered.folder / "truth.json")
    with np.load(rendered.folder / "tracks.npz") as tracks:
        xy, visible, xyz = tracks["xy"], tracks["visible"], tracks["xyz"].astype(float)
    assert xy.shape == (2, 800, 2)
    assert visible[0, :200].all()
    assert 0.5 < visible[1, :200].mean() < 1.0
    for k, frame in enumerate(truth.frames):
        seen = visible[k]
        pixels, _ = project(xyz[seen], frame.camera_from_world, frame.lens)
        assert np.allclose(pixels, xy[k][seen], atol=1e-3)
        assert (xy[k][seen] > 0).all()
        assert (xy[k][seen] < [frame.width, frame.height]).all()
    on_wall = np.abs((xyz @ BLENDER_FROM_OPENCV.T)[:, 1] - WALL) < 1e-3
    assert on_wall.mean() > 0.95
