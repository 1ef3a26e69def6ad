"""Stills and sequences through the door: what was painted comes out, upright, once, in order."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from vggt_blender.exchange.job import FrameRange
from vggt_blender.exchange.messages import JobError
from vggt_blender.inference.frames import open_source
from vggt_blender.inference.masks import boxed

os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"
import cv2

RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 180, 30), (30, 30, 200), (230, 220, 40)


class Notes:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.statuses: list[str] = []
        self.counts: list[tuple[int, int]] = []

    def progress(self, stage: str, done: int, total: int) -> None:
        self.counts.append((done, total))

    def status(self, message: str) -> None:
        self.statuses.append(message)

    def warning(self, message: str) -> None:
        self.warnings.append(message)


def quarters(width: int = 64, height: int = 48) -> np.ndarray:
    """Red top left, green top right, blue bottom left, yellow bottom right."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = RED, GREEN
    picture[height // 2 :, : width // 2], picture[height // 2 :, width // 2 :] = BLUE, YELLOW
    return picture


def ramp(width: int = 64, height: int = 48) -> np.ndarray:
    """0..1 from left to right."""
    return np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))


# EXIF 2.32, tag 274: which side of the shown picture the stored row 0 and column 0 are
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def stored_as(shown: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels that a file with `orientation` must store to be shown as `shown`."""
    row_side, column_side = SIDES[orientation]
    stored = shown if row_side in ("top", "bottom") else shown.transpose(1, 0, 2)
    stored = stored[::-1] if row_side in ("bottom", "right") else stored
    stored = stored[:, ::-1] if column_side in ("right", "bottom") else stored
    return np.ascontiguousarray(stored)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", SIDES)
def test_orientation_is_applied_once_for_size_and_pixels(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xA405] = 35
    if suffix == ".tif":  # where Pillow does not write the Exif directory of an Exif object
        exif = ImageFileDirectory_v2()
        exif[0x0112], exif[0x8769] = orientation, {0xA405: 35}
    path = tmp_path / f"a{suffix}"
    Image.fromarray(stored_as(quarters(), orientation)).save(path, exif=exif, quality=95)
    source = open_source([str(path)])
    frame = source.frames[0]
    assert (frame.width, frame.height) == (64, 48)
    assert frame.focal_px == pytest.approx(35 / np.hypot(36, 24) * 80)
    shown = source.read(0)
    assert shown.shape == (48, 64, 3)
    corners = shown[[4, 4, -5, -5], [4, -5, 4, -5]].astype(int)
    assert np.abs(corners - [RED, GREEN, BLUE, YELLOW]).max() < 12


def save_modes(folder: Path) -> dict[str, np.ndarray]:
    """A ramp in every mode that files come in, and what is to be seen of each (H, W, 3)."""
    levels = np.round(ramp() * 255).astype(np.uint8)
    wide = np.round(ramp() * 65535).astype(np.uint16)
    seen = np.repeat(levels[..., None], 3, axis=2)
    Image.fromarray(levels).save(folder / "grey8.png")
    Image.fromarray(wide).save(folder / "grey16.png")
    Image.fromarray(wide).save(folder / "grey16.tif")
    Image.fromarray(levels).convert("P").save(folder / "palette.png")
    Image.fromarray(np.dstack([levels, np.full_like(levels, 255)]), "LA").save(folder / "grey_alpha.png")
    Image.fromarray(np.dstack([seen, np.full_like(levels, 255)])).save(folder / "alpha.png")
    Image.fromarray(seen).convert("CMYK").save(folder / "cmyk.tif")
    for suffix in (".png", ".tif"):
        cv2.imwrite(str(folder / f"color16{suffix}"), np.dstack([wide] * 3))
        cv2.imwrite(str(folder / f"alpha16{suffix}"), np.dstack([*[wide] * 3, np.full_like(wide, 65535)]))
    return {path.name: seen for path in folder.iterdir()}


def test_every_depth_and_mode_shows_the_same_ramp(tmp_path: Path) -> None:
    expected = save_modes(tmp_path)
    source = open_source([str(tmp_path)])
    assert {frame.name for frame in source.frames} == set(expected)
    for position, frame in enumerate(source.frames):
        shown = source.read(position)
        assert shown.dtype == np.uint8
        assert np.abs(shown.astype(int) - expected[frame.name]).max() <= 1, frame.name
        assert source.mask(position) is None


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGBA16"])
def test_what_is_transparent_is_white_and_masked(tmp_path: Path, mode: str) -> None:
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:, 32:] = 0
    color = np.full((48, 64, 3), 100, np.uint8)
    path = tmp_path / "a.png"
    if mode == "P":
        palette = Image.fromarray((alpha == 0).astype(np.uint8), "P")
        palette.putpalette([100, 100, 100, 0, 0, 0])
        palette.save(path, transparency=1)
    elif mode == "RGBA16":
        cv2.imwrite(str(path), np.dstack([color, alpha]).astype(np.uint16) * 257)
    else:
        Image.fromarray(np.dstack([color, alpha])).convert(mode).save(path)
    source = open_source([str(path)])
    shown, mask = source.read(0), source.mask(0)
    assert (shown[:, :32] == 100).all()
    assert (shown[:, 32:] == 255).all()
    assert mask is not None
    assert mask[:, :32].all()
    assert not mask[:, 32:].any()


def srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255


@pytest.mark.parametrize("suffix", [".exr", ".hdr", ".tif"])
def test_linear_plates_look_as_on_screen(tmp_path: Path, suffix: str) -> None:
    linear = np.dstack([ramp() * 0.5, ramp() * 0.25, ramp()[:, ::-1] * 0.75]).astype(np.float32)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), linear[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    shown = open_source([str(tmp_path)]).read(0)
    assert np.abs(shown - srgb(linear)).max() < (2.5 if suffix == ".hdr" else 0.51)  # .hdr shares one exponent


def test_one_exposure_for_the_whole_shot(tmp_path: Path) -> None:
    for number, light in ((1001, 0.0004), (1002, 0.0008), (1003, 0.0016)):
        cv2.imwrite(str(tmp_path / f"plate.{number}.exr"), np.full((8, 8, 3), light, np.float32))
    source = open_source([str(tmp_path)])
    assert (source.source.kind, [frame.number for frame in source.frames]) == ("sequence", [1001, 1002, 1003])
    levels = [int(source.read(position)[0, 0, 0]) for position in range(3)]
    assert levels == [round(float(srgb(np.float64(value)))) for value in (0.09, 0.18, 0.36)]


def test_exr_does_not_depend_on_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vggt_blender.inference import pictures

    linear = np.dstack([ramp() * 0.5, ramp() * 0.25, ramp()[:, ::-1] * 0.75]).astype(np.float32)
    cv2.imwrite(str(tmp_path / "a.exr"), linear[..., ::-1])
    monkeypatch.setattr(pictures, "_decode_opencv", lambda _: None)
    assert np.abs(open_source([str(tmp_path)]).read(0) - srgb(linear)).max() < 0.51


def test_broken_files_are_named_and_the_good_ones_used(tmp_path: Path) -> None:
    for number in range(6):
        Image.fromarray(quarters(320, 240)).save(tmp_path / f"{number}.jpg", quality=95)
    whole = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "2.jpg").write_bytes(b"")
    (tmp_path / "3.jpg").write_text("not a picture")
    Image.fromarray(quarters()).save(tmp_path / "7.png")
    (tmp_path / "7.png").write_bytes((tmp_path / "7.png").read_bytes()[:-40])
    notes = Notes()
    source = open_source([str(tmp_path)], report=notes)
    assert [(frame.name, frame.index) for frame in source.frames] == [("0.jpg", 0), ("4.jpg", 4), ("5.jpg", 5)]
    assert [next(name for name in ("1.jpg", "2.jpg", "3.jpg", "7.png") if name in line) for line in notes.warnings] == [
        "1.jpg",
        "2.jpg",
        "3.jpg",
        "7.png",
    ]
    assert "empty" in notes.warnings[1]
    assert notes.counts[-1] == (7, 7)


def test_a_broken_plate_leaves_the_others_their_numbers(tmp_path: Path) -> None:
    for number in range(1001, 1005):
        Image.fromarray(quarters()).save(tmp_path / f"plate.{number}.png")
    (tmp_path / "plate.1002.png").write_bytes(b"")
    source = open_source([str(tmp_path)])
    assert source.source.kind == "sequence"
    assert [(frame.number, frame.index) for frame in source.frames] == [(1001, 0), (1003, 2), (1004, 3)]


def test_plates_of_two_sizes_are_images(tmp_path: Path) -> None:
    Image.fromarray(quarters()).save(tmp_path / "p.1001.png")
    Image.fromarray(quarters(48, 64)).save(tmp_path / "p.1002.png")
    source = open_source([str(tmp_path)])
    assert source.source.kind == "images"
    assert [(frame.number, frame.width, frame.height) for frame in source.frames] == [(None, 64, 48), (None, 48, 64)]
    assert [picture.shape for picture in source] == [(48, 64, 3), (64, 48, 3)]
    assert [frame.name for frame in open_source([str(tmp_path)], frames=FrameRange(0, 1)).frames] == ["p.1001.png"]


def test_a_range_counts_the_plates_own_numbers(tmp_path: Path) -> None:
    for number in range(1001, 1011):
        Image.fromarray(quarters()).save(tmp_path / f"p.{number}.png")
    source = open_source([str(tmp_path)], frames=FrameRange.parse("1003:1009:2"))
    assert [(frame.number, frame.index) for frame in source.frames] == [(1003, 2), (1005, 4), (1007, 6)]
    assert source.source.path == str(tmp_path / "p.####.png")
    every_fourth = open_source([str(tmp_path)], frames=FrameRange.parse("::4"))
    assert [frame.number for frame in every_fourth.frames] == [1001, 1005, 1009]
    images = open_source([str(tmp_path)], kind="images", frames=FrameRange.parse("1:5:3"))
    assert [frame.name for frame in images.frames] == ["p.1002.png", "p.1005.png"]
    with pytest.raises(JobError, match="1001 to 1010"):
        open_source([str(tmp_path)], frames=FrameRange.parse("0:10"))


def test_names_stay_unique_across_folders(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(quarters()).save(tmp_path / folder / "1.png")
    source = open_source([str(tmp_path / "a/1.png"), str(tmp_path / "b/1.png")])
    assert [frame.name for frame in source.frames] == ["a/1.png", "b/1.png"]


def test_nothing_readable_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no")
    with pytest.raises(JobError, match="None of the 1 files"):
        open_source([str(tmp_path)])


def test_a_picture_beyond_all_measure_is_skipped_with_a_reason(tmp_path: Path) -> None:
    Image.new("1", (20000, 20000)).save(tmp_path / "huge.png")
    Image.fromarray(quarters()).save(tmp_path / "good.png")
    notes = Notes()
    assert [frame.name for frame in open_source([str(tmp_path)], report=notes).frames] == ["good.png"]
    assert "huge.png" in notes.warnings[0]
    assert "megapixels" in notes.warnings[0]


def test_a_file_that_goes_away_is_a_clear_line(tmp_path: Path) -> None:
    Image.fromarray(quarters()).save(tmp_path / "a.png")
    source = open_source([str(tmp_path)])
    (tmp_path / "a.png").unlink()
    with pytest.raises(JobError, match=r"a\.png"):
        source.read(0)


def mask_picture(path: Path, width: int = 64, height: int = 48) -> None:
    Image.fromarray(np.tile((np.arange(width) < width // 4).astype(np.uint8) * 255, (height, 1))).save(path)


def test_masks_are_found_by_name_stem_or_for_all(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "masks").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.fromarray(quarters()).save(tmp_path / "in" / name)
    mask_picture(tmp_path / "masks/a.png")
    mask_picture(tmp_path / "masks/B.jpg.png", 32, 24)
    notes = Notes()
    source = open_source([str(tmp_path / "in")], mask=str(tmp_path / "masks"), report=notes)
    for position in (0, 1):
        mask = source.mask(position)
        assert mask is not None
        assert mask.shape == (48, 64)
        assert mask[:, :16].all()
        assert not mask[:, 16:].any()
    assert source.mask(2) is None
    assert "c.jpg" in notes.warnings[0]
    single = open_source([str(tmp_path / "in")], mask=str(tmp_path / "masks/a.png"))
    assert [int(single.mask(position).sum()) for position in range(3)] == [16 * 48] * 3


def test_masks_of_a_sequence_are_found_by_number(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for number in (1001, 1002):
        Image.fromarray(quarters()).save(tmp_path / f"p.{number}.png")
    mask_picture(tmp_path / "masks/roto.1002.png")
    source = open_source([str(tmp_path)], mask=str(tmp_path / "masks"))
    assert source.mask(0) is None
    assert source.mask(1).sum() == 16 * 48


def test_masks_of_one_frame_are_put_together(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for number in (1001, 1002):
        Image.fromarray(quarters()).save(tmp_path / f"p.{number}.png")
    across = np.full((48, 64), 255, np.uint8)
    for name, hidden in {
        "actorA.1001": np.s_[:, :16],
        "actorB.1001": np.s_[24:],
        "p.1002": np.s_[:, :16],  # by its name this one is the frame's
        "other.1002": np.s_[:],
    }.items():
        picture = across.copy()
        picture[hidden] = 0
        Image.fromarray(picture).save(tmp_path / "masks" / f"{name}.png")
    notes = Notes()
    source = open_source([str(tmp_path)], mask=str(tmp_path / "masks"), report=notes)
    assert source.mask(0).sum() == 48 * 24
    assert source.mask(1).sum() == 48 * 48
    assert "'actorA.1001.png', 'actorB.1001.png'" in notes.statuses[0]


def test_masks_that_do_not_fit_are_a_clear_line(tmp_path: Path) -> None:
    Image.fromarray(quarters()).save(tmp_path / "a.png")
    (tmp_path / "masks").mkdir()
    with pytest.raises(JobError, match="name or number"):
        open_source([str(tmp_path)], mask=str(tmp_path / "masks"))
    with pytest.raises(JobError, match="no mask"):
        open_source([str(tmp_path)], mask=str(tmp_path / "nothere"))
    mask_picture(tmp_path / "masks/a.png", 64, 64)
    with pytest.raises(JobError, match="shape"):
        open_source([str(tmp_path)], mask=str(tmp_path / "masks")).mask(0)


def test_what_a_mask_hides_is_drawn_a_little_wider(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(quarters(1000, 500)).save(tmp_path / "in/a.png")
    values = np.full((500, 1000), 255, np.uint8)
    values[200:300, 400:500] = 0
    Image.fromarray(values).save(tmp_path / "mask.png")
    usable = open_source([str(tmp_path / "in")], mask=str(tmp_path / "mask.png")).mask(0)
    rows, columns = np.nonzero(~usable)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (194, 305, 394, 505)
    assert usable[194, 394], "round at the corners"
    assert usable[0].all(), "the picture's own border is no mask"


def test_silhouettes_become_rectangles_and_frames_stay_frames() -> None:
    usable = np.ones((200, 300), bool)
    usable[50:150, 100:110] = usable[140:150, 100:130] = False  # an L
    usable[145:160, 125:140] = False  # touches its rectangle
    usable[10, 290] = False
    expected = np.ones((200, 300), bool)
    expected[50:160, 100:140] = expected[10, 290] = False
    np.testing.assert_array_equal(boxed(usable), expected)
    frame = np.zeros((200, 300), bool)
    frame[10:-10, 10:-10] = True
    np.testing.assert_array_equal(boxed(frame), frame)
    cut_out = np.zeros((200, 300), bool)
    cut_out[60:120, 80:200] = True
    np.testing.assert_array_equal(boxed(cut_out), cut_out)
