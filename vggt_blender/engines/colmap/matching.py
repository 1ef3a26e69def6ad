"""Which pictures to compare, which features belong together, and which of those a rigid scene allows.

Where little is found at first, matches too ambiguous to count by themselves take part: they had no say in the pair's
geometry, so they vouch for it. On the epipolar lines of two pictures of the same things they lie far more often than by
chance, and those that do count; things that only look alike (paving, windows, two of a kind) are told by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pycolmap
from numpy.typing import NDArray

from .features import Features
from .parallel import threads

RATIO = 0.8
"""A match must be this much closer (in angle) than the second best."""

MAX_ANGLE = 0.7
"""Descriptors farther apart than this (radians) do not match."""

LOOSE_RATIO, LOOSE_ANGLE = 0.95, 0.9
"""The same for matches that the geometry of a pair has to vouch for."""

FEW_MATCHES = 100
"""A pair with fewer matches takes a second look, at the loose ones."""

ABOVE_CHANCE = 3.0
"""So many times oftener than by chance do loose matches lie on the lines of a right geometry: 3.4 to 8.5 times where
photos were 20 to 35 degrees apart, 1.0 to 3.7 where they showed other sides of a thing."""

SURE_SHARE = 0.65
"""A geometry without them is believed where it explains this share of the sure matches."""

OVERLAP = 6
"""Frames in time order are compared with so many next ones, and then at doubling distances."""

FEW_FEATURES = 1024
"""Of the largest, and of the smallest, details of a still are compared with those of all others at first."""

PARTNERS, FEWEST_PARTNERS, CHANCE = 16, 8, 20
"""A still is compared in full with this many others, at the most and at the least; matches among the few features that
pictures of different things may have."""

FEWEST_MATCHES = 15
MAX_ERROR = 4.0
"""Working pixels from the epipolar line up to which a match may belong to the rigid scene."""

Pair = tuple[int, int]
Matches = NDArray[np.uint32]


def alike_pairs(features: Sequence[Features], tell: Callable[[int, int], None]) -> list[Pair]:
    """The pairs of stills that are worth comparing in full.

    Each picture with the `PARTNERS` others with which it shares most of `FEW_FEATURES` large and as many small details,
    where these are more than chance, and with `FEWEST_PARTNERS` in any case. All of a few pictures.
    """
    count = len(features)
    if count <= FEWEST_PARTNERS + 1:
        return exhaustive_pairs(count)
    looks = [[each.some(slice(-FEW_FEATURES, None)) for each in features]]
    looks.append([each.some(slice(FEW_FEATURES)) for each in features])
    shared = np.zeros((count, count), np.int64)
    for first in range(count):
        tell(first, count)
        for second in range(first + 1, count):
            shared[first, second] = shared[second, first] = max(
                int(match(look[first], look[second]).sure.sum()) for look in looks
            )
    pairs = set()
    for first in range(count):
        partners = [int(k) for k in np.argsort(-shared[first], kind="stable") if k != first][:PARTNERS]
        for rank, second in enumerate(partners):
            if rank < FEWEST_PARTNERS or shared[first, second] > CHANCE:
                pairs.add((min(first, second), max(first, second)))
    return sorted(pairs)


def exhaustive_pairs(count: int) -> list[Pair]:
    """All pairs (i, j) with i < j."""
    return [(first, second) for first in range(count) for second in range(first + 1, count)]


def sequential_pairs(count: int, overlap: int) -> list[Pair]:
    """Each frame with the next `overlap` ones and then at doubling distances."""
    steps = [*range(1, overlap + 1)]
    while steps and steps[-1] * 2 < count:
        steps.append(steps[-1] * 2)
    return [(first, first + step) for first in range(count) for step in steps if first + step < count]


@dataclass(frozen=True)
class Candidates:
    """Mutual nearest neighbours ``matches`` (M, 2) of two pictures, and which of them are ``sure`` (M,)."""

    matches: Matches
    sure: NDArray[np.bool_]


def match(first: Features, second: Features) -> Candidates:
    """Mutual nearest neighbours that pass the loose ratio test; the sure ones pass the strict one."""
    if len(first.xy) < 2 or len(second.xy) < 2:
        return Candidates(np.zeros((0, 2), np.uint32), np.zeros(0, np.bool_))
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
    angle, rival_angle = np.arccos(np.clip(best, -1, 1)), np.arccos(np.clip(rival, -1, 1))
    loose = (angle < LOOSE_RATIO * rival_angle) & (angle < LOOSE_ANGLE) & (best >= column_best[columns])
    sure = (angle < RATIO * rival_angle) & (angle < MAX_ANGLE)
    rows = np.flatnonzero(loose)
    return Candidates(np.column_stack([rows, columns[rows]]).astype(np.uint32), sure[rows])


_ROWS = 256


@dataclass(frozen=True)
class VerifiedPair:
    """Two pictures (positions) and the matches that one rigid scene explains."""

    first: int
    second: int
    matches: Matches
    geometry: pycolmap.TwoViewGeometry

    @property
    def inliers(self) -> int:
        """How many of the matches the scene explains."""
        return len(self.geometry.inlier_matches)

    @property
    def is_flat(self) -> bool:
        """Whether one homography explains them: no parallax shows, and no lines are certain."""
        return int(self.geometry.config) in _FLAT


_FLAT = {
    int(kind)
    for kind in (
        pycolmap.TwoViewGeometryConfiguration.PLANAR,
        pycolmap.TwoViewGeometryConfiguration.PANORAMIC,
        pycolmap.TwoViewGeometryConfiguration.PLANAR_OR_PANORAMIC,
    )
}


def verified_pairs(
    pairs: Sequence[Pair], features: Sequence[Features], cameras: Sequence[pycolmap.Camera]
) -> Iterator[VerifiedPair | None]:
    """For each of `pairs` in order what matches and a rigid scene allows, or None where that is too little."""
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = FEWEST_MATCHES
    options.ransac.random_seed = 0
    options.ransac.max_error = MAX_ERROR

    def verified(pair: Pair, matches: Matches) -> VerifiedPair | None:
        first, second = pair
        if len(matches) < FEWEST_MATCHES:
            return None
        geometry = pycolmap.estimate_two_view_geometry(
            cameras[first], features[first].xy, cameras[second], features[second].xy, matches, options
        )
        enough = len(geometry.inlier_matches) >= FEWEST_MATCHES
        return VerifiedPair(first, second, matches, geometry) if enough else None

    def check(pair: Pair, found: Candidates) -> VerifiedPair | None:
        sure = verified(pair, found.matches[found.sure])
        if sure is None or sure.inliers >= FEW_MATCHES:
            return sure
        near = near_epipolar_lines(sure.geometry, features[pair[0]].xy, features[pair[1]].xy, found.matches)
        loose = found.matches[~found.sure]
        if near[~found.sure].sum() < ABOVE_CHANCE * by_chance(
            sure.geometry, features[pair[0]], features[pair[1]], loose
        ):
            return sure if sure.inliers >= SURE_SHARE * found.sure.sum() or sure.is_flat else None
        more = verified(pair, found.matches[near])
        return more if more is not None and more.inliers > sure.inliers else sure

    at_once = max(_PAIRS_AT_ONCE, 2 * threads())
    with ThreadPoolExecutor(threads()) as pool:
        for start in range(0, len(pairs), at_once):
            some = pairs[start : start + at_once]
            yield from pool.map(check, some, [match(features[first], features[second]) for first, second in some])


_PAIRS_AT_ONCE = 8


def joined(pairs: Iterable[Pair]) -> list[list[int]]:
    """The groups of pictures (positions, in order) that `pairs` join, the largest first: two sides of a cut are two."""
    group_of: dict[int, list[int]] = {}
    for first, second in pairs:
        one, other = (group_of.setdefault(position, [position]) for position in (first, second))
        if one is not other:
            one.extend(other)
            group_of.update(dict.fromkeys(other, one))
    groups = {id(group): sorted(group) for group in group_of.values()}.values()
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def by_chance(geometry: pycolmap.TwoViewGeometry, first: Features, second: Features, matches: Matches) -> float:
    """How many of `matches` (M, 2) would lie near their epipolar lines if their partners were each other's."""
    near = [
        near_epipolar_lines(
            geometry, first.xy, second.xy, np.column_stack([matches[:, 0], np.roll(matches[:, 1], shift)])
        ).sum()
        for shift in _SHIFTS
    ]
    return float(np.mean(near))


_SHIFTS = (7, 29, 71, 113)  # how far partners are exchanged, in the order of the matches


def near_epipolar_lines(
    geometry: pycolmap.TwoViewGeometry, first: NDArray[np.float64], second: NDArray[np.float64], matches: Matches
) -> NDArray[np.bool_]:
    """Which of `matches` (M, 2) into the pixels `first` and `second` lie within `MAX_ERROR` (Sampson) of their lines.

    None do where the pair has no fundamental matrix: a plane or a turn explains it.
    """
    matrix = np.zeros((3, 3)) if geometry.F is None else np.asarray(geometry.F)
    here = np.column_stack([first[matches[:, 0]], np.ones(len(matches))])
    there = np.column_stack([second[matches[:, 1]], np.ones(len(matches))])
    lines, lines_back = here @ matrix.T, there @ matrix
    steepness = (lines[:, :2] ** 2).sum(axis=1) + (lines_back[:, :2] ** 2).sum(axis=1)
    offset = (there * lines).sum(axis=1) ** 2
    return np.asarray((steepness > 0) & (offset < MAX_ERROR**2 * steepness))
