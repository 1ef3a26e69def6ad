"""Which pictures to compare, which features belong together, and which of those a rigid scene allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pycolmap
from numpy.typing import NDArray

from .features import Features

RATIO = 0.8
"""A match must be this much closer (in angle) than the second best."""

MAX_ANGLE = 0.7
"""Descriptors farther apart than this (radians) never match."""

EXHAUSTIVE_UP_TO = 40
"""So many frames in time order are compared all with all; longer shots only along the way and where they return."""

FEWEST_MATCHES = 15
MAX_ERROR = 4.0
"""Working pixels from the epipolar line up to which a match may belong to the rigid scene."""

Pair = tuple[int, int]
Matches = NDArray[np.uint32]


def pairs_of(count: int, ordered: bool) -> list[Pair]:
    """The pairs to compare: `ordered` frames follow each other in time."""
    if not ordered or count <= EXHAUSTIVE_UP_TO:
        return exhaustive_pairs(count)
    return sequential_pairs(count)


def exhaustive_pairs(count: int) -> list[Pair]:
    """All pairs (i, j) with i < j."""
    return [(first, second) for first in range(count) for second in range(first + 1, count)]


def sequential_pairs(count: int, overlap: int = 10) -> list[Pair]:
    """Each frame with the next `overlap` ones and then at doubling distances."""
    steps = [*range(1, overlap + 1)]
    while steps and steps[-1] * 2 < count:
        steps.append(steps[-1] * 2)
    return [(first, first + step) for first in range(count) for step in steps if first + step < count]


def match(first: Features, second: Features) -> Matches:
    """Mutual nearest neighbours (M, 2) that pass the ratio test."""
    if len(first.xy) < 2 or len(second.xy) < 2:
        return np.zeros((0, 2), np.uint32)
    count = len(first.xy)
    columns = np.empty(count, np.intp)
    best, rival = np.empty(count, np.float32), np.empty(count, np.float32)
    column_best = np.full(len(second.xy), -2.0, np.float32)
    targets = np.ascontiguousarray(second.descriptors.T)
    for start in range(0, count, _ROWS):  # a block of the product stays in the processor's cache
        block = slice(start, min(start + _ROWS, count))
        similarity = first.descriptors[block] @ targets
        rows = np.arange(len(similarity))
        columns[block] = similarity.argmax(axis=1)
        best[block] = similarity[rows, columns[block]]
        np.maximum(column_best, similarity.max(axis=0), out=column_best)
        similarity[rows, columns[block]] = -2.0
        rival[block] = similarity.max(axis=1)
    angle = np.arccos(np.clip(best, -1, 1))
    good = (angle < RATIO * np.arccos(np.clip(rival, -1, 1))) & (angle < MAX_ANGLE) & (best >= column_best[columns])
    rows = np.flatnonzero(good)
    return np.column_stack([rows, columns[rows]]).astype(np.uint32)


_ROWS = 256


@dataclass(frozen=True)
class VerifiedPair:
    """Two pictures (positions) and the matches that one rigid scene explains."""

    first: int
    second: int
    matches: Matches
    geometry: pycolmap.TwoViewGeometry


def verified_pairs(
    pairs: Sequence[Pair], features: Sequence[Features], cameras: Sequence[pycolmap.Camera]
) -> Iterator[VerifiedPair | None]:
    """For each of `pairs` in order what matches and a rigid scene allows, or None where that is too little."""
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = FEWEST_MATCHES
    options.ransac.random_seed = 0
    options.ransac.max_error = MAX_ERROR

    def check(pair: Pair, matches: Matches) -> VerifiedPair | None:
        first, second = pair
        if len(matches) < FEWEST_MATCHES:
            return None
        geometry = pycolmap.estimate_two_view_geometry(
            cameras[first], features[first].xy, cameras[second], features[second].xy, matches, options
        )
        enough = len(geometry.inlier_matches) >= FEWEST_MATCHES
        return VerifiedPair(first, second, matches, geometry) if enough else None

    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(pairs), _PAIRS_AT_ONCE):
            some = pairs[start : start + _PAIRS_AT_ONCE]
            yield from pool.map(check, some, [match(features[first], features[second]) for first, second in some])


_PAIRS_AT_ONCE = 8
