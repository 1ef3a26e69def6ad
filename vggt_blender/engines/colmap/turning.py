"""A shot from one place: recognised by its pairs, solved by turns alone, written without any distance.

`refinement` stands above the engines and builds on their features, so it is imported where it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pycolmap

from ...exchange.known import Known
from ...exchange.messages import Reporter
from ...exchange.reconstruction import Source, frame_quality
from ...exchange.writer import ReconstructionWriter
from ...geometry.cameras import Lens
from ...inference.frames import SourceFrame
from .features import Features, working_scale
from .layout import Placement
from .matching import VerifiedPair

if TYPE_CHECKING:
    from ...refinement.panorama import Panorama
    from ...refinement.views import Views

FLAT_SHARE = 0.9
"""Where so many of the pairs show no parallax (one homography explains them), the camera may only turn."""

MEDIAN, MOST = 0.75, 2.0
"""Working pixels that half, and nine tenths, of what is seen must stay within for turns to be the explanation."""

_FLAT = {
    int(kind)
    for kind in (
        pycolmap.TwoViewGeometryConfiguration.PLANAR,
        pycolmap.TwoViewGeometryConfiguration.PANORAMIC,
        pycolmap.TwoViewGeometryConfiguration.PLANAR_OR_PANORAMIC,
    )
}


def turning_camera(
    frames: Sequence[SourceFrame],
    features: Sequence[Features],
    pairs: Sequence[VerifiedPair],
    cameras: Sequence[pycolmap.Camera],
    known: Known,
    report: Reporter,
) -> Panorama | None:
    """The cameras where turns on the spot explain the pictures, or where they are known to do so; else None."""
    flat = np.mean([int(pair.geometry.config) in _FLAT for pair in pairs])
    if not known.locked_off and flat < FLAT_SHARE:
        return None
    from ...refinement.panorama import Match, solve_panorama
    from ...refinement.tracks import build_tracks

    report.progress("cameras", 0, len(frames))
    rows = [np.asarray(pair.geometry.inlier_matches, np.uint32).reshape(-1, 2) for pair in pairs]
    table = build_tracks([each.xy for each in features], [(pair.first, pair.second) for pair in pairs], rows)
    matches = [
        Match(pair.first, pair.second, features[pair.first].xy[kept[:, 0]], features[pair.second].xy[kept[:, 1]])
        for pair, kept in zip(pairs, rows, strict=True)
    ]
    started = all(camera.has_prior_focal_length for camera in cameras)
    views = _views(frames, cameras, known)
    turned = solve_panorama(
        table,
        matches,
        views,
        free_focal=not known.holds_focal,
        start_known=started,
        free_distortion=known.distortion is None,
    )
    if turned is None:
        return None
    explained = np.median(turned.error) <= MEDIAN and np.percentile(turned.error, 90) <= MOST
    if not explained and not known.locked_off:
        return None
    if not explained:
        report.warning(
            f"Turns on the spot leave {np.median(turned.error):.1f} working pixels unexplained: something moves, the "
            "lens distorts, or the camera is not locked off."
        )
    report.progress("cameras", len(frames), len(frames))
    report.status("The camera only turns: solved as rotation from one place, so there are no depth maps and no points.")
    return turned


def _views(frames: Sequence[SourceFrame], cameras: Sequence[pycolmap.Camera], known: Known) -> Views:
    from ...refinement.views import Views

    scales = np.array([working_scale(frame.width, frame.height) for frame in frames])
    sizes = np.array([(frame.width, frame.height) for frame in frames], np.float64) * scales[:, None]
    count = len(frames)
    return Views(
        poses=np.tile(np.eye(3, 4), (count, 1, 1)),
        lenses=tuple(_lens(camera, known) for camera in cameras),
        groups=np.array([camera.camera_id for camera in cameras], np.intp),
        sizes=sizes,
        scales=scales,
        placed=np.ones(count, np.bool_),
    )


def _lens(camera: pycolmap.Camera, known: Known) -> Lens:
    focal = camera.mean_focal_length()
    return Lens(focal, focal, camera.principal_point_x, camera.principal_point_y, known.distortion)


def finish_turning(
    writer: ReconstructionWriter,
    source: Source,
    frames: Sequence[SourceFrame],
    places: Sequence[Placement],
    turned: Panorama,
    known: Known,
) -> Path:
    """Write the cameras; the depth maps stay unknown. Returns the folder."""
    from ...refinement.views import pose_of

    views, table = turned.views, turned.table
    error = turned.error / views.scales[table.frame]
    written = []
    for position, (frame, place) in enumerate(zip(frames, places, strict=True)):
        mine = error[table.frame == position]
        pose = pose_of(views, position) if views.placed[position] else None
        written.append(frame.solved(pose, place.depth_to_image, frame_quality(mine)))
    settings = {"mapper": "turns", "pycolmap": pycolmap.__version__, "known": known.given()}
    return writer.finish(
        engine={
            "name": "colmap",
            "model": None,
            "settings": settings,
            "registered": int(views.placed.sum()),
            "residual_px": float(np.median(error)),
        },
        source=source,
        frames=written,
    )
