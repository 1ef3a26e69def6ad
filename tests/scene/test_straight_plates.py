"""A distorted shot with its straightened plates: camera, plate, points and planes agree to the pixel."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
pytest.importorskip("cv2")


def test_the_scene_uses_straight_plates_that_are_there(stage, photograph, house, empty_scene):
    shot = stage.Shot(
        [stage.look((0.3 * i, 0, 0), 3 * i, 2) for i in range(3)],
        kind="sequence",
        numbers=[1001, 1002, 1003],
        lens=(150.0, 150.0, 90.0, 60.0),
        distortion=(-0.25, 0.05, 0.004, -0.003, 0.0),
        pictures=True,
        unregistered=(1,),
    )
    reconstruction = photograph(shot)
    bent = house("scene").build_scene(reconstruction)
    assert any("bends the picture" in line for line in bent.warnings)
    house("delivery.formats").export(reconstruction, "undistorted", reconstruction.folder / "undistorted")
    result = house("scene").build_scene(reconstruction)
    assert not any("bends the picture" in line for line in result.warnings)
    straight = house("exchange.undistorted").with_straight_plates(reconstruction)
    frame, render = straight.frames[2], empty_scene.render
    assert (render.resolution_x, render.resolution_y) == (frame.width, frame.height) > shot.size
    background = result.cameras[0].data.background_images[0]
    assert Path(bpy.path.abspath(background.image.filepath)).parent.name == "undistorted"
    assert (background.image_user.frame_start, background.image_user.frame_offset) == (1001, 1000)

    # a point of the room, through Blender's camera: the pixel of the straight picture that shows its color
    empty_scene.frame_set(1003)
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    pose = frame.pose
    lens = house("geometry.cameras").Lens(pose.fx, pose.fy, pose.cx, pose.cy)
    points = stage.truth_points(60)
    wanted, _ = house("geometry.cameras").project(points, pose.camera_from_world, lens)
    turn = np.array(result.root.matrix_world)
    world = house("geometry.blender_axes").points_to_blender(points) @ turn[:3, :3].T + turn[:3, 3]
    seen = np.array([world_to_camera_view(empty_scene, result.cameras[0], Vector(place)) for place in world])[:, :2]
    seen = seen * [frame.width, -frame.height] + [0, frame.height]
    assert np.abs(seen - wanted).max() < 0.1
    picture = np.asarray(pytest.importorskip("PIL.Image").open(frame.path).convert("RGB"), int)
    color = np.zeros((len(result.point_cloud.data.vertices), 4), np.float32)
    result.point_cloud.data.attributes["Col"].data.foreach_get("color_srgb", color.ravel())
    flat = np.zeros(3 * len(color), np.float32)
    result.point_cloud.data.vertices.foreach_get("co", flat)
    own = np.zeros(len(color), np.int32)
    result.point_cloud.data.attributes["frame"].data.foreach_get("value", own)
    chosen = np.flatnonzero(own == 1003)[::7]
    cloud = flat.reshape(-1, 3)[chosen] @ turn[:3, :3].T + turn[:3, 3]
    at = np.array([world_to_camera_view(empty_scene, result.cameras[0], Vector(place)) for place in cloud])[:, :2]
    columns, rows = (at * [frame.width, -frame.height] + [0, frame.height]).astype(int).T
    inside = (columns > 2) & (rows > 2) & (columns < frame.width - 3) & (rows < frame.height - 3)
    difference = np.abs(picture[rows[inside], columns[inside]] - 255 * color.reshape(-1, 4)[chosen][inside][:, :3])
    assert np.median(difference) < 6  # a checker's edge aside
    assert inside.sum() > 100


def test_markers_and_clip_go_with_the_straight_plates(stage, photograph, house, empty_scene):
    shot = stage.Shot(
        [stage.look((0.2 * i, 0, 0)) for i in range(3)],
        kind="sequence",
        numbers=[1001, 1002, 1003],
        lens=(150.0, 150.0, 90.0, 60.0),
        distortion=(-0.25, 0.05, 0.004, -0.003, 0.0),
        pictures=True,
        sparse=True,
    )
    reconstruction = photograph(shot)
    house("delivery.formats").export(reconstruction, "undistorted", reconstruction.folder / "undistorted")
    plates = house("exchange.undistorted").with_straight_plates(reconstruction)
    tracks = house("scene.tracks")
    seen = tracks.shot_tracks(dataclasses.replace(reconstruction, depth=None), 30)  # without depth nothing is hidden
    straight = tracks.on_straight_plates(seen, reconstruction, plates)
    optics = house("geometry.cameras")
    checked = 0
    for position, frame in enumerate(plates.frames):
        lens = house("scene.lenses").lens_of(frame)
        wanted, _ = optics.project(straight.xyz, frame.pose.camera_from_world, lens)
        chosen = straight.visible[position]
        np.testing.assert_allclose(straight.xy[position][chosen], wanted[chosen], atol=1e-3)
        checked += int(chosen.sum())
    assert checked > 30
    assert np.abs(straight.xy - seen.xy)[straight.visible].max() > 3
