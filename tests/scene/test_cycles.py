"""What Cycles renders through the solved camera looks like the plate."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


@pytest.mark.parametrize("kept", ["cloud", "plane"])
def test_the_render_shows_the_picture(kept, stage, photograph, house, empty_scene, tmp_path):
    shot = stage.Shot([stage.look((0.3 * i, 0, 0)) for i in range(2)], kind="sequence", numbers=[1001, 1002])
    reconstruction = photograph(shot)
    house("scene").build_scene(reconstruction)
    for thing in list(bpy.data.objects):
        role = str(thing.get("vggt_role", ""))
        thing.hide_render = role not in ("root", "camera") and not role.startswith(kept)
    scene = bpy.context.scene
    scene.frame_set(1001)
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 4, False
    scene.render.film_transparent = True
    scene.render.resolution_percentage = 100
    width, height = reconstruction.color.shape[2], reconstruction.color.shape[1]
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.filepath = str(tmp_path / "render.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(height, width, 4)[::-1]
    seen = pixels[..., 3] > 0.999  # depth edges are cut out
    assert seen.mean() > 0.5
    difference = (255 * pixels[..., :3] - reconstruction.color[0])[seen]
    # the filters of the two pictures differ; a color that is lost, or shown through another curve, is far off
    assert np.median(np.abs(difference)) < 20
    assert abs(difference.mean()) < 6
