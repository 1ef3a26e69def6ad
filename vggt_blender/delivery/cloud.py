"""The points of a reconstruction as one cloud."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..exchange.messages import JobError, Reporter
from ..exchange.reconstruction import Reconstruction
from ..exchange.reporter import SILENCE
from ..geometry.cameras import sample_pixels, unproject

POINT_LIMIT = 2_000_000
CONFIDENCE_PERCENTILE = 20.0


def gather_points(
    reconstruction: Reconstruction,
    limit: int = POINT_LIMIT,
    percentile: float = CONFIDENCE_PERCENTILE,
    report: Reporter = SILENCE,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """World points (P, 3) in OpenCV's axes and their sRGB colors (P, 3), at most `limit`.

    From the depth maps, without the least confident `percentile` percent; from the sparse points where there is no
    depth that is known. Raises `JobError` where there is neither.
    """
    dense = _from_depth(reconstruction, limit, percentile, report)
    if dense is not None:
        return dense
    if reconstruction.points is not None and len(reconstruction.points.xyz):
        step = -(-len(reconstruction.points.xyz) // limit)
        return reconstruction.points.xyz[::step], reconstruction.points.rgb[::step]
    raise JobError("nothing", "This reconstruction has neither depth that is known nor points to write.")


def _from_depth(
    reconstruction: Reconstruction, limit: int, percentile: float, report: Reporter
) -> tuple[NDArray[np.float32], NDArray[np.uint8]] | None:
    depth, confidence, color = reconstruction.depth, reconstruction.confidence, reconstruction.color
    if depth is None:
        return None
    assert confidence is not None
    assert color is not None
    frames = [
        (position, frame.pose, frame.depth_to_image)
        for position, frame in enumerate(reconstruction.frames)
        if frame.pose is not None and frame.depth_to_image is not None
    ]
    known = [np.isfinite(depth[position]) & (depth[position] > 0) for position, _, _ in frames]
    total = sum(int(mask.sum()) for mask in known)
    if total == 0:
        return None
    chance = np.random.default_rng(0)  # regular steps would leave stripes; the same seed, the same cloud
    sample = [
        chance.choice(confidence[position][mask], 4096)
        for (position, _, _), mask in zip(frames, known, strict=True)
        if mask.any()
    ]
    threshold = np.percentile(np.concatenate(sample), percentile)
    share = min(1.0, limit / total)
    clouds, colors = [], []
    for done, ((position, pose, depth_to_image), mask) in enumerate(zip(frames, known, strict=True), start=1):
        report.progress("points", done, len(frames))
        rows, columns = np.nonzero(mask & (confidence[position] >= threshold))
        kept = chance.permutation(len(rows))[: int(len(rows) * share)] if share < 1 else slice(None)
        rows, columns = rows[kept], columns[kept]
        pixels = sample_pixels((depth.shape[1], depth.shape[2]), depth_to_image)[rows, columns]
        points = unproject(pixels, depth[position][rows, columns], pose.camera_from_world, pose.lens)
        finite = np.isfinite(points).all(axis=1)
        clouds.append(points[finite].astype(np.float32))
        colors.append(color[position][rows, columns][finite])
    return np.concatenate(clouds), np.concatenate(colors)
