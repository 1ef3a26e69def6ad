"""Compare a reconstruction with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..exchange.reconstruction import Reconstruction, load_reconstruction
from ..geometry.alignment import Similarity, align_paths, mean_rotation
from ..geometry.cameras import camera_center
from .depth_maps import depth_error
from .pairs import Pair, match
from .report import FocalError, FrameError, Report, Spread
from .reprojection import Observations, fit_alignment, known_points, observe, pixel_errors
from .trajectory import path_error, relative_error, rotation_angles, step_rotation_error
from .truth import Truth, load_truth

Array = NDArray[np.float64]

TURNING_ONLY = 1e-4
"""Camera centres that stray by less than this part of the scene's median depth have no path."""


def evaluate_folder(folder: Path | str, truth: Path | str) -> Report:
    """Compare the reconstruction in `folder` with a ``truth.json``. Raises `JobError` for unusable input."""
    return evaluate(load_reconstruction(folder), load_truth(truth))


def evaluate(reconstruction: Reconstruction, truth: Truth) -> Report:
    """Compare cameras, lens and depth, frame by frame and over the shot. Raises `JobError` where no frame is known."""
    pairs = match(reconstruction, truth)
    solved = [pair for pair in pairs if pair.frame.registered]
    residual = reconstruction.residual
    if not solved:
        blank = tuple(FrameError(pair.frame.name, False) for pair in pairs)
        return Report(len(truth.frames), len(pairs), 0, blank, residual=residual)
    known = np.stack([pair.truth.camera_from_world for pair in solved])
    has_path = len(solved) > 1 and _has_path(known, pairs)
    poses = np.stack([pair.pose.camera_from_world for pair in solved])
    alignment = align_paths(poses, known) if has_path else _align_turns(poses, known)
    aligned = np.stack([pair.aligned_pose(alignment) for pair in solved])
    consecutive = _consecutive(pairs, solved)
    observations = observe(solved, known_points(pairs))
    fitted = fit_alignment(observations, alignment) if observations else alignment
    turned = np.stack([pair.aligned_pose(fitted) for pair in solved])
    rotation = rotation_angles(turned[:, :, :3], known[:, :, :3])
    errors = pixel_errors(observations, fitted)
    focal = np.array([_focal_error(pair) for pair in solved])
    return Report(
        known=len(truth.frames),
        matched=len(pairs),
        registered=len(solved),
        frames=_frame_errors(pairs, solved, aligned, rotation, focal, observations, errors, has_path),
        path=path_error(aligned, known, consecutive) if has_path else None,
        rotation=_spread(rotation),
        rotation_step=step_rotation_error(aligned, known, consecutive),
        relative=relative_error(aligned, known, has_path=has_path),
        focal=FocalError(float(np.median(np.abs(focal))), float(focal.std())),
        reprojection=_pooled(errors),
        reprojection_of_centers=_pooled(pixel_errors(observations, alignment)),
        residual=residual,
        depth=depth_error(reconstruction, solved, alignment.scale if has_path else None),
    )


def _align_turns(solved: Array, known: Array) -> Similarity:
    """Alignment of cameras that only turn: by their rotations and mean centres; the scale stays open."""
    rotation = mean_rotation(np.einsum("nji,njk->nik", known[:, :, :3], solved[:, :, :3]))
    centers = camera_center(solved).mean(axis=0), camera_center(known).mean(axis=0)
    return Similarity(1.0, rotation, centers[1] - rotation @ centers[0])


def _spread(values: Array) -> Spread:
    return Spread(float(np.median(values)), float(np.percentile(values, 95)))


def _focal_error(pair: Pair) -> float:
    """Signed and relative, of the geometric mean of fx and fy."""
    lens, true = pair.lens, pair.true_lens
    return float(np.sqrt(lens.fx * lens.fy / (true.fx * true.fy)) - 1)


def _consecutive(pairs: Sequence[Pair], solved: Sequence[Pair]) -> NDArray[np.bool_]:
    order = {id(pair): place for place, pair in enumerate(pairs)}
    return np.diff([order[id(pair)] for pair in solved]) == 1


def _has_path(known: Array, pairs: Sequence[Pair]) -> bool:
    centers = camera_center(known)
    stray = float(np.linalg.norm(centers - centers.mean(axis=0), axis=-1).max())
    depths = [float(np.nanmedian(pair.truth.depth)) for pair in pairs if pair.truth.depth is not None]
    return stray > TURNING_ONLY * (float(np.median(depths)) if depths else 1.0)


def _pooled(errors: Sequence[Array]) -> Spread | None:
    return _spread(np.concatenate(errors)) if errors else None


def _frame_errors(
    pairs: Sequence[Pair],
    solved: Sequence[Pair],
    aligned: Array,
    rotation: Array,
    focal: Array,
    observations: Sequence[Observations],
    errors: Sequence[Array],
    has_path: bool,
) -> tuple[FrameError, ...]:
    known = np.stack([pair.truth.camera_from_world for pair in solved])
    offsets = np.linalg.norm(camera_center(aligned) - camera_center(known), axis=-1)
    medians = {seen.pair.position: float(np.median(values)) for seen, values in zip(observations, errors, strict=True)}
    rows = {
        pair.position: FrameError(
            pair.frame.name,
            True,
            float(rotation[k]),
            float(offsets[k]) if has_path else None,
            float(focal[k]),
            medians.get(pair.position),
        )
        for k, pair in enumerate(solved)
    }
    return tuple(rows.get(pair.position, FrameError(pair.frame.name, False)) for pair in pairs)
