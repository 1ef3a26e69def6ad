"""Videos that ask to be turned: what the file says, and whether this Blender shows it so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

av = pytest.importorskip("av")

WIDTH, HEIGHT = 128, 96
CORNERS = np.array([[(220, 30, 30), (30, 180, 30)], [(30, 30, 200), (230, 220, 40)]], np.uint8)

# the matrix's a, b, c, d: (x, y) is shown at (a x + c y, b x + d y). Its EXIF orientation, and the corners as shown
MATRICES = {
    (1, 0, 0, 1): (1, CORNERS),
    (-1, 0, 0, 1): (2, CORNERS[:, ::-1]),
    (-1, 0, 0, -1): (3, CORNERS[::-1, ::-1]),
    (1, 0, 0, -1): (4, CORNERS[::-1]),
    (0, 1, 1, 0): (5, CORNERS.transpose(1, 0, 2)),
    (0, 1, -1, 0): (6, np.rot90(CORNERS, -1)),
    (0, -1, -1, 0): (7, CORNERS.transpose(1, 0, 2)[::-1, ::-1]),
    (0, -1, 1, 0): (8, np.rot90(CORNERS)),
}


def encode(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    a, b, c, d = (term << 16 for term in matrix)
    picture = CORNERS.repeat(HEIGHT // 2, axis=0).repeat(WIDTH // 2, axis=1)
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)  # a track that is not the picture's, and asks for nothing
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        for packet in (*sound.encode(silence), *sound.encode()):
            container.mux(packet)
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


def shown_corners(image) -> np.ndarray:
    """The four colors of what Blender shows, each as the nearest one of ours."""
    width, height = image.size
    pixels = 255 * np.array(image.pixels[:]).reshape(height, width, -1)[::-1, :, :3]
    quarters = pixels[height // 4 :: height // 2, width // 4 :: width // 2]
    ours = CORNERS.reshape(-1, 3)
    return ours[np.abs(quarters[:, :, None] - ours).sum(axis=-1).argmin(axis=-1)]


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_it_says_where_blender_does_not_turn_a_video(
    house, empty_scene, tmp_path: Path, matrix: tuple[int, int, int, int], ending: str
) -> None:
    import bpy

    orientation, upright = MATRICES[matrix]
    path = encode(tmp_path / f"phone{ending}", matrix)
    assert house("scene.video_orientation").orientation_of_video(path) == orientation
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    image = bpy.data.images.load(str(path))
    image.source = "MOVIE"
    camera.data.background_images.new().image = image
    size = (HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT)
    wrong = not np.array_equal(shown_corners(image), upright)
    assert house("scene.plate").shows_turned(camera, size) == wrong


def test_before_4_5_every_turn_is_left_out(house, monkeypatch: pytest.MonkeyPatch) -> None:
    module = house("scene.video_orientation")
    monkeypatch.setattr(module, "bpy", SimpleNamespace(app=SimpleNamespace(version=(4, 3, 2))))
    assert [module.blender_turns_to(orientation) for orientation in range(1, 9)] == [1] * 8


@pytest.mark.parametrize("content", [b"", b"\0\0\0\1moov", b"\0\0\0\x08moov" * 3, b"\0\0\0\0mdat", b"\0\0\0\x10tkhd\0"])
def test_a_file_that_says_nothing_is_upright(house, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    orientation_of_video = house("scene.video_orientation").orientation_of_video
    assert orientation_of_video(path) == 1
    path.write_bytes(content)
    assert orientation_of_video(path) == 1
    short = b"\0\0\0\x10tkhd\0\0\0\0\0\0\0\0" + b"\0\0\0\x1chdlr" + b"\0" * 8 + b"vide" + b"\0" * 8
    path.write_bytes(short)
    assert orientation_of_video(path) == 1
