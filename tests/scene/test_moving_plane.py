"""The plane that follows the shot: at every frame it is where that frame's own depth says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


def vertices(thing):
    """World positions (N, 3) of what the object really shows."""
    bpy.context.view_layer.update()
    mesh = thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    flat = np.zeros(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    matrix = np.array(thing.matrix_world)
    return flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3], len(mesh.polygons)


@pytest.fixture
def moving(stage, photograph, house, empty_scene):
    """`moving(numbers, **settings)`: a scene with a moving plane, and the truth. With `update`, a result, its plane."""

    def make(numbers=(1001, 1002, 1003), update=None, **settings):
        shot = stage.Shot(
            [stage.look((0.4 * i, 0.1, 0), 4 * i, 3) for i in (number % 10 for number in numbers)],
            kind="sequence",
            numbers=list(numbers),
            lens=(150.0, 150.0, 90.0, 60.0),
            pictures=True,
            **settings,
        )
        reconstruction = photograph(shot, f"shot{len(numbers)}")
        result = house("scene").build_scene(reconstruction, update=update and update.collection)
        timeline = house("scene.timeline").Timeline.of(reconstruction)
        holder = house("scene.collection").Holder(result.collection)
        folder = Path(reconstruction.folder) / "depth"
        folder.mkdir()
        paths = []
        for number, channels in house("scene.moving_plane").depth_pictures(reconstruction, timeline):
            paths.append(folder / f"depth.{number:04d}.exr")
            house("delivery.exr").write_exr(paths[-1], channels)
        plane = house("scene.moving_plane").build_moving_plane(holder, reconstruction, timeline, paths[0])
        for name, value in (("Confidence", 0.0), ("Edge Threshold", 1e6)):
            house("scene.filters").set_filter(result.root, name, value)
        return reconstruction, result, plane

    return make


@pytest.mark.parametrize("settings", [{}, {"distortion": (-0.15, 0.03, 0.002, -0.002, 0.0)}, {"numbers": (10, 12, 14)}])
def test_every_frame_has_its_own_depth(moving, house, empty_scene, settings):
    reconstruction, result, plane = moving(**settings)
    result.root.scale = (3, 3, 3)
    assert_its_own_depth(empty_scene, reconstruction, result, plane)


def assert_its_own_depth(scene, reconstruction, result, plane):
    """At every frame the plane is where the points of that frame are."""
    cloud = np.zeros(3 * len(result.point_cloud.data.vertices), np.float32)
    result.point_cloud.data.vertices.foreach_get("co", cloud)
    owner = np.zeros(len(result.point_cloud.data.vertices), np.int32)
    result.point_cloud.data.attributes["frame"].data.foreach_get("value", owner)
    for frame in [frame.number for frame in reconstruction.frames]:
        scene.frame_set(frame)
        shown, faces = vertices(plane)
        turn = np.array(result.root.matrix_world)
        wanted = cloud.reshape(-1, 3)[owner == frame] @ turn[:3, :3].T + turn[:3, 3]
        assert len(shown) == len(wanted) == 48 * 27
        assert faces == 47 * 26
        np.testing.assert_allclose(shown, wanted, atol=5e-3)


def test_added_again_it_follows_the_new_solve(moving, house, empty_scene):
    """Other frames than before, and every second one: between them each stays until the next."""
    _, result, plane = moving((10, 11, 12, 13, 14))
    plane.name, plane.data.materials[0].name = "mine", "my material"
    reconstruction, result, again = moving((12, 14, 16), update=result)
    assert (again, again.name, again.data.materials[0].name) == (plane, "mine", "my material")
    assert_its_own_depth(empty_scene, reconstruction, result, again)
    node = house("scene.materials").picture_node(again.data.materials[0])
    first = node.image_user.frame_start - node.image_user.frame_offset
    assert (node.image_user.frame_start, first, node.image_user.frame_duration) == (12, 1, 5)
    empty_scene.frame_set(15)
    between, _ = vertices(again)
    empty_scene.frame_set(14)
    matrix = np.array(again.matrix_world)  # it hangs on the camera, which goes on
    empty_scene.frame_set(15)
    moved = np.array(again.matrix_world) @ np.linalg.inv(matrix)
    empty_scene.frame_set(14)
    np.testing.assert_allclose(between, vertices(again)[0] @ moved[:3, :3].T + moved[:3, 3], atol=5e-3)


def test_filters_act_on_it_and_an_unplaced_frame_is_empty(moving, house, empty_scene):
    _, result, plane = moving((1001, 1002, 1003, 1004), unregistered=(1,), confidence=lambda pixels: 1 + pixels[..., 0])
    empty_scene.frame_set(1002)
    assert len(vertices(plane)[0]) == 0
    empty_scene.frame_set(1003)
    set_filter = house("scene.filters").set_filter
    set_filter(result.root, "Confidence", 0.5)
    assert len(vertices(plane)[0]) == pytest.approx(0.5 * 48 * 27, rel=0.05)
    set_filter(result.root, "Confidence", 0.0)
    set_filter(result.root, "Edge Threshold", 0.1)
    assert 0.75 * 47 * 26 < vertices(plane)[1] < 47 * 26
    set_filter(result.root, "Edge Threshold", 1e6)
    set_filter(result.root, "Farthest", 5.0)
    assert 0 < len(vertices(plane)[0]) < 48 * 27


def test_the_plate_on_it_follows(moving, empty_scene, tmp_path):
    image = pytest.importorskip("PIL.Image")
    reconstruction, result, plane = moving()
    for thing in list(result.collection.all_objects):
        thing.hide_render = thing not in (plane, result.cameras[0])
    empty_scene.render.engine = "CYCLES"
    empty_scene.cycles.samples = 1
    empty_scene.cycles.use_denoising = False
    empty_scene.render.filter_size = 0.01
    for position in (0, 2):
        path = tmp_path / f"{position}.png"
        empty_scene.frame_set(1001 + position)
        empty_scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        seen = np.asarray(image.open(path).convert("RGB"), int)[6:-6, 6:-6]
        plate = np.asarray(image.open(reconstruction.frames[position].path), int)[6:-6, 6:-6]
        assert np.median(np.abs(seen - plate)) <= 3


def test_stills_have_none(stage, photograph, house, empty_scene):
    reconstruction = photograph(stage.Shot([stage.look((0, 0, 0))]))
    timeline = house("scene.timeline").Timeline.of(reconstruction)
    with pytest.raises(house("exchange.messages").JobError, match="video or image sequence"):
        next(house("scene.moving_plane").depth_pictures(reconstruction, timeline))
