"""The animated camera of a shot: continuous keys, one lens, its plate and the scene's settings."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

WIDTH = 192


def curve_values(house, datablock, path):
    curves = house("scene.versions").action_curves(datablock, "")
    return {c.array_index: [(k.co.x, k.co.y) for k in c.keyframe_points] for c in curves if c.data_path == path}


def turning(stage, count=24):
    """A camera that turns all the way round while it rolls: the quaternion's sign would flip."""
    return [
        stage.look((0.1 * i, 0, 0), yaw=-200 + 420 * i / count, pitch=10, roll=300 * i / count) for i in range(count)
    ]


def test_quaternion_keys_never_jump(stage, photograph, house, empty_scene):
    poses = turning(stage)
    (camera,) = house("scene").build_scene(photograph(stage.Shot(poses, kind="video"))).cameras
    assert camera.rotation_mode == "QUATERNION"
    curves = curve_values(house, camera, "rotation_quaternion")
    quaternions = np.array([[value for _, value in curves[channel]] for channel in range(4)]).T
    assert len(quaternions) == len(poses)
    assert ((quaternions[1:] * quaternions[:-1]).sum(axis=1) > 0.9).all()
    # so that between two keys the camera is between them, and not on its way round the other side
    forward = []
    for frame in np.arange(1, len(poses), 0.5):
        empty_scene.frame_set(int(frame), subframe=frame % 1)
        forward.append(np.array(camera.matrix_world)[:3, 2])
    assert (np.einsum("ij,ij->i", forward[1:], forward[:-1]) > 0.97).all()


@pytest.mark.parametrize(
    ("focals", "keys"),
    [
        (np.full(12, 150.0), 1),
        (150 * (1 + 0.01 * np.random.default_rng(0).standard_normal(12)), 1),  # a network's jitter is no zoom
        (np.linspace(150, 220, 12), 12),
        (150 * np.exp(0.03 * np.sin(np.arange(12) / 3)), 12),  # a small but smooth one
    ],
    ids=["still", "jitter", "zoom", "breathing"],
)
def test_one_focal_key_unless_the_lens_zooms(focals, keys, stage, photograph, house, empty_scene):
    lenses = [(focal, focal, 90.0, 60.0) for focal in focals]
    shot = stage.Shot([stage.look((0.1 * i, 0, 0)) for i in range(12)], kind="video", lenses=lenses)
    (camera,) = house("scene").build_scene(photograph(shot)).cameras
    (points,) = curve_values(house, camera.data, "lens").values()
    assert len(points) == keys
    wanted = focals if keys > 1 else [np.median(focals)]
    np.testing.assert_allclose([value for _, value in points], np.asarray(wanted) / WIDTH * 36, rtol=1e-5)
    empty_scene.frame_set(7)
    assert camera.data.lens == pytest.approx((focals[6] if keys > 1 else np.median(focals)) / WIDTH * 36, rel=1e-5)
    assert camera.data.shift_x == pytest.approx((96 - 90) / WIDTH)
    assert camera.data.sensor_fit == "HORIZONTAL"


def test_plate_of_a_sequence_shows_the_numbered_file(stage, photograph, house, empty_scene):
    numbers = [1001, 1002, 1004, 1007]
    shot = stage.Shot([stage.look((0, 0, 0))] * 4, kind="sequence", numbers=numbers, unregistered=(0,), fps=25.0)
    shot.pictures = True
    result = house("scene").build_scene(photograph(shot))
    data = result.cameras[0].data
    assert data.show_background_images
    (background,) = data.background_images
    user = background.image_user
    assert background.image.source == "SEQUENCE"
    assert background.image.colorspace_settings.name == "sRGB"
    assert (empty_scene.frame_start, empty_scene.frame_end) == (1001, 1007)
    # Blender shows file number: scene frame - start + 1 + offset, while that is within the duration
    assert 1 - user.frame_start + user.frame_offset == 0
    assert user.frame_start <= 1001
    assert user.frame_start + user.frame_duration - 1 >= 1007
    assert user.use_auto_refresh


def test_numbers_beyond_blenders_timeline_are_moved_back_together(stage, photograph, house, empty_scene):
    numbers = [20240501, 20240502, 20240504]
    shot = stage.Shot([stage.look((0.1 * i, 0, 0)) for i in range(3)], kind="sequence", numbers=numbers)
    shot.pictures = True
    result = house("scene").build_scene(photograph(shot))
    assert (empty_scene.frame_start, empty_scene.frame_end) == (1, 4)
    assert sorted(house("scene.fcurves").read_keys(result.cameras[0], "location")) == [1, 2, 4]
    user = result.cameras[0].data.background_images[0].image_user
    assert 1 - user.frame_start + 1 + user.frame_offset == 20240501


@pytest.mark.parametrize(
    ("fps", "expected"),
    [(24.0, (24, 1.0)), (24000 / 1001, (24, 1.001)), (23.976, (24, 1.001)), (29.97, (30, 1.001)), (25.0, (25, 1.0)),
     (59.94, (60, 1.001)), (12.5, (12, 0.96)), (0.5, (1, 2.0))],
)  # fmt: skip
def test_frame_rates(fps, expected, house):
    assert house("scene.timeline").frame_rate(fps) == pytest.approx(expected)


@pytest.mark.parametrize("setup", ["this", "new", "keep"])
def test_only_the_scene_that_was_asked_for_changes(setup, stage, photograph, house, empty_scene):
    before = settings(empty_scene)
    shot = stage.Shot([stage.look((0, 0, 0))] * 2, kind="video", fps=30.0, lens=(120.0, 160.0, 96.0, 54.0))
    result = house("scene").build_scene(photograph(shot), house("scene").SceneOptions(setup_scene=setup))
    plate = (192, 108, 4 / 3, 30, 1, 2, result.cameras[0], "Standard")
    assert settings(result.scene) == (before if setup == "keep" else plate)
    assert settings(empty_scene) == (plate if setup == "this" else before)
    assert result.collection in set(result.scene.collection.children)
    assert (result.scene == empty_scene) == (setup != "new")
    assert any("pixel aspect" in line for line in result.warnings) == (setup == "keep")


def settings(scene):
    render = scene.render
    aspect = round(render.pixel_aspect_x / render.pixel_aspect_y, 6)
    return (
        render.resolution_x,
        render.resolution_y,
        aspect if aspect == 1 else pytest.approx(aspect),
        render.fps,
        scene.frame_start,
        scene.frame_end,
        scene.camera,
        scene.view_settings.view_transform,
    )


def test_nothing_registered_is_one_clear_line(stage, photograph, house, empty_scene):
    shot = stage.Shot([stage.look((0, 0, 0))] * 2, unregistered=(0, 1))
    before = len(bpy.data.collections)
    with pytest.raises(house("exchange.messages").JobError, match="No frame"):
        house("scene").build_scene(photograph(shot))
    assert len(bpy.data.collections) == before


def test_lost_pictures_are_named_and_the_rest_is_built(stage, photograph, house, empty_scene):
    shot = stage.Shot([stage.look((0, 0, 0)), stage.look((1, 0, 0))])
    result = house("scene").build_scene(photograph(shot))
    assert any("no longer" in line and "picture0.png" in line for line in result.warnings)
    assert not result.cameras[0].data.background_images
    # the planes fall back on the colors of the depth map
    nodes = {node.bl_idname for node in result.planes[0].data.materials[0].node_tree.nodes}
    assert "ShaderNodeAttribute" in nodes
    assert "ShaderNodeTexImage" not in nodes
