"""What stays on its pixel while the picture moves is told from a camera that stands still."""

from __future__ import annotations

import numpy as np
import pytest

from vggt_blender.engines.colmap.features import Features
from vggt_blender.engines.colmap.overlays import Bars, overlay_features, within

SCENE, OVERLAY = 300, 40


def looks_of(count: int) -> np.ndarray:
    """Descriptors (count, 128) that have nothing in common."""
    looks = np.random.default_rng(7).normal(size=(count, 128)).astype(np.float32)
    return np.asarray(looks / np.linalg.norm(looks, axis=1, keepdims=True))


def shot(travel: list[float], overlay: int = OVERLAY) -> list[Features]:
    """Frames whose scene has moved by `travel` pixels; the first `overlay` features of each are burnt in."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0, [600, 340], (SCENE + overlay, 2))
    looks = looks_of(SCENE + overlay)
    frames = []
    for shift in travel:
        xy = places + rng.normal(0, 0.1, places.shape)
        xy[overlay:, 0] += shift + 40
        hidden = rng.random(len(xy)) < 0.2
        frames.append(Features(xy, looks).some(~hidden))
    return frames


def is_burnt_in(frames: list[Features], frame: int) -> np.ndarray:
    """By the descriptors, which are the same in all frames and in those of a single overlay."""
    burnt = looks_of(OVERLAY + SCENE)[:OVERLAY]
    return np.asarray((frames[frame].descriptors @ burnt.T > 0.999).any(axis=1))


def test_burnt_in_text_is_found_and_nothing_else() -> None:
    frames = shot(list(np.arange(12) * 6.0))
    found = overlay_features(frames)
    assert found is not None
    overlaid, burnt = np.concatenate(found), np.concatenate([is_burnt_in(frames, frame) for frame in range(12)])
    assert overlaid[burnt].mean() > 0.85
    assert overlaid[~burnt].mean() < 0.01


@pytest.mark.parametrize(
    "travel",
    [[0.0] * 12, [0.0] * 8 + [20.0, 40.0, 60.0, 80.0]],
    ids=["locked off", "a hold, then a move"],
)
def test_a_picture_that_stands_still_is_no_overlay(travel: list[float]) -> None:
    found = overlay_features(shot(travel, overlay=0))
    assert found is None or sum(each.sum() for each in found) == 0


CROSSING = 60


def crossed(frames: list[Features]) -> list[Features]:
    """The frames with something of many features in front that goes from left to right, a new step in each."""
    rng = np.random.default_rng(5)
    places = rng.uniform([0, 120], [100, 300], (CROSSING, 2))
    looks = np.random.default_rng(11).normal(size=(CROSSING, 128)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    passing = []
    for number, frame in enumerate(frames):
        xy = places + rng.normal(0, 0.1, places.shape) + [42.0 * number, 0]
        passing.append(Features(np.vstack([frame.xy, xy]), np.vstack([frame.descriptors, looks])))
    return passing


@pytest.mark.parametrize(
    "travel",
    [[0.0] * 12, [0.0] * 8 + [20.0, 40.0, 60.0, 80.0]],
    ids=["locked off", "a hold, then a move"],
)
def test_something_that_crosses_a_picture_that_stands_still_makes_it_no_overlay(travel: list[float]) -> None:
    found = overlay_features(crossed(shot(travel, overlay=0)))
    assert found is None or sum(each.sum() for each in found) == 0


def test_text_all_over_a_plate_is_found_also_where_samples_lie_far_apart() -> None:
    """A hundred frames, twelve from one sample to the next: most of the scene has left the picture by then."""
    rng = np.random.default_rng(0)
    text, scene = rng.uniform(0, [600, 340], (2 * SCENE, 2)), rng.uniform([-3600, 0], [600, 340], (7 * SCENE, 2))
    looks = looks_of(9 * SCENE)
    frames = []
    for number in range(100):
        places = np.vstack([text, np.add(scene, [36.0 * number, 0])])
        inside = (places[:, 0] >= 0) & (places[:, 0] < 600)
        frames.append(Features(places[inside] + rng.normal(0, 0.1, (inside.sum(), 2)), looks[inside]))
    found = overlay_features(frames)
    assert found is not None
    for each in found:
        assert each[: len(text)].mean() > 0.95
        assert each[len(text) :].mean() < 0.05


def test_a_shot_without_overlay_has_none() -> None:
    assert overlay_features(shot(list(np.arange(12) * 6.0), overlay=0)) is None


def test_black_bars_are_found_also_with_text_in_them() -> None:
    rng = np.random.default_rng(1)
    bars = Bars()
    for number in range(3):
        gray = rng.integers(0, 255, (180, 320), np.uint8)
        gray[:20] = gray[-20:] = 3
        gray[8:14, 40 : 100 + number] = 250
        bars.look(gray)
    picture = bars.picture((180, 320))
    assert picture is not None
    rows, columns = picture
    assert 20 < rows.start < 32
    assert 148 < rows.stop < 160
    assert (columns.start, columns.stop) == (0, 320)
    features = Features(
        np.array([[60.0, 10.0], [60.0, 20.5], [60.0, 90.0], [1.0, 90.0]]), np.zeros((4, 128), np.float32)
    )
    assert within(features, picture).tolist() == [False, False, True, True]


def test_a_dark_picture_has_no_bars() -> None:
    night = np.tile(np.linspace(0, 60, 180)[:, None], (1, 320)).astype(np.uint8)
    bars = Bars()
    bars.look(night)
    bars.look(np.zeros((90, 160), np.uint8))
    assert bars.picture((180, 320)) is None
    assert bars.picture((90, 160)) is None
