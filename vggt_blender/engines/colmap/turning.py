"""A shot from one place: recognised by its pairs, solved by turns alone, written without any distance.

`refinement` stands above the engines and builds on their features, so it is imported where it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ...exchange.known import Known
from ...exchange.messages import Reporter
from ...exchange.reconstruction import Source, frame_quality
from ...exchange.writer import ReconstructionWriter
from ...geometry.cameras import Lens
from ...inference.frames import SourceFrame
from .adjustment import FIRST_LOSS, adjust, robust_cost
from .features import Features, working_scale
from .layout import Placement
from .matching import VerifiedPair
from .refining import WEAK_LENS
from .zoom import MOST_FRAMES, SMOOTH_WORTH, focal_range, smoothest

if TYPE_CHECKING:
    from ...refinement.panorama import Match, Panorama
    from ...refinement.tracks import Observations
    from ...refinement.views import Views

FLAT_SHARE = 0.9
"""Where so many of the pairs show no parallax (one homography explains them), the camera may only turn."""

MEDIAN, MOST = 0.75, 2.0
"""Working pixels that half, and nine tenths, of what is seen must stay within for turns to be the explanation."""

ZOOM_WORTH, LEAST_TURNING_RANGE = 0.2, 0.02
"""By what part focal lengths of their own must lower the robust cost, and differ, for a turning camera to zoom: on a
tripod the lens swings a little forwards and back, too."""

HELD, FAR_BETTER = 0.5, 0.6
"""A camera that moves takes the place of one that turns where it explains this share of the observations with this part
of the robust cost. Moves along a wall came to 0.03-0.55, pans to 0.85 and more."""

USUAL_FOCALS = 0.5, 5.0
"""Over the longer side. A turn that needs a focal length beyond these gives way to a move that explains it as well."""


def turning_camera(
    frames: Sequence[SourceFrame],
    features: Sequence[Features],
    pairs: Sequence[VerifiedPair],
    cameras: Sequence[pycolmap.Camera],
    known: Known,
    ordered: bool,
    report: Reporter,
) -> Panorama | None:
    """The cameras where turns on the spot explain the pictures, or where they are known to do so; else None.

    The lens of `ordered` frames may zoom meanwhile.
    """
    flat = np.mean([pair.is_flat for pair in pairs])
    if not known.locked_off and flat < FLAT_SHARE:
        return None
    from ...refinement.panorama import solve_panorama, with_focal_hold

    report.progress("cameras", 0, len(frames))
    table, matches = _tracked(features, pairs)
    started = all(camera.has_prior_focal_length for camera in cameras)
    views = _views(frames, cameras, known)
    turned = solve_panorama(
        table,
        matches,
        views,
        free_focal=not known.holds_focal,
        start_known=started,
        free_distortion=known.distortion is None,
        tell=partial(report.progress, "cameras", 0, len(frames)),
    )
    if turned is None:
        return None
    if ordered and not known.holds_focal:
        turned = _with_zoom(turned, table, matches, views, known)
    explained = np.median(turned.error) <= MEDIAN and np.percentile(turned.error, 90) <= MOST
    if not explained and not known.locked_off:
        return None
    if not explained:
        report.warning(
            f"Turns on the spot leave {np.median(turned.error):.1f} working pixels unexplained: something moves, the "
            "lens distorts, or the camera is not locked off."
        )
    report.progress("cameras", len(frames), len(frames))
    return turned if known.holds_focal else with_focal_hold(turned, views.lenses)


def _tracked(features: Sequence[Features], pairs: Sequence[VerifiedPair]) -> tuple[Observations, list[Match]]:
    from ...refinement.panorama import Match
    from ...refinement.tracks import build_tracks

    rows = [np.asarray(pair.geometry.inlier_matches, np.uint32).reshape(-1, 2) for pair in pairs]
    table = build_tracks([each.xy for each in features], [(pair.first, pair.second) for pair in pairs], rows)
    matches = [
        Match(pair.first, pair.second, features[pair.first].xy[kept[:, 0]], features[pair.second].xy[kept[:, 1]])
        for pair, kept in zip(pairs, rows, strict=True)
    ]
    return table, matches


def is_doubtful(known: Known) -> bool:
    """Whether a lens that nobody knows helps the turns: one that is far too long, that bends or zooms, makes turns of a
    camera that moves along a wall, over a table, or looks down from a drone."""
    return not known.locked_off and not known.zooms and not known.holds_focal


def moves(mapped: pycolmap.Reconstruction | None, turned: Panorama, known: Known) -> bool:
    """Whether `mapped`, a moving camera with one lens, explains far better what `turned` does by turns."""
    if mapped is None or mapped.num_reg_images() < MOST_FRAMES * turned.views.placed.sum():
        return False
    adjust(mapped, FIRST_LOSS, known)
    held = mapped.compute_num_observations() >= HELD * len(turned.error)
    sides = turned.views.focal / turned.views.sizes.max(axis=1)
    usual = USUAL_FOCALS[0] <= float(np.median(sides)) <= USUAL_FOCALS[1]
    worth = FAR_BETTER if usual else 1.0
    return held and robust_cost(mapped, FIRST_LOSS) < worth * float(np.log1p(turned.error**2).mean())


def tell(turned: Panorama, known: Known, ordered: bool, report: Reporter) -> None:
    """Say what `turned` found of frames that are `ordered` in time, or not."""
    report.status("The camera only turns: solved as rotation from one place, so there are no depth maps and no points.")
    if not known.zooms and _zooms(turned, known, ordered):
        report.status("The lens zooms: every frame has a focal length of its own.")
    if turned.lens_is_weak:
        report.warning(WEAK_LENS)


def _zooms(turned: Panorama, known: Known, ordered: bool) -> bool:
    """Photos of several lenses have several focal lengths too: that alone is no zoom."""
    return (ordered or known.zooms) and len(set(turned.views.focal[turned.views.placed])) > 1


def _with_zoom(turned: Panorama, table: Observations, matches: Sequence[Match], views: Views, known: Known) -> Panorama:
    """`turned`, or where the lens zooms (as is known or as the pictures say clearly) the turns with a smooth zoom."""
    from ...refinement.panorama import solve_panorama

    zoomed = turned
    if not known.zooms:
        apart = replace(views, groups=np.arange(len(views)))
        close = bool(np.median(turned.error) <= MEDIAN)
        start = replace(apart, lenses=turned.views.lenses) if close else apart
        found = solve_panorama(table, matches, start, free_focal=True, start_known=close, tell=turned.tell)
        if found is None or found.views.placed.sum() < turned.views.placed.sum() or not _asks_for_zoom(found, turned):
            return turned
        zoomed = found

    def held_at(log_focals: NDArray[np.float64]) -> tuple[Panorama, float]:
        lenses = list(zoomed.views.lenses)
        for position, value in zip(np.flatnonzero(zoomed.views.placed), log_focals, strict=True):
            lenses[position] = replace(lenses[position], fx=float(np.exp(value)), fy=float(np.exp(value)))
        smoother = zoomed.held_at(lenses)
        return smoother, smoother.cost()

    curve = np.log(zoomed.views.focal[zoomed.views.placed])
    return smoothest(zoomed, (1 + SMOOTH_WORTH) * zoomed.cost(), curve, held_at)


def _asks_for_zoom(zoomed: Panorama, turned: Panorama) -> bool:
    costs = [float(np.log1p(each.error**2).mean()) for each in (zoomed, turned)]
    reach = focal_range(np.log(zoomed.views.focal[zoomed.views.placed]))
    return reach > LEAST_TURNING_RANGE and costs[0] < (1 - ZOOM_WORTH) * costs[1]


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
    settings = {
        "mapper": "turns",
        "zooms": _zooms(turned, known, source.kind != "images"),
        "lens_is_weak": turned.lens_is_weak,
        "focal_hold": turned.focal_hold,
        "pycolmap": pycolmap.__version__,
        "known": known.given(),
    }
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
