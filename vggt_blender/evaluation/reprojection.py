"""The true reprojection error: known 3D points through the aligned solved cameras, in source pixels.

It is told apart from the residual, which compares a solver's own tracks with its own solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.alignment import Similarity
from ..geometry.cameras import Lens, project, rays_of_pixels, sample_pixels, unproject
from .depth_maps import depth_edges
from .pairs import Pair

Array = NDArray[np.float64]

POINTS = 4000
"""How many known points a shot is judged by, at most."""


@dataclass(frozen=True)
class Observations:
    """Where known ``points`` (P, 3) truly lie in one frame: ``pixels`` (P, 2) of the solved frame's size."""

    pair: Pair
    points: Array
    pixels: Array


def known_points(pairs: Sequence[Pair], seed: int = 0) -> Array:
    """Points (P, 3) of the truth's world, drawn evenly from all known depth away from its edges."""
    rng = np.random.default_rng(seed)
    with_depth = [pair for pair in pairs if pair.truth.depth is not None]
    clouds = []
    for pair in with_depth:
        depth = np.asarray(pair.truth.depth, np.float64)
        rows, columns = np.nonzero(np.isfinite(depth) & (depth > 0) & ~depth_edges(depth))
        chosen = rng.permutation(len(rows))[: POINTS // len(with_depth) + 1]
        rows, columns = rows[chosen], columns[chosen]
        affine = np.diag([pair.truth.width / depth.shape[1], pair.truth.height / depth.shape[0], 1.0])[:2]
        pixels = np.stack([columns, rows], axis=-1) + 0.5
        lens = pair.truth.lens
        clouds.append(unproject(pixels @ affine[:, :2].T, depth[rows, columns], pair.truth.camera_from_world, lens))
    points = np.concatenate(clouds) if clouds else np.empty((0, 3))
    return points[np.isfinite(points).all(axis=-1)][:POINTS]


def observe(pairs: Sequence[Pair], points: Array) -> list[Observations]:
    """Where the known cameras see the points, occluded ones included; frames that see none are left out."""
    seen = []
    for pair in pairs:
        lens, frame = pair.true_lens, pair.frame
        pixels, depth = project(points, pair.truth.camera_from_world, lens)
        with np.errstate(invalid="ignore"):
            inside = (depth > 0) & (pixels > 0).all(axis=-1) & (pixels < [frame.width, frame.height]).all(axis=-1)
        if lens.distortion is not None:
            inside &= _within_view(points, pair, lens)
        if inside.any():
            seen.append(Observations(pair, points[inside], pixels[inside]))
    return seen


def _within_view(points: Array, pair: Pair, lens: Lens) -> NDArray[np.bool_]:
    """Not beyond the picture's corners: there a distortion polynomial may fold back into the picture."""
    width, height = pair.frame.width, pair.frame.height
    border = sample_pixels((2, 2), [[width, 0, -width / 2], [0, height, -height / 2]])
    reach = np.linalg.norm(rays_of_pixels(border, lens), axis=-1).max()
    ideal, _ = project(points, pair.truth.camera_from_world, Lens(1, 1, 0, 0))
    with np.errstate(invalid="ignore"):
        return np.linalg.norm(ideal, axis=-1) <= reach


def pixel_errors(observations: Sequence[Observations], alignment: Similarity) -> list[Array]:
    """For each frame the distances (P,) in pixels; a point behind the solved camera is a diagonal off."""
    return [np.linalg.norm(offsets, axis=-1) for offsets in _offsets(observations, alignment)]


def _offsets(observations: Sequence[Observations], alignment: Similarity) -> list[Array]:
    result = []
    for seen in observations:
        pixels, _ = project(seen.points, seen.pair.aligned_pose(alignment), seen.pair.lens)
        diagonal = float(np.hypot(seen.pair.frame.width, seen.pair.frame.height))
        limit = np.array([diagonal, 0.0])
        offsets = pixels - seen.pixels
        with np.errstate(invalid="ignore"):
            lost = ~(np.linalg.norm(offsets, axis=-1) < diagonal)
        result.append(np.where(lost[:, None], limit, offsets))
    return result


def fit_alignment(observations: Sequence[Observations], start: Similarity, iterations: int = 15) -> Similarity:
    """The similarity near `start` that brings the solved cameras' projections closest to the known pixels.

    Where the solved world lies and how large it is, is not the solver's to know, and camera centres on an almost
    straight path leave it open; the known points settle it. Levenberg-Marquardt on seven numbers for the whole shot,
    Huber weights at one pixel.
    """
    center = np.concatenate([seen.points for seen in observations]).mean(axis=0)
    best, damping = start, 1e-3
    residual, weights = _weighted(observations, best)
    for _ in range(iterations):
        jacobian = np.stack(
            [(_weighted(observations, _moved(best, step, center))[0] - residual) / 1e-6 for step in 1e-6 * np.eye(7)],
            axis=-1,
        )
        scaled = jacobian * weights[:, None]
        normal = scaled.T @ jacobian
        step = -np.linalg.lstsq(normal + damping * np.diag(np.diag(normal) + 1e-12), scaled.T @ residual, rcond=None)[0]
        trial = _moved(best, step, center)
        trial_residual, trial_weights = _weighted(observations, trial)
        if _cost(trial_residual) < _cost(residual):
            gain = 1 - _cost(trial_residual) / _cost(residual)
            best, residual, weights, damping = trial, trial_residual, trial_weights, damping / 10
            if gain < 1e-6:
                break
        else:
            damping *= 10
    return best


def _moved(alignment: Similarity, step: Array, center: Array) -> Similarity:
    """The alignment followed by a small turn, growth and shift about `center`: (turn 3, log scale, shift 3)."""
    x, y, z = step[:3]
    left, _, right = np.linalg.svd(np.eye(3) + np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]))
    turn, growth = left @ right, float(np.exp(step[3]))
    extent = 1 + np.linalg.norm(alignment.translation - center)
    shift = growth * turn @ (alignment.translation - center) + center + extent * step[4:]
    return Similarity(growth * alignment.scale, turn @ alignment.rotation, shift)


def _weighted(observations: Sequence[Observations], alignment: Similarity) -> tuple[Array, Array]:
    offsets = np.concatenate(_offsets(observations, alignment))
    length = np.linalg.norm(offsets, axis=-1)
    weights = np.repeat(1 / np.maximum(length, 1.0), 2)
    return offsets.ravel(), weights


def _cost(residual: Array) -> float:
    length = np.linalg.norm(residual.reshape(-1, 2), axis=-1)
    return float(np.where(length < 1, 0.5 * length**2, length - 0.5).sum())
