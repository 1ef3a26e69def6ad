"""The alignment tools by what they promise: they move the one parent empty, and undo brings it back."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

PLACES = ((0.4, 0.3, 1.0), (2.0, 0.1, 1.5), (0.7, 1.8, 0.6))


@pytest.fixture
def shot(bpy: ModuleType, addon: ModuleType, tmp_path: Path) -> SimpleNamespace:
    """An imported shot: its root, and what lies on it."""
    spec = importlib.util.spec_from_file_location("speaker", Path(__file__).with_name("speaker.py"))
    speaker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speaker)
    folder = speaker.write_reconstruction(str(tmp_path / "shot"), [])
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    root = next(thing for thing in bpy.data.objects if thing.get("vggt_role") == "root")
    return SimpleNamespace(root=root, name=root.name)


def choose_points(bpy: ModuleType, places: tuple[tuple[float, float, float], ...] = PLACES) -> list[object]:
    """Points that hang on the shot, as the artist adds them."""
    bpy.ops.object.select_all(action="DESELECT")
    for place in places:
        bpy.context.scene.cursor.location = place
        assert bpy.ops.vggt.add_point() == {"FINISHED"}
    bpy.context.view_layer.update()
    return list(bpy.context.selected_objects)


def where(bpy: ModuleType, things: list[object]) -> np.ndarray:
    bpy.context.view_layer.update()
    return np.array([thing.matrix_world.translation for thing in things])


def own_places(bpy: ModuleType, root: object) -> dict[str, np.ndarray]:
    return {thing.name: np.array(thing.matrix_basis) for thing in bpy.data.objects if thing != root}


def test_points_are_added_at_the_cursor_and_hang_on_the_shot(bpy: ModuleType, shot: SimpleNamespace) -> None:
    shot.root.scale = (3.0, 3.0, 3.0)
    points = choose_points(bpy)
    np.testing.assert_allclose(sorted(map(tuple, where(bpy, points).round(4))), sorted(PLACES), atol=1e-4)
    assert {point.parent for point in points} == {shot.root}
    bpy.ops.vggt.add_point()  # a fourth begins anew
    assert len(bpy.context.selected_objects) == 1


def test_floor_brings_three_points_to_zero_with_the_cameras_above(bpy: ModuleType, shot: SimpleNamespace) -> None:
    assert not bpy.ops.vggt.set_floor.poll()
    points = choose_points(bpy)
    before = own_places(bpy, shot.root)
    assert bpy.ops.vggt.set_floor() == {"FINISHED"}
    assert where(bpy, points)[:, 2] == pytest.approx(0, abs=1e-5)
    camera = next(thing for thing in bpy.data.objects if thing.type == "CAMERA")
    assert camera.matrix_world.translation.z > 0
    after = own_places(bpy, shot.root)
    assert after.keys() == before.keys()
    for name, matrix in before.items():
        np.testing.assert_array_equal(after[name], matrix, err_msg=name)


def test_floor_from_vertices_in_edit_mode(bpy: ModuleType, shot: SimpleNamespace) -> None:
    mesh = bpy.data.meshes.new("corners")
    mesh.from_pydata([*PLACES, (9.0, 9.0, 9.0)], [], [])
    mesh.vertices[3].select = False
    for vertex in mesh.vertices[:3]:
        vertex.select = True
    thing = bpy.data.objects.new("corners", mesh)
    bpy.context.scene.collection.objects.link(thing)
    thing.parent = shot.root
    bpy.context.view_layer.objects.active = thing
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_mode(type="VERT")
    bpy.ops.ed.undo_push(message="before")
    before = np.array(shot.root.matrix_basis)
    assert bpy.ops.vggt.set_floor() == {"FINISHED"}
    assert bpy.context.mode == "OBJECT"
    bpy.ops.ed.undo_push(message="floor")
    heights = [(thing.matrix_world @ vertex.co).z for vertex in mesh.vertices]
    assert heights[:3] == pytest.approx([0, 0, 0], abs=1e-5)
    assert abs(heights[3]) > 0.1
    bpy.ops.ed.undo()
    np.testing.assert_array_equal(np.array(bpy.data.objects[shot.name].matrix_basis), before)
    assert bpy.context.mode == "EDIT_MESH"


def test_scale_makes_the_distance_exact(bpy: ModuleType, shot: SimpleNamespace) -> None:
    points = choose_points(bpy, PLACES[:2])
    assert not bpy.ops.vggt.set_floor.poll()
    assert bpy.ops.vggt.set_scale(distance=4.2) == {"FINISHED"}
    first, second = where(bpy, points)
    assert np.linalg.norm(second - first) == pytest.approx(4.2, rel=1e-6)
    assert len(set(np.round(shot.root.scale, 5))) == 1


def test_direction_and_origin(bpy: ModuleType, shot: SimpleNamespace) -> None:
    points = choose_points(bpy, PLACES[:2])
    heights = where(bpy, points)[:, 2]
    assert bpy.ops.vggt.set_direction(axis="Y") == {"FINISHED"}
    first, second = where(bpy, points)
    assert first[0] == pytest.approx(second[0], abs=1e-5)
    assert where(bpy, points)[:, 2] == pytest.approx(heights, abs=1e-5)
    bpy.context.scene.cursor.location = first
    assert bpy.ops.vggt.set_origin() == {"FINISHED"}
    assert where(bpy, points)[0] == pytest.approx([0, 0, 0], abs=1e-5)
    assert where(bpy, points)[1] == pytest.approx(second - first, abs=1e-5)


def test_level_and_reset_return_to_the_import(bpy: ModuleType, shot: SimpleNamespace) -> None:
    imported = np.array(shot.root.matrix_basis)
    shot.root.rotation_euler.x += 0.4
    shot.root.location.z += 2.0
    shot.root.scale = (2.0, 2.0, 2.0)
    assert bpy.ops.vggt.level() == {"FINISHED"}
    np.testing.assert_allclose(np.array(shot.root.matrix_world)[2, :3], 2 * imported[2, :3], atol=1e-4)
    assert bpy.ops.vggt.reset_alignment() == {"FINISHED"}
    np.testing.assert_allclose(np.array(shot.root.matrix_basis), imported, atol=1e-6)


@pytest.mark.parametrize(
    ("tool", "count"),
    [("set_floor", 3), ("set_scale", 2), ("set_direction", 2), ("set_origin", 2), ("level", 0), ("reset_alignment", 0)],
)
def test_every_tool_is_undone(bpy: ModuleType, shot: SimpleNamespace, tool: str, count: int) -> None:
    shot.root.location, shot.root.rotation_euler = (0.3, 0.2, 0.7), (0.3, 0.2, 0.1)
    choose_points(bpy, PLACES[:count])
    bpy.context.scene.cursor.location = PLACES[0]
    bpy.ops.ed.undo_push(message="before")
    before = np.array(shot.root.matrix_basis)
    getattr(bpy.ops.vggt, tool)()
    bpy.ops.ed.undo_push(message=tool)
    after = np.array(bpy.data.objects[shot.name].matrix_basis)
    assert not np.allclose(after, before, atol=1e-3)
    bpy.ops.ed.undo()
    np.testing.assert_array_equal(np.array(bpy.data.objects[shot.name].matrix_basis), before)
    bpy.ops.ed.redo()
    np.testing.assert_array_equal(np.array(bpy.data.objects[shot.name].matrix_basis), after)


def test_points_on_a_line_are_an_error_and_nothing_moves(bpy: ModuleType, shot: SimpleNamespace) -> None:
    before = np.array(shot.root.matrix_basis)
    choose_points(bpy, ((0, 0, 0), (1, 1, 1), (2, 2, 2)))
    with pytest.raises(RuntimeError, match="one line"):
        bpy.ops.vggt.set_floor()
    np.testing.assert_array_equal(np.array(shot.root.matrix_basis), before)


def test_without_a_shot_every_tool_says_so(bpy: ModuleType, addon: ModuleType) -> None:
    for name in ("level", "add_point", "set_floor", "set_scale", "set_direction", "set_origin", "reset_alignment"):
        assert not getattr(bpy.ops.vggt, name).poll(), name


def test_however_often_it_is_turned_the_scale_stays_one(bpy: ModuleType, shot: SimpleNamespace) -> None:
    """The tools compute in single precision: without care each click leaves its trace in the scale."""
    world = importlib.import_module("vggt_matchmove.vggt_blender.scene.world_frame")
    frames = importlib.import_module("vggt_matchmove.vggt_blender.geometry.world_frame")
    shot.root.scale = (2.5, 2.5, 2.5)
    chance = np.random.default_rng(1)
    for _ in range(150):
        world.move_root(shot.root, frames.floor_matrix(chance.uniform(-1, 1, (3, 3)), (0, 0, 9)))
    assert len(set(shot.root.scale)) == 1
    assert shot.root.scale.x == pytest.approx(2.5, rel=1e-4)
    shot.root.scale = (2.0, 1.0, 1.0)
    world.move_root(shot.root, np.eye(4))
    assert tuple(shot.root.scale) == pytest.approx((2, 1, 1), rel=1e-5), "what the artist stretched stays"


def test_of_two_shots_the_selected_one_moves(bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path) -> None:
    bpy.ops.vggt.import_reconstruction(filepath=str(tmp_path / "shot"))
    roots = [thing for thing in bpy.data.objects if thing.get("vggt_role") == "root"]
    assert len(roots) == 2
    before = np.array(roots[1].matrix_basis)
    camera = next(thing for thing in roots[0].children if thing.type == "CAMERA")
    prop = bpy.data.objects.new("prop", None)
    bpy.context.scene.collection.objects.link(prop)
    prop.parent = camera
    bpy.context.view_layer.objects.active = prop
    bpy.context.scene.cursor.location = (1, 2, 3)
    assert bpy.ops.vggt.set_origin() == {"FINISHED"}
    assert roots[0].location.length > 3
    np.testing.assert_array_equal(np.array(roots[1].matrix_basis), before)
