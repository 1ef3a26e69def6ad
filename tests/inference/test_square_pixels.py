"""Pixels that are not square: stretched to square ones for the solve, and the solve brought back to the file's."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from vggt_blender.exchange.known import Known
from vggt_blender.exchange.reconstruction import Frame, Pose
from vggt_blender.geometry.cameras import project
from vggt_blender.inference.frames import open_source
from vggt_blender.inference.square_pixels import with_square_pixels
from vggt_blender.inference.squeeze import Squeeze

ASPECTS = (2.0, 1.33, 64 / 45, 0.5, 0.9)


def blob(width: int, height: int, at: np.ndarray, across: np.ndarray) -> np.ndarray:
    """A soft spot at pixel `at` of deviations `across` (x, y)."""
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    spot = np.exp(-(((columns - at[0]) / across[0]) ** 2 + ((rows - at[1]) / across[1]) ** 2) / 2)
    return np.rint(255 * spot).astype(np.uint8)


def middle(picture: np.ndarray) -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(picture.shape[1]) + 0.5, np.arange(picture.shape[0]) + 0.5)
    weight = picture.astype(np.float64)
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("aspect", ASPECTS)
def test_what_is_stored_thin_is_seen_round_and_in_its_place(aspect: float) -> None:
    squeeze = Squeeze(121, 83, aspect)
    scale = squeeze.scale
    assert scale[0] / scale[1] == pytest.approx(aspect)
    assert scale.min() == 1.0, "nothing is thrown away"
    seen_at = np.array([0.6 * squeeze.size[0], 0.4 * squeeze.size[1]])
    stored = blob(121, 83, squeeze.stored_xy(seen_at), 6 / scale)
    seen = squeeze.seen(stored)
    assert seen.shape == squeeze.size[::-1]
    np.testing.assert_allclose(middle(seen), seen_at, atol=0.02)
    weight = seen.astype(np.float64)
    columns, rows = np.meshgrid(np.arange(seen.shape[1]) + 0.5, np.arange(seen.shape[0]) + 0.5)
    spread = [((axis - at) ** 2 * weight).sum() for axis, at in ((columns, seen_at[0]), (rows, seen_at[1]))]
    assert spread[0] / spread[1] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("aspect", ASPECTS)
def test_cameras_and_maps_go_there_and_back(aspect: float) -> None:
    squeeze = Squeeze(121, 83, aspect)
    pose = Pose(np.eye(3, 4), 100.0, 100.0 * aspect, 60.0, 42.0, (-0.1, 0.02, 0.001, -0.002, 0.0))
    stored = Frame("a", "a", 0, None, 121, 83, pose, np.array([[4.0, 0, 1], [0, 4.2, -2]]))
    square = squeeze.square(stored)
    assert square.pose.fx == pytest.approx(square.pose.fy)
    points = np.random.default_rng(0).uniform([-1, -1, 3], [1, 1, 6], (50, 3))
    here, there = (project(points, frame.pose.camera_from_world, frame.pose)[0] for frame in (stored, square))
    np.testing.assert_allclose(here * squeeze.scale + squeeze.offset, there, atol=1e-9)
    np.testing.assert_allclose(squeeze.stored_xy(there), here, atol=1e-9)
    back = squeeze.stored(square)
    assert (back.width, back.height) == (121, 83)
    np.testing.assert_allclose(back.depth_to_image, stored.depth_to_image, atol=1e-12)
    at = square.depth_to_image @ [7.5, 3.5, 1]  # of a depth map's sample
    np.testing.assert_allclose(squeeze.stored_xy(at), stored.depth_to_image @ [7.5, 3.5, 1], atol=1e-9)


@pytest.mark.parametrize(("size", "aspect"), [((2880, 2160), 2.0), ((2160, 2880), 2.0), ((720, 576), 0.9)])
def test_a_lens_that_squeezes_has_its_own_millimetres(size: tuple[int, int], aspect: float) -> None:
    """The sensor's sites are square; the engraved focal length holds upright, the lens squeezes sideways."""
    width, height = size
    squeeze = Squeeze(width, height, aspect)
    fy = 50 / (24 / max(size))
    for known in (
        Known(focal_mm=50, sensor_mm=24, pixel_aspect=aspect),
        Known(focal_px=fy / aspect, pixel_aspect=aspect),
        Known(fov=float(np.degrees(2 * np.arctan(width / 2 / (fy / aspect)))), pixel_aspect=aspect),
    ):
        focal = known.focal_pixels(*squeeze.size)
        pose = Pose(np.eye(3, 4), focal, focal, 0.0, 0.0)
        stored = squeeze.stored(Frame("a", "a", 0, None, *squeeze.size, pose)).pose
        assert (stored.fx, stored.fy) == pytest.approx((fy / aspect, fy), rel=1e-3)


def test_masks_are_stretched_with_their_pictures(tmp_path: Path) -> None:
    plate = np.random.default_rng(0).integers(0, 255, (60, 40, 3), np.uint8)
    Image.fromarray(plate).save(tmp_path / "plate.png")
    mask = np.full((60, 40), 255, np.uint8)
    mask[:, :10] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    stored = open_source([str(tmp_path / "plate.png")], mask=str(tmp_path / "mask.png"))
    square, _ = with_square_pixels(stored, 2.0)
    usable = square.mask(0)
    assert usable.shape == square.read(0).shape[:2] == (60, 80)
    assert not usable[:, :20].any()
    assert usable[:, 22:].all()


def test_an_exr_header_tells_its_pixels(tmp_path: Path) -> None:
    os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"
    encoded = cv2.imencode(".exr", np.full((36, 64, 3), 0.2, np.float32))[1].tobytes()
    start = encoded.index(b"pixelAspectRatio\0float\0") + len(b"pixelAspectRatio\0float\0") + 4
    for number in (1001, 1002):
        plate = encoded[:start] + struct.pack("<f", 2.0) + encoded[start + 4 :]
        (tmp_path / f"plate.{number}.exr").write_bytes(plate)
    square, aspect = with_square_pixels(open_source([str(tmp_path)]), None)
    assert aspect == 2.0
    assert square.read(0).shape == (36, 128, 3)


@pytest.mark.parametrize("stated", [1.0, 1280 / 1281, 100.0])
def test_what_a_file_states_by_rounding_or_mistake_is_square(stated: float) -> None:
    from vggt_blender.inference.squeeze import is_square

    assert is_square(stated)
