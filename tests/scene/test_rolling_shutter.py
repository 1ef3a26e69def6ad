"""A render behind a rolling shutter: every line shows what the camera sees when the plate's line was read."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

WIDTH, HEIGHT, STEP, READOUT = 192, 108, 0.4, 0.6
POLE = 0.3, 4.0  # right of the world's middle, and away


@pytest.fixture
def moving(stage, photograph, house, empty_scene):
    """The shot of a camera that goes sideways by `STEP` a frame: its collection, and a bright pole before it alone."""
    shot = stage.Shot([stage.look((STEP * i, 0, 0)) for i in range(3)], kind="sequence", numbers=[1001, 1002, 1003])
    result = house("scene").build_scene(photograph(shot))
    for thing in list(result.collection.all_objects):  # hiding one makes Blender build it anew
        thing.hide_render = thing.get("vggt_role") not in ("root", "camera")
    bpy.ops.mesh.primitive_cube_add(size=1)
    pole = bpy.context.object
    pole.scale = (0.06, 0.06, 20)
    pole.parent = result.root
    pole.location = house("geometry.blender_axes").points_to_blender(np.array([POLE[0], 0.0, POLE[1]]))
    pole.data.materials.append(house("scene.materials").plain_material("green", (0.0, 1.0, 0.0)))
    return house("scene.collection").Holder(result.collection)


def where(scene, path):
    """The middle of what is bright in each row of a render of frame 1002, (HEIGHT,)."""
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 8, False
    scene.render.film_transparent = True
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = WIDTH, HEIGHT, 100
    scene.render.image_settings.file_format, scene.render.filepath = "PNG", str(path)
    scene.frame_set(1002)
    bpy.ops.render.render(write_still=True)
    alpha = np.asarray(pytest.importorskip("PIL.Image").open(path).convert("RGBA"), float)[..., 3]
    return (alpha * (np.arange(WIDTH) + 0.5)).sum(axis=1) / alpha.sum(axis=1)


def test_lines_are_rendered_when_they_were_read(moving, house, empty_scene, tmp_path):
    rolling = house("scene.rolling_shutter")
    still = 96 + 150 * (POLE[0] - STEP) / POLE[1]
    empty_scene.render.engine = "CYCLES"
    assert rolling.roll(empty_scene, moving, READOUT)
    times = READOUT * ((np.arange(HEIGHT) + 0.5) / HEIGHT - 0.5)
    np.testing.assert_allclose(
        where(empty_scene, tmp_path / "rolls.png"), still - 150 * STEP / POLE[1] * times, atol=0.5
    )

    assert not rolling.roll(empty_scene, moving, 0.0)
    np.testing.assert_allclose(where(empty_scene, tmp_path / "stands.png"), still, atol=0.5)


def test_what_the_artist_set_stays_where_nothing_rolls(moving, house, empty_scene):
    empty_scene.render.engine = "CYCLES"
    empty_scene.render.use_motion_blur = True
    empty_scene.render.motion_blur_shutter = 0.4
    assert not house("scene.rolling_shutter").roll(empty_scene, moving, 0.0)
    assert empty_scene.render.use_motion_blur
    assert empty_scene.render.motion_blur_shutter == pytest.approx(0.4)


def test_only_cycles_rolls(moving, house, empty_scene):
    empty_scene.render.engine = "BLENDER_WORKBENCH"
    assert not house("scene.rolling_shutter").roll(empty_scene, moving, READOUT)
    assert not empty_scene.render.use_motion_blur


@pytest.mark.parametrize(
    ("said", "readout"),
    [
        ({"rolling_shutter": {"readout": 0.7, "axis": 1}}, 0.7),
        ({"rolling_shutter": {"readout": -0.7, "axis": 1}}, 0.0),  # upwards
        ({"rolling_shutter": {"readout": 0.7, "axis": 0}}, 0.0),  # sideways
        ({"rolling_shutter": {"readout": float("nan"), "axis": 1}}, 0.0),
        ({"rolling_shutter": {"readout": "0.7", "axis": 1}}, 0.0),
        ({"rolling_shutter": {"readout": 1e9, "axis": 1}}, 0.0),
        ({"rolling_shutter": [0.7, 1]}, 0.0),
        ({"rolling_shutter": None}, 0.0),
        ({}, 0.0),
        (None, 0.0),
    ],
)
def test_a_shutter_that_cycles_knows_is_read(house, said, readout):
    assert house("scene.rolling_shutter").readout_of({"name": "colmap", "settings": said}) == readout
