"""Stills: a camera each, switched by markers, with the picture as it is meant to be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


def test_markers_switch_the_cameras(stage, photograph, house, empty_scene):
    shot = stage.Shot([stage.look((i, 0, 0)) for i in range(4)], unregistered=(1,), pictures=True)
    result = house("scene").build_scene(photograph(shot))
    assert [camera.name for camera in result.cameras] == ["picture0.png", "picture2.png", "picture3.png"]
    assert (empty_scene.frame_start, empty_scene.frame_end) == (1, 4)
    for frame, camera in zip((1, 3, 4), result.cameras, strict=True):
        empty_scene.frame_set(frame)
        assert empty_scene.camera == camera
        image = camera.data.background_images[0].image
        assert Path(image.filepath).name == camera.name
        assert image.source == "FILE"
    assert any("1 of 4 frames" in line for line in result.warnings)


def test_markers_of_others_stay_and_ours_follow(stage, photograph, house, empty_scene):
    data = bpy.data.cameras.new("theirs")
    theirs = bpy.data.objects.new("theirs", data)
    empty_scene.timeline_markers.new("theirs", frame=5).camera = theirs
    result = house("scene").build_scene(photograph(stage.Shot([stage.look((i, 0, 0)) for i in range(2)])))
    bound = {marker.frame: marker.camera for marker in empty_scene.timeline_markers}
    assert bound == {5: theirs, 6: result.cameras[0], 7: result.cameras[1]}
    assert (empty_scene.frame_start, empty_scene.frame_end) == (5, 7)


def test_background_and_plane_share_one_picture(stage, photograph, house, empty_scene):
    result = house("scene").build_scene(
        photograph(stage.Shot([stage.look((i, 0, 0)) for i in range(3)], pictures=True))
    )
    assert len(bpy.data.images) == 3
    assert all(image.packed_file is None for image in bpy.data.images)
    for camera, plane in zip(result.cameras, result.planes, strict=True):
        texture = next(n for n in plane.data.materials[0].node_tree.nodes if n.bl_idname == "ShaderNodeTexImage")
        assert texture.image == camera.data.background_images[0].image


# what was done to the upright picture before it was stored, so that its orientation tag undoes it
STORED = {1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
          7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip


@pytest.mark.parametrize("ending", ["jpg", "tiff", "png", "webp"])
@pytest.mark.parametrize("orientation", STORED)
def test_turned_pictures_are_sampled_where_they_are_shown(orientation, ending, house, tmp_path):
    """Blender loads stored pixels: texture coordinates of the upright picture must find the same colors in them."""
    image = pytest.importorskip("PIL.Image")
    ops = pytest.importorskip("PIL.ImageOps")
    pixels = np.zeros((6, 10, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(10) * 25, np.arange(6)[:, None] * 40
    upright = image.fromarray(pixels).resize((80, 48), image.NEAREST)
    stored = upright if STORED[orientation] is None else upright.transpose(image.Transpose[STORED[orientation]])
    exif = image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"turned.{ending}"
    stored.save(path, exif=exif)
    assert ops.exif_transpose(image.open(path)).size == (80, 48)
    module = house("scene.orientation")
    assert module.orientation_of(path) == orientation
    rows, columns = np.mgrid[:6, :10]
    uv = np.stack([(columns + 0.5) / 10, 1 - (rows + 0.5) / 6], axis=-1)
    found = module.stored_uv(uv, module.orientation_of(path))
    values = np.asarray(stored)
    height, width = values.shape[:2]
    got = values[((1 - found[..., 1]) * height).astype(int), (found[..., 0] * width).astype(int)]
    np.testing.assert_array_equal(got, pixels)


DAMAGED = [
    b"",
    b"\xff\xd8\xff\xe1\x00",
    b"\xff\xd8\xff\xe1\x00\x20Exif\0\0II*\0\xff\xff\xff\xff",
    b"II*\0\x08\0\0\0\xff\xff",
    b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffeXIf",
    b"RIFF\0\0\0\0WEBPEXIF",
]


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_headers_count_as_upright(content, house, tmp_path):
    path = tmp_path / "damaged"
    path.write_bytes(content)
    assert house("scene.orientation").orientation_of(path) == 1
    assert house("scene.orientation").orientation_of(tmp_path / "absent") == 1
