"""A new solve of the same pictures fills the objects that are there; what the artist did to them stays."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    spec = importlib.util.spec_from_file_location("speaker", Path(__file__).with_name("speaker.py"))
    speaker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speaker)
    return speaker.write_reconstruction(str(tmp_path / "shot"), [])


def roles(bpy: ModuleType) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for thing in bpy.data.objects:
        found.setdefault(thing.get("vggt_role", ""), []).append(thing)
    return found


def test_update_keeps_what_hangs_on_the_camera_and_the_alignment(
    bpy: ModuleType, addon: ModuleType, folder: Path
) -> None:
    scene = bpy.context.scene
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    (camera,), (root,), (cloud,) = (roles(bpy)[role] for role in ("camera", "root", "sparse cloud"))
    root.location, root.scale = (1, 2, 3), (2, 2, 2)
    camera.name = "hero camera"
    child = bpy.data.objects.new("child", None)
    child.parent, child.location = camera, (0, 0, -1)
    scene.collection.objects.link(child)
    follower = bpy.data.objects.new("follower", None)
    scene.collection.objects.link(follower)
    follower.constraints.new("COPY_TRANSFORMS").target = camera
    camera.constraints.new("LIMIT_SCALE")
    mine = bpy.data.materials.new("mine")
    cloud.data.materials.append(mine)

    def places() -> np.ndarray:
        found = []
        for frame in range(scene.frame_start, scene.frame_end + 1):
            scene.frame_set(frame)
            found.append([np.array(thing.matrix_world) for thing in (camera, child, follower)])
        return np.array(found)

    before, count = places(), len(bpy.data.objects)
    for _ in range(2):
        assert bpy.ops.vggt.import_reconstruction(filepath=str(folder), existing="update") == {"FINISHED"}
    assert len(bpy.data.objects) == count
    assert roles(bpy)["camera"] == [camera]
    assert (camera.name, child.parent, follower.constraints[0].target) == ("hero camera", camera, camera)
    assert [constraint.type for constraint in camera.constraints] == ["LIMIT_SCALE"]
    assert cloud.data.materials[:] == [mine]
    np.testing.assert_allclose(places(), before, atol=1e-5)
    assert np.ptp(before[:, 0, 0, 3]) > 0.1  # it is an animated camera


def test_update_is_undone_in_one_step(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    camera = roles(bpy)["camera"][0]
    camera.animation_data_clear()
    name = camera.name
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.vggt.import_reconstruction(filepath=str(folder), existing="update")
    bpy.ops.ed.undo_push(message="update")
    assert bpy.data.objects[name].animation_data.action is not None
    bpy.ops.ed.undo()
    animation = bpy.data.objects[name].animation_data
    assert animation is None or animation.action is None


def test_keeping_both_and_a_new_scene_leave_the_first_alone(bpy: ModuleType, addon: ModuleType, folder: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    first = roles(bpy)["camera"][0]
    keys = len(first.animation_data.action.name), first.data
    bpy.ops.vggt.import_reconstruction(filepath=str(folder), existing="new")
    bpy.ops.vggt.import_reconstruction(filepath=str(folder), existing="update", placement="new")
    cameras = roles(bpy)["camera"]
    assert len(cameras) == 3
    assert len({camera.data for camera in cameras}) == 3
    assert (len(first.animation_data.action.name), first.data) == keys
    assert len(bpy.data.scenes) == 2
