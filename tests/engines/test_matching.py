"""Which stills are compared in full, and which pairs are believed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vggt_blender.engines.colmap.features import Features
from vggt_blender.engines.colmap.mapping import initial_camera
from vggt_blender.engines.colmap.matching import FEWEST_PARTNERS, PARTNERS, alike_pairs, joined, verified_pairs

COUNT, STEP = 40, 30


def walk() -> list[Features]:
    """Pictures along a walk: each shows 90 details, 60 of which the next one shows, too."""
    looks = np.random.default_rng(0).normal(size=(COUNT * STEP + 90, 128)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    xy = np.zeros((90, 2))
    return [Features(xy, looks[k * STEP : k * STEP + 90]) for k in range(COUNT)]


def test_pictures_that_share_details_are_compared_and_most_others_are_not() -> None:
    order = np.random.default_rng(1).permutation(COUNT)
    pictures = walk()
    pairs = alike_pairs([pictures[k] for k in order], lambda done, total: None)
    place = np.argsort(order)
    for k in range(COUNT - 1):
        assert tuple(sorted((int(place[k]), int(place[k + 1])))) in pairs
    degree = np.bincount(np.array(pairs).ravel(), minlength=COUNT)
    assert degree.min() >= FEWEST_PARTNERS
    assert len(pairs) <= COUNT * PARTNERS / 2 + COUNT
    assert pairs == sorted(set(pairs))
    assert all(first < second for first, second in pairs)


def test_a_few_pictures_are_all_compared() -> None:
    pairs = alike_pairs(walk()[:8], lambda done, total: None)
    assert len(pairs) == 28


def test_what_no_pair_joins_is_a_group_of_its_own() -> None:
    pairs = [(5, 6), (0, 1), (2, 3), (1, 2), (6, 7), (0, 3)]
    assert joined(pairs) == [[0, 1, 2, 3], [5, 6, 7]]


def pair_of_pictures(confirmed: float) -> list[Features]:
    """Half of 80 details that match for sure, and the part `confirmed` of 400 ambiguous ones, are where a rigid scene
    puts them in the second picture; the others are anywhere."""
    rng = np.random.default_rng(3)
    count, sure = 480, 80
    xyz = np.column_stack([rng.uniform(-2, 2, count), rng.uniform(-1.4, 1.4, count), rng.uniform(4, 9, count)])
    turn = cv2.Rodrigues(np.array([0.02, 0.3, 0.05]))[0]
    moved = (xyz - [0, 0, 6]) @ turn.T + [0.1, 0, 6]
    first, second = (500 * seen[:, :2] / seen[:, 2:] + [320, 240] for seen in (xyz, moved))
    rigid = np.concatenate([np.arange(sure) < sure / 2, rng.random(count - sure) < confirmed])
    second[~rigid] = rng.uniform([0, 0], [640, 480], (int((~rigid).sum()), 2))
    looks = rng.normal(size=(2, count, 128))
    looks /= np.linalg.norm(looks, axis=2, keepdims=True)
    across = looks[1] - (looks[1] * looks[0]).sum(axis=1, keepdims=True) * looks[0]
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    angle = np.where(np.arange(count) < sure, 0.3, 0.8)[:, None]  # alike enough to count, and not quite
    seen = np.cos(angle) * looks[0] + np.sin(angle) * across
    return [Features(first, looks[0].astype(np.float32)), Features(second, seen.astype(np.float32))]


@pytest.mark.parametrize(("confirmed", "believed"), [(0.2, True), (0.0, False)])
def test_a_geometry_is_believed_where_matches_that_had_no_say_in_it_agree(confirmed: float, believed: bool) -> None:
    """What repeats itself (paving, windows) makes a geometry of its own, which nothing else confirms."""
    camera = initial_camera(1, 640, 480, None)
    (pair,) = verified_pairs([(0, 1)], pair_of_pictures(confirmed), [camera, camera])
    assert (pair is not None) == believed
    if pair is not None:
        assert pair.inliers > 80, "ambiguous matches that agree count"
