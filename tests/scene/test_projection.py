"""Proof by projection: Blender's own camera puts the truth's points on the truth's pixels."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from mathutils import Vector  # noqa: E402

CASES = {
    "landscape": {},
    "portrait": {"size": (108, 192), "lens": (160.0, 160.0, 54.0, 96.0), "map_size": (27, 48)},
    "off-centre": {"lens": (150.0, 150.0, 80.0, 66.5)},
    "pixels not square": {"lens": (120.0, 160.0, 99.0, 51.0)},
    "pixels not square, portrait": {
        "size": (108, 192),
        "lens": (200.0, 150.0, 50.0, 90.0),
        "map_size": (27, 48),
    },
    # rows and columns resized by different factors, as when heights are rounded to multiples of 14
    "non-square resize": {"map_size": (37, 28)},
    # the map shows the middle of the picture, a third left of it padded
    "cropped": {"map_size": (40, 30), "depth_to_image": np.array([[3.0, 0, -20.0], [0, 3.1, 9.0]])},
    "distorted": {"distortion": (-0.12, 0.03, 0.002, -0.001, 0.004)},
}


def seen_at(scene, camera, points):
    """Pixels (N, 2), from the top left, at which `camera` shows world points (N, 3)."""
    width, height = scene.render.resolution_x, scene.render.resolution_y
    views = np.array([world_to_camera_view(scene, camera, Vector(point)) for point in points])
    return np.column_stack([views[:, 0] * width, (1 - views[:, 1]) * height])


def evaluated_points(thing):
    """World positions (N, 3) of the evaluated object's mesh vertices or points."""
    graph = bpy.context.evaluated_depsgraph_get()
    found = []
    for instance in graph.object_instances:
        if instance.object.original == thing and instance.object.type in ("MESH", "POINTCLOUD"):
            data = instance.object.data
            attribute = data.attributes["position"].data
            flat = np.zeros(3 * len(attribute), np.float32)
            attribute.foreach_get("vector", flat)
            matrix = np.array(instance.matrix_world)
            found.append(flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
    return np.concatenate(found)


def in_blender(root, house, points):
    """World positions in Blender of points (N, 3) of the reconstruction's world."""
    matrix = np.array(root.matrix_world)
    return house("geometry.blender_axes").points_to_blender(points) @ matrix[:3, :3].T + matrix[:3, 3]


def truth_pixels(house, reconstruction, position, points, *, distorted=True):
    pose = reconstruction.frames[position].pose
    optics = house("geometry.cameras")
    lens = optics.Lens(pose.fx, pose.fy, pose.cx, pose.cy, pose.distortion if distorted else None)
    return optics.project(points, pose.camera_from_world, lens)[0]


@pytest.mark.parametrize("case", CASES)
def test_stills(case, stage, photograph, house, empty_scene):
    shot = stage.Shot([stage.look((0.3, -0.2, 0), 8, 5, 2), stage.look((-1, 0, 0.5), -12, 4, -1)], **CASES[case])
    reconstruction = photograph(shot)
    result = house("scene").build_scene(reconstruction)
    assert (empty_scene.render.resolution_x, empty_scene.render.resolution_y) == shot.size
    bpy.context.view_layer.update()
    points = stage.truth_points(100)
    world = in_blender(result.root, house, points)
    for position, camera in enumerate(result.cameras):
        # Blender's camera is the ideal lens: distortion is the plate's
        wanted = truth_pixels(house, reconstruction, position, points, distorted=False)
        assert np.abs(seen_at(empty_scene, camera, world) - wanted).max() < 0.1


@pytest.mark.parametrize("case", CASES)
def test_cloud_and_planes_lie_on_their_pixels(case, stage, photograph, house, empty_scene):
    """Every point and vertex, seen through its camera, is where the picture shows it, and at the true depth."""
    shot = stage.Shot([stage.look((0.3, -0.2, 0), 8, 5, 2)], **CASES[case])
    reconstruction = photograph(shot)
    result = house("scene").build_scene(reconstruction)
    house("scene.filters").set_filter(result.root, "Edge Threshold", 1e6)
    house("scene.filters").set_filter(result.root, "Confidence", 0.0)
    frame, depth = reconstruction.frames[0], reconstruction.depth[0]
    rows, columns = np.nonzero(np.isfinite(depth))
    pixels = house("geometry.cameras").sample_pixels(depth.shape, frame.depth_to_image)[rows, columns]
    pose = frame.pose
    lens = house("geometry.cameras").Lens(pose.fx, pose.fy, pose.cx, pose.cy, shot.distortion)
    truth = house("geometry.cameras").unproject(pixels, depth[rows, columns], pose.camera_from_world, lens)
    wanted = truth_pixels(house, reconstruction, 0, truth, distorted=False)
    bpy.context.view_layer.update()
    for thing in (result.point_cloud, result.planes[0]):
        points = evaluated_points(thing)
        assert len(points) == len(wanted)
        assert np.abs(seen_at(empty_scene, result.cameras[0], points) - wanted).max() < 0.05
        np.testing.assert_allclose(points, in_blender(result.root, house, truth), atol=2e-4)


def test_texture_coordinates_are_the_source_pixels(stage, photograph, house, empty_scene):
    affine = np.array([[3.0, 0, -20.0], [0, 3.1, 9.0]])
    shot = stage.Shot([stage.look((0, 0, 0))], map_size=(40, 30), depth_to_image=affine)
    plane = house("scene").build_scene(photograph(shot)).planes[0]
    bpy.context.view_layer.update()
    mesh = plane.data
    uv = np.zeros(2 * len(mesh.loops), np.float32)
    mesh.uv_layers[0].uv.foreach_get("vector", uv)
    corners = np.zeros(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    rays = np.array([mesh.vertices[corner].co for corner in corners])  # on the card at unit depth
    width, height = shot.size
    u = (rays[:, 0] * 150 + 96) / width
    v = 1 - (-rays[:, 1] * 150 + 54) / height
    np.testing.assert_allclose(uv.reshape(-1, 2), np.column_stack([u, v]), atol=1e-5)


@pytest.mark.parametrize("first", [1, 1001])
def test_shot_on_the_plates_own_frames(first, stage, photograph, house, empty_scene):
    """One animated camera; a frame that was not registered gets no key, and the others are right on theirs."""
    poses = [stage.look((0.2 * i, -0.1 * i, 0.05 * i), 9 * i - 40, 3, 25 * i) for i in range(9)]
    numbers = [first + i for i in range(9)]
    shot = stage.Shot(poses, kind="sequence", numbers=numbers, fps=23.976, unregistered=(3,), lens=(150, 150, 90, 60))
    reconstruction = photograph(shot)
    result = house("scene").build_scene(reconstruction)
    (camera,) = result.cameras
    assert (empty_scene.frame_start, empty_scene.frame_end) == (first, first + 8)
    assert (empty_scene.render.fps, round(empty_scene.render.fps_base, 6)) == (24, 1.001)
    assert empty_scene.camera == camera
    keys = house("scene.fcurves").read_keys(camera, "location")
    assert sorted(keys) == [number for number in numbers if number != first + 3]
    points = stage.truth_points(60)
    for position, number in enumerate(numbers):
        if position == 3:
            continue
        empty_scene.frame_set(number)
        wanted = truth_pixels(house, reconstruction, position, points)
        near = np.isfinite(wanted).all(axis=1) & (np.abs(wanted) < 1000).all(axis=1)
        got = seen_at(empty_scene, camera, in_blender(result.root, house, points))
        assert near.sum() > 10
        assert np.abs(got - wanted)[near].max() < 0.1


def test_scaled_and_turned_parent_keeps_the_view(stage, photograph, house, empty_scene):
    reconstruction = photograph(stage.Shot([stage.look((0.3, -0.2, 0), 8, 5, 2)], lens=(150, 150, 80, 60)))
    result = house("scene").build_scene(reconstruction)
    result.root.location, result.root.rotation_euler, result.root.scale = (3, 4, 5), (0.3, 0.2, 0.9), (2.5, 2.5, 2.5)
    bpy.context.view_layer.update()
    points = stage.truth_points(50)
    got = seen_at(empty_scene, result.cameras[0], in_blender(result.root, house, points))
    assert np.abs(got - truth_pixels(house, reconstruction, 0, points)).max() < 0.1
    plane = evaluated_points(result.planes[0])
    assert np.abs(seen_at(empty_scene, result.cameras[0], plane)[0] - [2.0, 2.0]).max() < 0.05


@pytest.mark.parametrize("aspect", [2.0, 0.5, 64 / 45])
@pytest.mark.parametrize("square", [False, True])
def test_an_anamorphic_plate_fills_the_frame(aspect, square, stage, photograph, house, empty_scene):
    """In the plate's own pixels, or in a scene of square ones that has the shape in which the plate is seen."""
    lens = (120.0, 120.0 * aspect, 99.0, 51.0)
    shot = stage.Shot([stage.look((0.3, -0.2, 0), 8, 5, 2)], lens=lens, pictures=True)
    reconstruction = photograph(shot)
    render = empty_scene.render
    if square:
        render.resolution_x, render.resolution_y = 4 * round(192 * aspect), 4 * 108
    setup = "keep" if square else "this"
    result = house("scene").build_scene(reconstruction, house("scene").SceneOptions(setup_scene=setup))
    shown = render.pixel_aspect_x / render.pixel_aspect_y
    assert shown == pytest.approx(1.0 if square else aspect)
    bpy.context.view_layer.update()
    points = stage.truth_points(60)
    camera = result.cameras[0]
    seen = seen_at(empty_scene, camera, in_blender(result.root, house, points))
    scale = [render.resolution_x / 192, render.resolution_y / 108]
    wanted = truth_pixels(house, reconstruction, 0, points) * scale
    assert np.abs(seen - wanted).max() < 0.1 * max(scale)
    assert camera.data.background_images[0].frame_method == "STRETCH"
    assert not any("pixel aspect" in line for line in result.warnings)
