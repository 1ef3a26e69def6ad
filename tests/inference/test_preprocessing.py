"""Preprocessing against the released loader's arrays, and the affine against the pictures themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vggt_blender.inference import preprocessing
from vggt_blender.inference.preprocessing import PATCH, pad_to_common_size, prepare, prepare_square

DATA = Path(__file__).parents[1] / "data" / "vggt"
REFERENCE = np.load(DATA / "preprocess.npz")
SINGLE = [name for name in REFERENCE.files if "__" in name and "+" not in name]


def picture(name: str) -> Image.Image:
    return Image.open(next(DATA.glob(f"png/{name}*.png")))


@pytest.mark.parametrize("name", SINGLE)
def test_single_picture_is_exact(name: str) -> None:
    stem, mode = name.split("__")
    prepared = prepare(picture(stem), mode)
    np.testing.assert_array_equal(prepared.pixels.transpose(2, 0, 1), REFERENCE[name])


def test_batch_is_padded_to_a_common_size_exactly() -> None:
    batch = pad_to_common_size([prepare(picture("landscape_64x48")), prepare(picture("wide_640x90"))])
    pixels = np.stack([entry.pixels for entry in batch]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(pixels, REFERENCE["batch_landscape+wide__crop"])


def test_square_loader_is_exact() -> None:
    batch = [prepare_square(picture(name), 128) for name in ("portrait_48x64", "tie_74x37")]
    pixels = np.stack([entry.pixels for entry in batch]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(pixels, REFERENCE["square128_portrait+tie"])


@pytest.mark.parametrize("mode", ["crop", "pad", "fit"])
@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (640, 90), (300, 1200)])
def test_affine_finds_a_mark_in_the_source(size: tuple[int, int], mode: preprocessing.Mode) -> None:
    """The centroid of a soft blob in the network's picture, mapped back, is the blob's centre in the source."""
    center = np.array([size[0] * 0.6, size[1] * 0.52])
    columns, rows = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    sigma = 0.04 * min(size)
    blob = 255 * np.exp(-((columns - center[0]) ** 2 + (rows - center[1]) ** 2) / (2 * sigma**2))
    prepared = prepare(Image.fromarray(blob.astype(np.uint8)).convert("RGB"), mode)
    weight = prepared.pixels[..., 0].astype(float) * prepared.shows_picture()
    weight[weight < 40] = 0
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]] + 0.5
    found = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    mapped = prepared.image_from_network[:, :2] @ found + prepared.image_from_network[:, 2]
    assert np.abs(mapped - center).max() < 0.1


def test_content_and_affine_agree_on_the_picture_border() -> None:
    prepared = prepare(Image.new("RGB", (300, 1200)), "pad")
    top, bottom, left, right = prepared.content
    corners = np.array([[left, top], [right, bottom]], float)
    mapped = corners @ prepared.image_from_network[:, :2].T + prepared.image_from_network[:, 2]
    np.testing.assert_allclose(mapped, [[0, 0], [300, 1200]], atol=1e-9)
    assert (prepared.pixels[~prepared.shows_picture()] == 255).all()
    assert (prepared.pixels[prepared.shows_picture()] == 0).all()


def test_extreme_shapes_keep_one_patch() -> None:
    assert prepare(Image.new("RGB", (2000, 10))).pixels.shape == (PATCH, 518, 3)


def test_portrait_among_the_pictures_is_padded_rather_than_cropped() -> None:
    assert preprocessing.choose_mode([(640, 480), (640, 640)]) == "crop"
    assert preprocessing.choose_mode([(640, 480), (480, 640)]) == "pad"


def test_a_smaller_network_sees_the_whole_picture_and_no_border() -> None:
    assert preprocessing.choose_mode([(1080, 1920)], 224) == "fit"
    for size, shape in (((1920, 1080), (126, 224)), ((1080, 1920), (224, 126)), ((900, 900), (224, 224))):
        prepared = prepare(Image.new("RGB", size), "fit", 224)
        assert prepared.pixels.shape == (*shape, 3)
        assert prepared.shows_picture().all()
