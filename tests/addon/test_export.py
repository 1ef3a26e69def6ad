"""What is exported from the scene, read back: it projects to the pixels that the shot's camera sees."""

from __future__ import annotations

import importlib
import importlib.util
import math
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

PLACES = np.random.default_rng(0).uniform([-1.2, 3.5, -0.7], [1.2, 5, 0.7], (30, 3))  # in front, on the shot's root
SIZE = (64, 36)
EXPORTED = [("USD", ".usdc"), ("ALEMBIC", ".abc")]


@pytest.fixture
def shot(bpy: ModuleType, addon: ModuleType, tmp_path: Path) -> SimpleNamespace:
    """An imported shot, its plate straight and off-centre, that the artist has moved, turned and scaled."""
    spec = importlib.util.spec_from_file_location("speaker", Path(__file__).with_name("speaker.py"))
    speaker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speaker)
    folder = speaker.write_reconstruction(str(tmp_path / "shot"), [])
    text = (folder / "reconstruction.json").read_text()
    (folder / "reconstruction.json").write_text(
        text.replace('"cx": 32.0', '"cx": 29.0').replace('"cy": 18.0', '"cy": 20.0')
    )
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    root = next(thing for thing in bpy.data.objects if thing.get("vggt_role") == "root")
    camera = next(thing for thing in bpy.data.objects if thing.get("vggt_role") == "camera")
    root.location, root.rotation_euler, root.scale = (2, -1, 0.5), (0.1, 0.05, 0.8), (2.5, 2.5, 2.5)
    bpy.context.view_layer.update()
    turn = np.array(root.matrix_world)
    world = PLACES @ turn[:3, :3].T + turn[:3, 3]
    return SimpleNamespace(root=root, camera=camera, world=world, folder=folder)


def pixels(bpy: ModuleType, camera: object, world: np.ndarray) -> np.ndarray:
    """Where Blender sees world points (N, 3) at the current frame: pixels (N, 2)."""
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    seen = np.array([world_to_camera_view(bpy.context.scene, camera, Vector(place)) for place in world])[:, :2]
    return seen * [SIZE[0], -SIZE[1]] + [0, SIZE[1]]


@pytest.mark.parametrize(("kind", "suffix"), EXPORTED)
def test_blenders_own_exporters_keep_the_camera(
    bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path, kind: str, suffix: str
) -> None:
    scene = bpy.context.scene
    reason = importlib.import_module("vggt_matchmove.vggt_blender.scene.export").missing_exporter(kind)
    if reason:
        pytest.skip(reason)
    wanted = {}
    for frame in (1, 4):
        scene.frame_set(frame)
        wanted[frame] = pixels(bpy, shot.camera, shot.world)
    selected = list(bpy.context.selected_objects)
    path = tmp_path / f"shot{suffix}"
    assert bpy.ops.vggt.export(filepath=str(path), format=kind) == {"FINISHED"}
    assert list(bpy.context.selected_objects) == selected
    new = imported(bpy, kind, path)
    (camera,) = [thing for thing in new if thing.type == "CAMERA"]
    assert not [thing for thing in new if thing.type == "MESH"]  # neither points nor planes
    for frame in (1, 4):
        scene.frame_set(frame)
        np.testing.assert_allclose(pixels(bpy, camera, shot.world), wanted[frame], atol=0.02)
    assert np.abs(wanted[1] - wanted[4]).max() > 1


def imported(bpy: ModuleType, kind: str, path: Path) -> set:
    """The objects that an exported file brings."""
    before = set(bpy.data.objects)
    if kind == "USD":
        bpy.ops.wm.usd_import(filepath=str(path))
    else:
        bpy.ops.wm.alembic_import(filepath=str(path), as_background_job=False)
    return set(bpy.data.objects) - before


def read_back(bpy: ModuleType, kind: str, path: Path) -> list[str]:
    """The types of what is in an exported file that has data. It does not stay: USD carries the shot's marks along."""
    new = imported(bpy, kind, path)
    types = sorted(thing.type for thing in new if thing.data is not None)
    bpy.data.batch_remove(list(new))
    return types


def objects_of(bpy: ModuleType, role: str) -> list:
    return [thing for thing in bpy.data.objects if str(thing.get("vggt_role", "")).startswith(role)]


@pytest.mark.parametrize(("kind", "suffix"), EXPORTED)
def test_what_is_hidden_or_locked_is_exported_and_stays_so(
    bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path, kind: str, suffix: str
) -> None:
    planes = objects_of(bpy, "plane:")
    shot.camera.hide_select = True
    planes[0].hide_set(True)
    planes[1].hide_viewport = True
    for plane in planes:
        plane.hide_render = True  # as for compositing

    def state() -> list:
        flags = [(x.hide_select, x.hide_viewport, x.hide_get(), x.select_get()) for x in (shot.camera, *planes)]
        return [*flags, bpy.context.view_layer.objects.active]

    before = state()
    path = tmp_path / f"shot{suffix}"
    assert bpy.ops.vggt.export(filepath=str(path), format=kind, use_planes=True) == {"FINISHED"}
    assert state() == before
    assert read_back(bpy, kind, path) == ["CAMERA", *["MESH"] * len(planes)]


@pytest.mark.parametrize(("kind", "suffix"), EXPORTED)
def test_what_the_view_layer_leaves_out_is_named(
    bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path, kind: str, suffix: str
) -> None:
    """Of the view layer that is being worked in, which need not be the scene's first."""
    planes = objects_of(bpy, "plane:")
    layer = bpy.context.scene.view_layers.new("work")
    whole = layer.layer_collection.children[0]
    part = next(child for child in whole.children if planes[0].name in child.collection.objects)
    part.exclude = True
    path = tmp_path / f"shot{suffix}"
    module = importlib.import_module("vggt_matchmove.vggt_blender.scene.export")
    holder = importlib.import_module("vggt_matchmove.vggt_blender.scene.collection").Holder(whole.collection)
    with bpy.context.temp_override(view_layer=layer):
        left_out = module.export_scene(bpy.context, holder, kind, path, planes=True)
        assert sorted(left_out) == sorted(plane.name for plane in planes)
        assert bpy.ops.vggt.export(filepath=str(path), format=kind, use_planes=True) == {"FINISHED"}
        assert read_back(bpy, kind, path) == ["CAMERA"]
        whole.exclude = True
        with pytest.raises(RuntimeError, match=f"switch its collections on.*{shot.camera.name}"):
            bpy.ops.vggt.export(filepath=str(path), format=kind)


def test_chan_stands_where_the_scenes_camera_does(bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path) -> None:
    """Nuke: y up, looking along -z, R = Ry Rx Rz; the lens's centre has no place in it."""
    assert bpy.ops.vggt.export(filepath=str(tmp_path / "shot"), format="CHAN") == {"FINISHED"}
    lines = (tmp_path / "shot.chan").read_text().splitlines()
    assert [int(line.split()[0]) for line in lines] == [1, 2, 3, 4]
    for line in lines:
        frame, tx, ty, tz, rx, ry, rz, view = (float(value) for value in line.split())
        bpy.context.scene.frame_set(int(frame))
        x, y, z = np.radians([rx, ry, rz])
        about_x = np.array([[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]])
        about_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
        about_z = np.array([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]])
        y_up = shot.world[:, [0, 2, 1]] * [1, 1, -1]
        local = (y_up - [tx, ty, tz]) @ (about_y @ about_x @ about_z)
        focal = SIZE[1] / 2 / math.tan(math.radians(view) / 2)
        seen = np.column_stack([29 - focal * local[:, 0] / local[:, 2], 20 + focal * local[:, 1] / local[:, 2]])
        np.testing.assert_allclose(seen, pixels(bpy, shot.camera, shot.world), atol=0.02)


def test_points_and_lens_need_no_backend(bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path) -> None:
    assert bpy.ops.vggt.export(filepath=str(tmp_path / "points.ply"), format="PLY") == {"FINISHED"}
    data = (tmp_path / "points.ply").read_bytes()
    header, _, body = data.partition(b"end_header\n")
    vertices = np.frombuffer(body, np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)]))
    assert f"element vertex {len(vertices)}".encode() in header
    # the wall stands 4 in front of the cameras, in the shot's own unit
    depth = 2.5 * 4
    bpy.context.scene.frame_set(1)
    axes = importlib.import_module("vggt_matchmove.vggt_blender.geometry.blender_axes")
    matrix = np.array(shot.camera.matrix_world.normalized())
    ahead = (axes.points_to_blender(vertices["xyz"]) - matrix[:3, 3]) @ -matrix[:3, 2]
    np.testing.assert_allclose(ahead, depth, rtol=1e-4)

    assert bpy.ops.vggt.export(filepath=str(tmp_path / "lens"), format="STMAP") == {"FINISHED"}
    assert (tmp_path / "lens" / "undistort.exr").is_file()
    with pytest.raises(RuntimeError, match="already there"):
        bpy.ops.vggt.export(filepath=str(tmp_path / "lens"), format="STMAP")


@pytest.mark.parametrize("scale", [(2, 1, 1), (-1, 1, 1), (-1, -1, -1)], ids=["uneven", "mirrored", "inside out"])
def test_a_world_that_no_camera_sees_is_not_written(
    bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path, scale: tuple[float, float, float]
) -> None:
    shot.root.scale = scale
    bpy.context.view_layer.update()
    for operator, kind in ((bpy.ops.vggt.export, "CHAN"), (bpy.ops.vggt.export_in_backend, "GLB")):
        with pytest.raises(RuntimeError, match="scaled unevenly or mirrored: give its scale one value above 0"):
            operator(filepath=str(tmp_path / "skewed"), format=kind)
    assert not list(tmp_path.glob("skewed*"))


def test_bad_paths_are_one_line(bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Name the file"):
        bpy.ops.vggt.export(format="CHAN")
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError, match="file' is a file, not a folder: choose another place"):
        bpy.ops.vggt.export(format="CHAN", filepath=str(tmp_path / "file" / "shot.chan"))
