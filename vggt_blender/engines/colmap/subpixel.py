"""Sub-pixel tracks: every observation of a point aligned with one and the same patch of picture.

A detector finds the "same" corner at slightly different places in different views. Here each point takes one of its
observations as the reference, and the others move to where their picture matches the reference's patch, by the inverse
compositional algorithm with an affine warp (Baker and Matthews, "Lucas-Kanade 20 years on", 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...geometry.cameras import camera_center, project, unproject
from .features import Gray
from .solution import Observations, Solution

RADIUS = 6
"""Of the square patches, in working pixels."""

ITERATIONS = 12
ARRIVED = 0.005
"""Working pixels; a patch that moves less than this has found its place."""

MOST_MOVED = 2.0
"""Working pixels; an observation that wants to move farther was not the same corner."""

LEAST_CORRELATION = 0.85
LEAST_CONTRAST = 2.0
"""Standard deviation (grey levels) of a patch that can be aligned."""

FEWEST_AGREEING, LEAST_AGREEING = 2, 0.5
"""Observations, the reference among them, and their share of the track that make it sharp; others stay as they were."""

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

_SIDE = np.arange(-RADIUS, RADIUS + 1, dtype=np.float32)
_OFFSETS = np.stack([np.tile(_SIDE, len(_SIDE)), np.repeat(_SIDE, len(_SIDE))])
_BASIS = np.concatenate([np.ones_like(_OFFSETS[:1]), _OFFSETS]).T


@dataclass(frozen=True)
class _References:
    """Per point: the ``position`` of its reference, the patch's ``values`` (P, n) of zero mean and unit length, its
    ``slopes`` (P, 2, n) along x and y in the same unit, the ``inverse`` (P, 6, 6) of its normal matrix, and
    ``corners`` (P, 3, 3): the world points one working pixel right of, below and at the observation."""

    position: NDArray[np.int64]
    values: Float32
    slopes: Float32
    inverse: Float32
    corners: Array
    usable: Bool


def sharpen(
    solution: Solution, scales: Sequence[float], picture: Callable[[int], Gray], tell: Callable[[int, int], None]
) -> tuple[list[Observations], float]:
    """The observations per position, moved to sub-pixel agreement, and the share of them that did.

    Observations that do not agree with a sharp track are left out; tracks that do not become sharp stay as they were.
    `picture` gives a position's working picture, `scales` its working pixels per source pixel.
    """
    placed = solution.placed
    references = _references(solution, scales, picture, lambda done: tell(done, 2 * len(placed)))
    moved: dict[int, tuple[Array, Bool]] = {}
    agreeing, seeing = np.zeros(len(solution.xyz), np.int64), np.zeros(len(solution.xyz), np.int64)
    for done, position in enumerate(placed):
        tell(len(placed) + done, 2 * len(placed))
        moved[position] = _aligned(solution, references, position, scales[position], picture(position))
        np.add.at(agreeing, solution.observations[position].points[moved[position][1]], 1)
        np.add.at(seeing, solution.observations[position].points, 1)
    is_sharp = (agreeing >= FEWEST_AGREEING) & (agreeing >= LEAST_AGREEING * seeing)
    result = list(solution.observations)
    sharpened = 0
    for position in placed:
        seen = solution.observations[position]
        xy, good = moved[position]
        sharp = is_sharp[seen.points]
        sharpened += int((sharp & good).sum())
        keep = good | ~sharp
        result[position] = Observations(seen.points[keep], np.where((sharp & good)[:, None], xy, seen.xy)[keep])
    return result, sharpened / max(1, sum(len(solution.observations[position].points) for position in placed))


def _references(
    solution: Solution, scales: Sequence[float], picture: Callable[[int], Gray], tell: Callable[[int], None]
) -> _References:
    """The observation nearest to the middle of each point's views becomes its reference."""
    count, size = len(solution.xyz), _OFFSETS.shape[1]
    references = _References(
        _middle_views(solution),
        np.zeros((count, size), np.float32),
        np.zeros((count, 2, size), np.float32),
        np.zeros((count, 6, 6), np.float32),
        np.zeros((count, 3, 3)),
        np.zeros(count, np.bool_),
    )
    for done, view in enumerate(solution.placed):
        tell(done)
        seen = solution.observations[view]
        mine = references.position[seen.points] == view
        points, xy = seen.points[mine], seen.xy[mine]
        _fill_patches(references, points, xy * scales[view], picture(view))
        pose, lens = solution.poses[view], solution.lenses[view]
        assert pose is not None
        assert lens is not None
        depth = solution.xyz[points] @ pose[2, :3] + pose[2, 3]
        around = xy[:, None] + np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]) / scales[view]
        references.corners[points] = unproject(around, np.repeat(depth[:, None], 3, axis=1), pose, lens)
    return references


def _fill_patches(references: _References, points: NDArray[np.int64], centers: Array, gray: Gray) -> None:
    """Take the patches of `points` at working pixels `centers` (M, 2) as their references."""
    picture = gray.astype(np.float32)
    where = centers[:, :, None].astype(np.float32) + _OFFSETS
    patch, length = _normalised(_sampled(picture, where))
    slopes = [
        (_sampled(picture, where + move) - _sampled(picture, where - move)) / 2
        for move in np.eye(2, dtype=np.float32)[:, :, None]
    ]
    gradient = np.stack(slopes, axis=1) / np.maximum(length, 1e-6)[:, None, None]
    usable = np.isfinite(patch).all(axis=1) & np.isfinite(gradient).all(axis=(1, 2))
    usable &= length > LEAST_CONTRAST * np.sqrt(patch.shape[1])
    gradient[~usable] = 0
    descent = (gradient[:, None] * _BASIS.T[None, :, None]).reshape(len(points), 6, _OFFSETS.shape[1])
    descent -= descent.mean(axis=2, keepdims=True)
    normal = descent @ descent.swapaxes(1, 2) + 1e-6 * np.eye(6, dtype=np.float32)
    references.values[points], references.slopes[points] = patch, gradient
    references.inverse[points], references.usable[points] = np.linalg.inv(normal), usable


def _middle_views(solution: Solution) -> NDArray[np.int64]:
    """Per point the position, among those that see it, whose camera is nearest to their mean."""
    count = len(solution.xyz)
    poses = {position: solution.poses[position] for position in solution.placed}
    centers = {position: camera_center(pose) for position, pose in poses.items() if pose is not None}
    total, number = np.zeros((count, 3)), np.zeros(count)
    for position, center in centers.items():
        rows = solution.observations[position].points
        total[rows] += center
        number[rows] += 1
    mean = total / np.maximum(number, 1)[:, None]
    best, nearest = np.full(count, -1, np.int64), np.full(count, np.inf)
    for position, center in centers.items():
        rows = solution.observations[position].points
        distance = np.linalg.norm(mean[rows] - center, axis=1)
        closer = distance < nearest[rows]
        best[rows[closer]], nearest[rows[closer]] = position, distance[closer]
    return best


def _aligned(
    solution: Solution, references: _References, position: int, scale: float, gray: Gray
) -> tuple[Array, Bool]:
    """Source pixels (M, 2) of one frame's observations after alignment, and which of them succeeded."""
    pose, lens = solution.poses[position], solution.lenses[position]
    assert pose is not None
    assert lens is not None
    rows, start = solution.observations[position].points, solution.observations[position].xy * scale
    corners = project(references.corners[rows], pose, lens)[0] * scale
    warp = (corners[:, :2] - corners[:, 2:]).swapaxes(1, 2)
    own = references.position[rows] == position
    usable = references.usable[rows] & np.isfinite(warp).all(axis=(1, 2))
    place, correlation = start.copy(), np.zeros(len(rows))
    picture = gray.astype(np.float32)
    active = np.flatnonzero(usable & ~own)
    for _ in range(ITERATIONS):
        if not len(active):
            break
        moves, correlation[active] = _step(references, rows[active], place[active], warp[active], picture)
        turned = warp[active] @ np.linalg.inv(np.eye(2) + moves[:, 2:].reshape(-1, 2, 2).swapaxes(1, 2))
        shift = (turned @ moves[:, :2, None])[..., 0]
        place[active] -= shift
        warp[active] = turned
        with np.errstate(invalid="ignore"):
            lost = ~(np.linalg.norm(place[active] - start[active], axis=1) < MOST_MOVED)
            usable[active[lost]] = False
            active = active[~lost & (np.abs(shift).max(axis=1) > ARRIVED)]
    good = usable & (own | (correlation > LEAST_CORRELATION))
    return np.where(good[:, None], place, start) / scale, good


def _step(
    references: _References, rows: NDArray[np.int64], place: Array, warp: Array, picture: Float32
) -> tuple[Array, Float32]:
    """How the patches (M, 6) want to move, NaN where that is not to be told, and how well they match now (M,)."""
    where = place[:, :, None].astype(np.float32) + warp.astype(np.float32) @ _OFFSETS
    patch, _ = _normalised(_sampled(picture, where))
    values = references.values[rows]
    correlation = (patch * values).sum(axis=1)
    patch -= values
    # The patches' difference has no mean, so the mean of the slopes plays no part.
    weighted = (references.slopes[rows] * patch[:, None]) @ _BASIS
    moves = references.inverse[rows] @ weighted.swapaxes(1, 2).reshape(-1, 6, 1)
    moves[np.abs(moves[:, 2:, 0]).max(axis=1, initial=0) > _LARGEST_TURN] = np.nan
    return np.nan_to_num(moves[..., 0].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0), correlation


_LARGEST_TURN = 0.3
"""Change of a warp's terms in one step beyond which it is no small change any more."""


def _sampled(picture: Float32, where: Float32) -> Float32:
    """Brightness (M, n) at picture coordinates `where` (M, 2, n); NaN outside."""
    x, y = np.ascontiguousarray(where[:, 0] - 0.5), np.ascontiguousarray(where[:, 1] - 0.5)
    result = np.empty(x.shape, np.float32)
    for start in range(0, len(x), _ROWS):
        block = slice(start, start + _ROWS)
        result[block] = cv2.remap(
            picture, x[block], y[block], cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan")
        )
    return result


_ROWS = 30000
"""OpenCV's remap takes maps of less than 32768 rows."""


def _normalised(patches: Float32) -> tuple[Float32, Float32]:
    """Patches (M, n) with zero mean and unit length, and their lengths (M,) before."""
    centered = patches - patches.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centered, axis=1)
    return centered / np.maximum(length, 1e-6)[:, None], length
