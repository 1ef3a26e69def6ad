"""Which stills are compared in full."""

from __future__ import annotations

import numpy as np

from vggt_blender.engines.colmap.features import Features
from vggt_blender.engines.colmap.matching import FEWEST_PARTNERS, PARTNERS, alike_pairs, joined

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
