"""Which frames may see the same things, as the poses that are to be refined suggest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..engines.colmap.matching import exhaustive_pairs, sequential_pairs
from ..exchange.reconstruction import Reconstruction
from ..geometry.cameras import project, sample_pixels, unproject
from .views import Views

Array = NDArray[np.float64]

EXHAUSTIVE_UP_TO = 40
"""So many stills are compared all with all; of more, one without a place with so many of those that have one."""

MOST_PARTNERS = 12
"""So many frames at most are compared with one because their views overlap; neighbours in time come on top."""

NEIGHBOURS = 4
"""Frames of a shot are compared with so many next ones, and then at doubling distances."""

MARGIN = 0.15
"""Views are widened by this part of the picture before overlap is judged: the poses are not trusted yet."""

LEAST_OVERLAP = 0.25

_GRID = 12


def overlapping_pairs(reconstruction: Reconstruction, views: Views) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, worth comparing: all of a few stills; else neighbours in time and overlapping views."""
    count = len(views)
    ordered = reconstruction.source.kind != "images"
    if count <= EXHAUSTIVE_UP_TO:
        return sequential_pairs(count, NEIGHBOURS) if ordered else exhaustive_pairs(count)
    pairs = set(sequential_pairs(count, NEIGHBOURS) if ordered else [])
    overlap = _overlaps(_sample_points(reconstruction, views), views)
    overlap = np.minimum(overlap, overlap.T)
    placed = np.flatnonzero(views.placed).tolist()
    most_lost = MOST_PARTNERS if ordered else EXHAUSTIVE_UP_TO
    for first in range(count):
        if views.placed[first]:
            partners = [k for k in np.argsort(-overlap[first]) if k != first and overlap[first, k] >= LEAST_OVERLAP]
            chosen = _spread(partners, MOST_PARTNERS)
        else:  # it may see anything, and what it is placed by has a place
            chosen = _spread(placed, most_lost)
        pairs |= {(min(first, second), max(first, second)) for second in chosen}
    return sorted(pairs)


def _spread(partners: list[int], most: int) -> list[int]:
    """At most so many of them, taken evenly: the last ones, farther off, hold the shot together."""
    if len(partners) <= most:
        return partners
    return [partners[k] for k in np.linspace(0, len(partners) - 1, most).astype(int)]


def _sample_points(reconstruction: Reconstruction, views: Views) -> list[Array]:
    """For each frame world points (P, 3) that it sees: from its depth map, else at the scene's middle depth."""
    typical = _typical_depth(reconstruction, views)
    points = []
    for k, frame in enumerate(reconstruction.frames):
        lens = views.lenses[k].scaled(1 / views.scales[k], 1 / views.scales[k])
        if reconstruction.depth is not None and frame.depth_to_image is not None:
            height, width = reconstruction.depth.shape[1:]
            rows = np.linspace(0, height - 1, _GRID).astype(int)
            columns = np.linspace(0, width - 1, _GRID).astype(int)
            pixels = sample_pixels((height, width), frame.depth_to_image)[np.ix_(rows, columns)].reshape(-1, 2)
            depth = np.asarray(reconstruction.depth[k], np.float64)[np.ix_(rows, columns)].ravel()
        else:
            affine = np.array([[frame.width / _GRID, 0, 0], [0, frame.height / _GRID, 0]])
            pixels = sample_pixels((_GRID, _GRID), affine).reshape(-1, 2)
            depth = np.full(len(pixels), typical)
        known = np.isfinite(depth) & (depth > 0)
        points.append(unproject(pixels[known], depth[known], views.poses[k], lens))
    return points


def _typical_depth(reconstruction: Reconstruction, views: Views) -> float:
    if reconstruction.points is not None and len(reconstruction.points.xyz):
        _, depth = project(reconstruction.points.xyz, views.poses[len(views) // 2], views.lenses[len(views) // 2])
        if (depth > 0).any():
            return float(np.median(depth[depth > 0]))
    centers = -np.einsum("nji,nj->ni", views.poses[:, :, :3], views.poses[:, :, 3])
    return 2 * float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max()) + 1e-9


def _overlaps(points: list[Array], views: Views) -> Array:
    """(N, N): the share of frame i's points that lie in the widened view of frame j."""
    count = len(views)
    shares = np.zeros((count, count))
    for j in range(count):
        if not views.placed[j]:
            continue
        lens, border = views.lenses[j], MARGIN * views.sizes[j]
        for i in range(count):
            if i != j and len(points[i]):
                pixels, _ = project(points[i], views.poses[j], lens)
                with np.errstate(invalid="ignore"):
                    inside = ((pixels > -border) & (pixels < views.sizes[j] + border)).all(axis=1)
                shares[i, j] = inside.mean()
    return shares
