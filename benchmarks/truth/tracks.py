"""True image tracks of a rendered shot: surface points followed through all of its frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt_blender.evaluation import Truth, TruthFrame, load_truth
from vggt_blender.evaluation.depth_maps import depth_edges, sample_depth
from vggt_blender.geometry.cameras import project, unproject

SEEN_WITHIN = 0.005
"""Relative depth by which a point may lie behind the surface and still count as on it."""


def write_tracks(folder: Path, count: int = 800, sources: int = 4, seed: int = 0) -> None:
    """Write ``tracks.npz`` beside ``truth.json``: ``xy`` (N, T, 2) pixels, ``visible`` (N, T), ``xyz`` (T, 3) world.

    The points start in `sources` frames spread over the shot, away from depth edges and from what moves.
    """
    truth = load_truth(folder / "truth.json")
    rng = np.random.default_rng(seed)
    chosen = np.linspace(0, len(truth.frames) - 1, sources).round().astype(int)
    points = [_start(truth.frames[k], folder, count // sources, rng) for k in chosen]
    xyz = np.concatenate(points)
    xy, visible = _follow(truth, folder, xyz)
    np.savez(folder / "tracks.npz", xy=xy.astype(np.float32), visible=visible, xyz=xyz.astype(np.float32))


def _still(frame: TruthFrame, folder: Path) -> NDArray[np.bool_]:
    """Where nothing moves, (h, w)."""
    mask = folder / "masks" / frame.name
    if not mask.exists():
        return np.ones((frame.height, frame.width), bool)
    return cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) > 0


def _start(frame: TruthFrame, folder: Path, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    depth = np.asarray(frame.depth)
    usable = np.isfinite(depth) & ~depth_edges(depth) & _still(frame, folder)
    rows, columns = np.nonzero(usable)
    picked = rng.permutation(len(rows))[:count]
    pixels = np.stack([columns[picked], rows[picked]], axis=-1) + 0.5
    return unproject(pixels, depth[rows[picked], columns[picked]], frame.camera_from_world, frame.lens)


def _follow(truth: Truth, folder: Path, xyz: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    places, visible = [], []
    for frame in truth.frames:
        xy, depth = project(xyz, frame.camera_from_world, frame.lens)
        surface = sample_depth(np.asarray(frame.depth), np.nan_to_num(xy, nan=-1.0))
        with np.errstate(invalid="ignore"):
            seen = (depth > 0) & (np.abs(depth / surface - 1) < SEEN_WITHIN)
        columns, rows = (np.where(seen, xy[:, axis], 0).astype(int) for axis in (0, 1))
        seen &= _still(frame, folder)[rows, columns]
        places.append(xy)
        visible.append(seen)
    return np.stack(places), np.stack(visible)
