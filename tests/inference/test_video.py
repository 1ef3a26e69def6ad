"""Videos through the door: every frame carries its own number in large blocks, so a frame off by one is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vggt_blender.exchange.job import FrameRange
from vggt_blender.exchange.messages import JobError
from vggt_blender.inference.frames import open_source
from vggt_blender.inference.square_pixels import with_square_pixels

WIDTH, HEIGHT, BITS = 128, 64, 8


def numbered(number: int) -> np.ndarray:
    """`number` in binary, a column a bit, under a bar that moves (so that frames depend on each other)."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    step = WIDTH // BITS
    for bit in range(BITS):
        picture[HEIGHT // 2 :, bit * step : (bit + 1) * step] = 235 if number >> bit & 1 else 16
    picture[: HEIGHT // 4, (number * 3) % WIDTH :][:, :16] = (200, 60, 60)
    return picture


def number_in(picture: np.ndarray) -> int:
    step = WIDTH // BITS
    lit = [picture[HEIGHT * 3 // 4, bit * step + step // 2].mean() > 128 for bit in range(BITS)]
    return sum(1 << bit for bit, on in enumerate(lit) if on)


def encode(
    path: Path,
    pictures: Sequence[np.ndarray],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    pts: Sequence[int] | None = None,
    rate: int = 25,
    prepare: Callable[[av.VideoStream], None] = lambda _: None,
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        prepare(stream)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = pts[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


KINDS = {
    "b_frames.mp4": ("libx264", "yuv420p", {"x264-params": "keyint=12:bframes=3:scenecut=0"}),
    "open_gop.mkv": ("libx264", "yuv420p", {"x264-params": "keyint=10:bframes=3:open-gop=1:scenecut=0"}),
    "open_gop.mp4": ("libx264", "yuv420p", {"x264-params": "keyint=10:bframes=3:open-gop=1:scenecut=0"}),
    "one_key.mp4": ("libx264", "yuv420p", {"x264-params": "keyint=1000:bframes=2:scenecut=0"}),
    "stream.ts": ("libx264", "yuv420p", {"x264-params": "keyint=12:bframes=2:scenecut=0"}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {"g": "9", "bf": "2", "qscale": "3"}),
    "mpeg2.mkv": ("mpeg2video", "yuv420p", {"g": "9", "bf": "2", "qscale": "3"}),
    "mpeg2.mov": ("mpeg2video", "yuv420p", {"g": "9", "bf": "2", "qscale": "3"}),
    "refresh.mp4": ("libx264", "yuv420p", {"x264-params": "intra-refresh=1:keyint=20:bframes=0"}),
    "hevc.mp4": ("libx265", "yuv420p", {"x265-params": "keyint=10:bframes=3:open-gop=1:log-level=none"}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"g": "12", "bf": "2"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "realtime"}),
    "intra.mov": ("prores_ks", "yuv422p10le", {}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {"qscale": "3"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_comes_out_in_order_and_by_position(tmp_path: Path, kind: str) -> None:
    codec, pix_fmt, options = KINDS[kind]
    encode(tmp_path / kind, [numbered(number) for number in range(70)], codec, pix_fmt, options)
    source = open_source([str(tmp_path / kind)])
    assert [frame.index for frame in source.frames] == list(range(70))
    assert [frame.number for frame in source.frames] == list(range(1, 71))
    in_order = list(source)
    assert [number_in(picture) for picture in in_order] == list(range(70))
    for position in (69, *range(0, 70, 3)[::-1], 35, 34, 36, 1, 57, 20):
        assert np.array_equal(source.read(position), in_order[position]), position


def test_what_a_video_says_of_itself(tmp_path: Path) -> None:
    path = encode(tmp_path / "shot.mp4", [numbered(number) for number in range(5)], rate=24)
    source = open_source([str(path)])
    assert (source.source.kind, source.source.path, source.source.fps) == ("video", str(path), 24.0)
    frame = source.frames[2]
    assert (frame.name, frame.path, frame.index, frame.number) == ("shot.0003", str(path), 2, 3)
    assert (frame.width, frame.height, frame.focal_px) == (WIDTH, HEIGHT, None)


def test_a_range_counts_frames_from_zero(tmp_path: Path) -> None:
    path = encode(tmp_path / "shot.mp4", [numbered(number) for number in range(30)])
    source = open_source([str(path)], frames=FrameRange.parse("7:20:5"))
    assert [frame.index for frame in source.frames] == [7, 12, 17]
    assert [number_in(picture) for picture in source] == [7, 12, 17]
    assert number_in(source.read(1)) == 12
    with pytest.raises(JobError, match="30 frames"):
        open_source([str(path)], frames=FrameRange.parse("30:"))


class Notes:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.news: list[str] = []

    def progress(self, stage: str, done: int, total: int) -> None: ...

    def status(self, message: str) -> None:
        self.news.append(message)

    def warning(self, message: str) -> None:
        self.warnings.append(message)


def test_time_that_varies_or_starts_late_changes_no_frame(tmp_path: Path) -> None:
    stamps = np.cumsum([5000] + [20, 80, 33, 300] * 10).tolist()
    path = encode(tmp_path / "phone.mkv", [numbered(number) for number in range(len(stamps))], pts=stamps)
    notes = Notes()
    source = open_source([str(path)], report=notes)
    assert [number_in(picture) for picture in source] == list(range(len(stamps)))
    assert [number_in(source.read(position)) for position in (40, 3, 22, 0)] == [40, 3, 22, 0]
    assert any("variable frame rate" in warning for warning in notes.warnings)


def test_a_steady_rate_is_no_reason_to_warn(tmp_path: Path) -> None:
    stamps = [round(index * 1000 / 29.97) for index in range(40)]  # rounded to milliseconds
    notes = Notes()
    open_source([str(encode(tmp_path / "a.mkv", [numbered(n) for n in range(40)], pts=stamps))], report=notes)
    assert notes.warnings == []


def corners(picture: np.ndarray) -> list[str]:
    names = []
    for row, column in ((8, 8), (8, -8), (-8, 8), (-8, -8)):
        red, green, blue = picture[row, column].astype(int)
        names.append("yellow" if min(red, green) > 150 else "rgb"[int(np.argmax([red, green, blue]))])
    return names


def quarters() -> np.ndarray:
    """Red top left, green top right, blue bottom left, yellow bottom right."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[: HEIGHT // 2, : WIDTH // 2], picture[: HEIGHT // 2, WIDTH // 2 :] = (220, 30, 30), (30, 180, 30)
    picture[HEIGHT // 2 :, : WIDTH // 2], picture[HEIGHT // 2 :, WIDTH // 2 :] = (30, 30, 200), (230, 220, 40)
    return picture


# QuickTime File Format: a point (x, y) is shown at (a x + c y, b x + d y), with y down
MATRICES = {
    (1, 0, 0, 1): (["r", "g", "b", "yellow"], False),
    (0, 1, -1, 0): (["b", "r", "yellow", "g"], True),  # a quarter to the right, as phones held upright write it
    (-1, 0, 0, -1): (["yellow", "b", "g", "r"], False),
    (0, -1, 1, 0): (["g", "yellow", "r", "b"], True),
    (-1, 0, 0, 1): (["g", "r", "yellow", "b"], False),  # a mirror, as front cameras write it
    (0, 1, 1, 0): (["r", "b", "g", "yellow"], True),
}


@pytest.mark.parametrize("matrix", MATRICES)
def test_rotation_is_applied_once_for_size_and_pixels(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    a, b, c, d = (term << 16 for term in matrix)
    path = encode(
        tmp_path / "phone.mp4",
        [quarters()] * 3,
        prepare=lambda stream: stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30]),
    )
    expected, on_its_side = MATRICES[matrix]
    source = open_source([str(path)])
    size = (HEIGHT, WIDTH) if on_its_side else (WIDTH, HEIGHT)
    assert (source.frames[0].width, source.frames[0].height) == size
    for picture in (next(iter(source)), source.read(2)):
        assert picture.shape == (size[1], size[0], 3)
        assert corners(picture) == expected


@pytest.mark.parametrize(("height", "standard"), [(240, "601"), (720, "709")])
def test_colors_come_out_as_they_went_in(tmp_path: Path, height: int, standard: str) -> None:
    """A file that does not name its matrix is BT.709 where it is high definition, else BT.601."""
    kr, kb = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}[standard]
    r, g, b = 40 / 255, 180 / 255, 60 / 255
    luma = kr * r + (1 - kr - kb) * g + kb * b
    planes = (16 + 219 * luma, 128 + 112 * (b - luma) / (1 - kb), 128 + 112 * (r - luma) / (1 - kr))
    frame = av.VideoFrame(320, height, "yuv444p")
    for plane, value in zip(frame.planes, planes, strict=True):
        plane.update(bytes([round(value)]) * plane.buffer_size)
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, height, "yuv444p"
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert np.abs(open_source([str(path)]).read(0).astype(int) - [40, 180, 60]).max() <= 3


def failure(path: Path) -> JobError:
    with pytest.raises(JobError) as caught:
        open_source([str(path)], kind="video")
    assert "\n" not in caught.value.message
    assert path.name in caught.value.message
    return caught.value


def test_what_is_no_video_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "zero.mp4").write_bytes(b"")
    assert "empty" in failure(tmp_path / "zero.mp4").message
    (tmp_path / "text.mp4").write_text("this is no video at all\n" * 100)
    assert failure(tmp_path / "text.mp4").code == "no_frames"
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    assert "sound only" in failure(tmp_path / "sound.mp4").message
    whole = encode(tmp_path / "whole.mp4", [numbered(number) for number in range(20)]).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    assert failure(tmp_path / "cut.mp4").code == "no_frames"


def test_a_video_that_breaks_off_gives_what_it_has(tmp_path: Path) -> None:
    options = {"x264-params": "keyint=5:bframes=0:scenecut=0"}
    path = encode(tmp_path / "a.mkv", [numbered(number) for number in range(60)], options=options)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    source = open_source([str(path)])
    count = len(source.frames)
    assert 10 < count < 60
    assert [number_in(picture) for picture in source] == list(range(count))


def test_oblong_pixels_are_read_from_the_file_and_can_be_overruled(tmp_path: Path) -> None:
    def squeeze(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    notes = Notes()
    stored = open_source([str(encode(tmp_path / "dv.mp4", [quarters()] * 2, prepare=squeeze))], report=notes)
    height, width = stored.read(0).shape[:2]
    square, aspect = with_square_pixels(stored, None, notes)
    assert aspect == pytest.approx(4 / 3)
    assert any("1.333 times as wide as high" in line for line in notes.news)
    assert (square.frames[0].width, square.frames[0].height) == (round(width * 4 / 3), height)
    assert [picture.shape for picture in square] == [(height, round(width * 4 / 3), 3)] * 2
    for column in (0.1, 0.4, 0.6, 0.9):  # the picture's parts stay where they are
        pixels = square.read(1)[height // 4, int(column * round(width * 4 / 3))]
        assert np.abs(pixels.astype(int) - stored.read(1)[height // 4, int(column * width)]).max() < 12
    assert with_square_pixels(stored, 1.0) == (stored, 1.0)
    assert with_square_pixels(square, None) == (square, aspect)
