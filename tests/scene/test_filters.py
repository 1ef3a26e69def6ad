"""The filter stack: one number on the parent empty changes the cloud and all planes, live and without an import."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


def shown_points(thing):
    """World positions (N, 3) of the points that the cloud really draws."""
    for instance in bpy.context.evaluated_depsgraph_get().object_instances:
        if instance.object.original == thing and instance.object.type == "POINTCLOUD":
            data = instance.object.data.attributes["position"].data
            flat = np.zeros(3 * len(data), np.float32)
            data.foreach_get("vector", flat)
            matrix = np.array(instance.matrix_world)
            return flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    return np.zeros((0, 3))


def shown_vertices(plane):
    mesh = plane.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    flat = np.zeros(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    matrix = np.array(plane.matrix_world)
    return flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


@pytest.fixture
def scene(stage, photograph, house, empty_scene):
    """Four frames of a shot, everything shown; `scene(name, value)` sets a filter and returns points and vertices."""
    shot = stage.Shot(
        [stage.look((0.4 * i, 0, 0)) for i in range(4)],
        kind="sequence",
        numbers=[11, 12, 13, 14],
        confidence=lambda pixels: 1 + pixels[..., 0],
        sparse=True,
    )
    result = house("scene").build_scene(photograph(shot))
    set_filter = house("scene.filters").set_filter
    set_filter(result.root, "Confidence", 0.0)
    set_filter(result.root, "Edge Threshold", 1e6)

    def change(name, value):
        set_filter(result.root, name, value)
        bpy.context.view_layer.update()
        return shown_points(result.point_cloud), [shown_vertices(plane) for plane in result.planes]

    change.result = result
    return change


def test_confidence_and_edges_act_on_cloud_and_planes_alike(scene):
    everything, planes = scene("Confidence", 0.0)
    assert len(everything) == 4 * 48 * 27
    assert [len(plane) for plane in planes] == [48 * 27] * 4
    half, halves = scene("Confidence", 0.5)
    assert len(half) == pytest.approx(0.5 * len(everything), rel=0.05)
    assert [len(plane) for plane in halves] == [pytest.approx(0.5 * 48 * 27, rel=0.1)] * 4
    again, _ = scene("Confidence", 0.0)
    assert len(again) == len(everything)
    cut, cut_planes = scene("Edge Threshold", 0.1)
    assert 0.8 * len(everything) < len(cut) < len(everything)
    assert all(len(after) < len(before) for after, before in zip(cut_planes, planes, strict=True))


def test_depth_range_is_in_world_units(scene, house):
    """The nearest wall of the box is 3 in front of the first camera, the far wall 8, in the solve's unit."""
    result = scene.result
    points, planes = scene("Farthest", 5.0)
    assert 0 < len(points) < 4 * 48 * 27
    camera = np.array(result.cameras[0].matrix_world)
    ahead = (planes[0] - camera[:3, 3]) @ -camera[:3, 2]
    assert np.quantile(ahead, 0.95) < 5.3  # a face that spans the limit may stay
    assert ahead.min() < 3.1
    near, _ = scene("Nearest", 4.0)
    assert 0 < len(near) < len(points)
    result.root.scale = (10, 10, 10)  # the artist gave the shot its real size: the limits are in that size
    assert len(scene("Nearest", 40.0)[0]) == 0
    far, _ = scene("Farthest", 50.0)
    assert len(far) == len(near)


def test_frame_range_hides_what_other_frames_saw(scene, house):
    points, planes = scene("First Frame", 13)
    assert len(points) == 2 * 48 * 27
    assert [len(plane) > 0 for plane in planes] == [False, False, True, True]
    points, planes = scene("Last Frame", 13)
    assert len(points) == 48 * 27
    assert [len(plane) > 0 for plane in planes] == [False, False, True, False]


def test_agreement_hides_what_only_one_frame_claims(stage, photograph, house, empty_scene):
    """A slab of wrong depth that floats in one frame's view goes; what several frames see stays."""
    reconstruction = photograph(stage.Shot([stage.look((0.2 * i, 0, 0)) for i in range(5)]))
    folder = reconstruction.folder
    depth = np.array(reconstruction.depth)
    depth[2, 5:12, 10:20] = 2.0
    np.save(folder / "depth.npy", depth)
    result = house("scene").build_scene(house("exchange.reconstruction").load_reconstruction(folder))
    mesh = result.point_cloud.data
    values = np.zeros(len(mesh.vertices), np.int32)
    mesh.attributes["agreement"].data.foreach_get("value", values)
    values = values.reshape(5, 27, 48)
    floating = np.zeros((5, 27, 48), bool)
    floating[2, 5:12, 10:20] = True
    assert values[floating].max() == 0
    assert np.median(values[~floating]) >= 3
    assert (values[~floating] >= 1).mean() > 0.9
    set_filter = house("scene.filters").set_filter
    set_filter(result.root, "Confidence", 0.0)
    set_filter(result.root, "Edge Threshold", 1e6)
    set_filter(result.root, "Agreement", 1)
    bpy.context.view_layer.update()
    assert len(shown_points(result.point_cloud)) == (values >= 1).sum()
    faces = len(result.planes[2].evaluated_get(bpy.context.evaluated_depsgraph_get()).data.polygons)
    assert faces <= 26 * 47 - 8 * 11  # every face that touches the slab


def test_two_shots_have_a_stack_each(scene, photograph, stage, house, empty_scene):
    other = house("scene").build_scene(photograph(stage.Shot([stage.look((0, 0, 0))]), "other"))
    house("scene.filters").set_filter(other.root, "Edge Threshold", 1e6)
    house("scene.filters").set_filter(other.root, "Confidence", 0.9)
    bpy.context.view_layer.update()
    assert len(shown_points(other.point_cloud)) == 48 * 27  # all alike: none is less confident
    house("scene.filters").set_filter(other.root, "Farthest", 0.1)
    bpy.context.view_layer.update()
    assert len(shown_points(other.point_cloud)) == 0
    assert len(shown_points(scene.result.point_cloud)) == 4 * 48 * 27


def test_the_stack_survives_the_file_and_keys_animate_it(scene, empty_scene, tmp_path):
    root, cloud = scene.result.root.name, scene.result.point_cloud.name
    scene.result.root["First Frame"] = 11
    for frame, value in ((11, 11), (12, 14)):
        scene.result.root["First Frame"] = value
        scene.result.root.keyframe_insert('["First Frame"]', frame=frame)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    counts = []
    for frame in (11, 12):
        bpy.context.scene.frame_set(frame)
        counts.append(len(shown_points(bpy.data.objects[cloud])))
    assert counts == [4 * 48 * 27, 48 * 27]
    assert bpy.data.objects[root]["Last Frame"] == 14


def test_reset_and_a_new_solve_keep_to_the_artists_numbers(scene, stage, photograph, house, empty_scene):
    root = scene.result.root
    scene("Agreement", 2)
    longer = stage.Shot(
        [stage.look((0.4 * i, 0, 0)) for i in range(6)], kind="sequence", numbers=[11, 12, 13, 14, 15, 16]
    )
    options = house("scene").SceneOptions(setup_scene="keep")
    house("scene").build_scene(photograph(longer, "longer"), options, empty_scene, scene.result.collection)
    assert (root["First Frame"], root["Last Frame"], root["Agreement"]) == (11, 16, 2)  # the range was not narrowed
    scene("Last Frame", 12)
    house("scene").build_scene(photograph(longer, "longer"), options, empty_scene, scene.result.collection)
    assert root["Last Frame"] == 12
    house("scene.filters").reset_filters(root)
    assert (root["Last Frame"], root["Agreement"], root["Confidence"]) == (16, 0, pytest.approx(0.1))
    with pytest.raises(KeyError):
        house("scene.filters").set_filter(root, "Nonsense", 1)
