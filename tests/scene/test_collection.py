"""One collection per reconstruction: imports side by side, a new solve in place, and undo."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


def fingerprint(result):
    """What an artist would notice if it changed."""
    bpy.context.view_layer.update()
    facts = {}
    for thing in result.collection.all_objects:
        facts[thing.name] = [tuple(np.array(thing.matrix_world).ravel().round(5)), thing.parent]
        if thing.type == "MESH":
            facts[thing.name] += [len(thing.data.vertices), thing.modifiers[0].node_group, list(thing.data.materials)]
        if thing.type == "CAMERA":
            facts[thing.name] += [thing.data.lens, thing.data.background_images[0].image]
    return facts


def a_shot(stage, count=6, **settings):
    return stage.Shot(
        [stage.look((0.3 * i, 0, 0.1 * i), 5 * i, 4, 2) for i in range(count)], kind="sequence", **settings
    )


def test_second_import_disturbs_nothing(stage, photograph, house, empty_scene):
    build, options = house("scene").build_scene, house("scene").SceneOptions
    reconstruction = photograph(a_shot(stage, pictures=True))
    first = build(reconstruction)
    before = fingerprint(first)
    second = build(reconstruction, options(setup_scene="keep"))
    third = build(photograph(stage.Shot([stage.look((0, 0, 0))], pictures=True), "stills"))
    assert fingerprint(first) == before
    everything = [set(result.collection.all_objects) for result in (first, second, third)]
    assert len(set.union(*everything)) == sum(map(len, everything))
    assert len({result.collection.name for result in (first, second, third)}) == 3
    groups = [thing.modifiers[0].node_group for thing in set.union(*everything) if thing.type == "MESH"]
    assert len(set(groups)) == len(groups)
    house("scene.versions").set_modifier_input(second.point_cloud.modifiers[0], "Radius", 3.0)
    second.point_cloud.modifiers[0].node_group.nodes.clear()
    assert fingerprint(first) == before


def test_everything_hangs_on_one_parent_that_stands_on_the_floor(stage, photograph, house, empty_scene):
    """The first camera is tilted and rolled, and so is the solver's world; Blender's is level."""
    tilted = np.eye(4)
    tilted[:3] = stage.look((0.3, -0.4, 0.5), 20, 18, 9)
    poses = [stage.look((0.3 * i, 0, 0), 12 * i - 30, 18) for i in range(6)]
    result = house("scene").build_scene(photograph(stage.Shot(poses, kind="video", world=tilted)))
    assert all(thing.parent == result.root for thing in result.collection.all_objects if thing != result.root)
    bpy.context.view_layer.update()
    assert bounds(result.point_cloud)[0, 2] == pytest.approx(0, abs=0.02)  # the floor
    for frame in (1, 4):
        empty_scene.frame_set(frame)
        camera = np.array(result.cameras[0].matrix_world)
        assert camera[2, 3] == pytest.approx(1.5, abs=0.02)
        assert abs(camera[2, 0]) < 0.01  # level
    result.root.matrix_basis.identity()
    np.testing.assert_array_equal(np.array(result.root.matrix_basis), np.eye(4))


def test_provenance_is_noted_and_found(stage, photograph, house, empty_scene):
    reconstruction = photograph(a_shot(stage))
    result = house("scene").build_scene(reconstruction)
    assert result.collection["vggt_folder"] == str(reconstruction.folder)
    assert result.collection["vggt_version"] == 1
    find = house("scene").find_collection
    assert find(reconstruction) == find(reconstruction, empty_scene) == result.collection
    assert find(reconstruction, bpy.data.scenes.new("other")) is None
    elsewhere = dataclasses.replace(reconstruction.source, path="/elsewhere")
    assert find(dataclasses.replace(reconstruction, source=elsewhere)) is None
    later = [dataclasses.replace(frame, name=f"later {frame.name}") for frame in reconstruction.frames]
    assert find(dataclasses.replace(reconstruction, frames=tuple(later))) is None  # nothing to lay it over


def test_new_solve_fills_the_same_objects_and_stays_in_place(stage, photograph, house, empty_scene):
    """Another world, another scale, one frame more: what the artist attached and placed stays where it was."""
    build = house("scene").build_scene
    first = build(photograph(a_shot(stage), "solve"))
    first.root.location, first.root.scale = (1, 2, 3), (2, 2, 2)
    first.point_cloud.name = "my cloud"
    mine = bpy.data.materials.new("mine")
    set_input = house("scene.versions").set_modifier_input
    set_input(first.point_cloud.modifiers[0], "Material", mine)
    set_input(first.point_cloud.modifiers[0], "Radius", 0.123)
    first.planes[0].data.materials[0] = mine
    first.cameras[0].constraints.new("LIMIT_SCALE")
    prop = bpy.data.objects.new("prop", None)
    prop.parent = first.cameras[0]
    first.collection.objects.link(prop)
    names = {thing.name for thing in first.collection.all_objects}
    before, where = views(empty_scene, first), bounds(first.point_cloud)

    world = np.eye(4)
    world[:3] = stage.look((0.4, 0.2, -1), 25, 10, -15)
    world[:3, :3] *= 3.0
    world[:3, 3] *= 3.0
    other = photograph(a_shot(stage, 7, world=world, map_size=(30, 20)), "solve")
    second = build(other, house("scene").SceneOptions(), empty_scene, first.collection)

    assert second.collection == first.collection
    assert (second.root, second.cameras, second.point_cloud) == (first.root, first.cameras, first.point_cloud)
    assert {thing.name for thing in second.collection.all_objects} >= names
    np.testing.assert_allclose(views(empty_scene, second)[:6], before, atol=1e-3)
    assert len(second.point_cloud.data.vertices) == 7 * 30 * 20
    np.testing.assert_allclose(bounds(second.point_cloud)[1], where[1], atol=0.1)
    get_input = house("scene.versions").get_modifier_input
    assert get_input(second.point_cloud.modifiers[0], "Material") == mine
    assert get_input(second.point_cloud.modifiers[0], "Radius") == pytest.approx(0.123)
    assert second.planes[0].data.materials[:] == [mine]
    assert [c.type for c in second.cameras[0].constraints] == ["LIMIT_SCALE"]
    assert prop.parent == second.cameras[0]
    assert len(bpy.data.meshes) == 1 + len(second.planes)


def bounds(cloud):
    """Lowest and highest world coordinates (2, 3) of the cloud's vertices."""
    flat = np.zeros(3 * len(cloud.data.vertices), np.float32)
    cloud.data.attributes["position"].data.foreach_get("vector", flat)
    matrix = np.array(cloud.matrix_world)
    points = flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    return np.array([points.min(axis=0), points.max(axis=0)])


def views(scene, result):
    """The camera's world matrices at the plate's frames."""
    found = []
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        found.append(np.array(result.cameras[0].matrix_world))
    return np.array(found)


def test_new_solve_of_stills_drops_cameras_that_are_gone(stage, photograph, house, empty_scene):
    build = house("scene").build_scene
    poses = [stage.look((i, 0, 0.2 * i), 5 * i) for i in range(4)]
    first = build(photograph(stage.Shot(poses), "solve"))
    kept = [first.cameras[i] for i in (0, 2, 3)]
    bpy.context.view_layer.update()
    where = [np.array(camera.matrix_world) for camera in kept]
    world = np.eye(4)
    world[:3] = stage.look((1, 1, 1), 40, 10, 5)
    shot = stage.Shot(poses, unregistered=(1,), world=world)
    second = build(photograph(shot, "solve"), update=first.collection)
    assert second.cameras == kept
    bpy.context.view_layer.update()
    np.testing.assert_allclose([np.array(camera.matrix_world) for camera in kept], where, atol=1e-3)
    assert len(second.planes) == 3
    assert [marker.frame for marker in sorted(empty_scene.timeline_markers, key=lambda m: m.frame)] == [1, 3, 4]
    assert len(bpy.data.cameras) == 3


def test_undo_takes_all_of_it_back(stage, photograph, house, empty_scene):
    reconstruction = photograph(a_shot(stage))
    bpy.ops.ed.undo_push(message="before")
    house("scene").build_scene(reconstruction)
    bpy.ops.ed.undo_push(message="import")
    bpy.ops.ed.undo()
    assert len(bpy.data.objects) == len(bpy.data.collections) == len(bpy.data.images) == 0
    assert bpy.context.scene.view_settings.view_transform == "AgX"
    bpy.ops.ed.redo()
    assert bpy.context.scene.camera.name == "shot_plates camera"


def test_a_duplicate_and_a_moved_object_do_not_confuse_a_new_solve(stage, photograph, house, empty_scene):
    build = house("scene").build_scene
    reconstruction = photograph(a_shot(stage))
    first = build(reconstruction)
    copy = first.cameras[0].copy()
    first.collection.objects.link(copy)
    before = [tuple(curve) for curve in np.array(copy.matrix_basis)]
    other = bpy.data.collections.new("elsewhere")
    empty_scene.collection.children.link(other)
    other.objects.link(first.point_cloud)
    first.collection.objects.unlink(first.point_cloud)
    second = build(reconstruction, house("scene").SceneOptions(setup_scene="keep"), empty_scene, first.collection)
    assert second.cameras == first.cameras
    assert second.point_cloud == first.point_cloud
    assert [tuple(row) for row in np.array(copy.matrix_basis)] == before


def test_a_scene_that_was_copied_whole_keeps_its_own_objects(stage, photograph, house, empty_scene):
    """The copy's collection and objects carry the same marks."""
    build, options = house("scene").build_scene, house("scene").SceneOptions
    first = build(photograph(stage.Shot([stage.look((0.3 * i, 0, 0)) for i in range(4)]), "stills"))
    bpy.ops.scene.new(type="FULL_COPY")
    copied = bpy.context.scene
    assert copied != empty_scene
    theirs = {thing.name for thing in copied.objects}
    assert len(theirs) == len(empty_scene.objects)
    bpy.data.objects.remove(first.cameras[3])  # the shot lacks one, which is looked for
    again = photograph(stage.Shot([stage.look((0.3 * i, 0, 0)) for i in range(3)]), "stills")
    build(again, options(setup_scene="keep"), empty_scene, first.collection)
    assert {thing.name for thing in copied.objects} == theirs


@pytest.mark.parametrize("overridden", [False, True])
def test_a_linked_shot_is_not_updated(stage, photograph, house, empty_scene, tmp_path, overridden):
    find, build = house("scene").find_collection, house("scene").build_scene
    reconstruction = photograph(a_shot(stage))
    result = build(reconstruction)
    assert find(reconstruction, empty_scene) == result.collection
    path, name = str(tmp_path / "shot.blend"), result.collection.name
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.collections = [name]
    scene, (linked,) = bpy.context.scene, wanted.collections
    scene.collection.children.link(linked)
    if overridden:
        linked.override_hierarchy_create(scene, bpy.context.view_layer)
    assert [c for c in scene.collection.children_recursive if "vggt_id" in c]
    assert find(reconstruction, scene) is None
