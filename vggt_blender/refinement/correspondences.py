"""From pictures to tracks: features, matches between overlapping frames, and the relative turns they agree on.

Verification does not look at the poses that are to be refined: a match is kept where one rigid scene explains it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ..engines.colmap.features import Features, Look, working_picture
from ..engines.colmap.matching import verified_pairs
from ..engines.colmap.scene_features import scene_features
from ..exchange.messages import Reporter
from ..exchange.writer import ReconstructionWriter
from ..inference.frames import FrameSource
from .tracks import Observations, build_tracks
from .views import Views

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Turn:
    """The relative rotation (3, 3) of frame ``second`` seen from ``first``, and how many matches say so."""

    first: int
    second: int
    rotation: Array
    matches: int


@dataclass(frozen=True)
class Correspondences:
    """``tracks`` over all frames and ``turns`` between pairs of them."""

    tracks: Observations
    turns: tuple[Turn, ...]


@dataclass
class Found:
    """The correspondences of one source, which what comes first leaves for what comes next."""

    correspondences: Correspondences | None = None


def find_correspondences(
    source: FrameSource, pairs: Sequence[tuple[int, int]], views: Views, folder: Path, report: Reporter
) -> Correspondences:
    """Match and verify `pairs` of the source's frames and join what holds into tracks.

    Working pictures pass through a staging folder in `folder`, a reconstruction's, where even a killed run's are
    cleared away. Raises `JobError` where it cannot be written.
    """
    with ReconstructionWriter(folder, overwrite=True) as writer:
        features = features_of(source, report, writer.staging)
    return correspond(features, pairs, views, report)


def features_of(source: FrameSource, report: Reporter, scratch: Path | None = None) -> list[Features]:
    """Features of every frame in working pixels, as engine `colmap` finds them; `scratch` as in `find_features`."""

    def looks() -> Iterator[Look]:
        for position, picture in enumerate(source):
            report.progress("features", position, len(source.frames))
            yield working_picture(picture), source.mask(position)

    features = scene_features(looks(), report, ordered=source.source.kind != "images", scratch=scratch)
    report.progress("features", len(source.frames), len(source.frames))
    return features


def correspond(
    features: Sequence[Features], pairs: Sequence[tuple[int, int]], views: Views, report: Reporter
) -> Correspondences:
    """Tracks and turns of `features`."""
    cameras = [colmap_camera(views, k) for k in range(len(views))]
    found = []
    for done, pair in enumerate(verified_pairs(pairs, features, cameras)):
        report.progress("matching", done, len(pairs))
        if pair is not None:
            found.append(pair)
    report.progress("matching", len(pairs), len(pairs))
    inliers = [np.asarray(pair.geometry.inlier_matches, np.uint32).reshape(-1, 2) for pair in found]
    turns = []
    for pair, kept in zip(found, inliers, strict=True):
        one, two = pair.first, pair.second
        seen = features[one].xy, features[two].xy
        if pycolmap.estimate_two_view_geometry_pose(cameras[one], seen[0], cameras[two], seen[1], pair.geometry):
            rotation = np.asarray(pair.geometry.cam2_from_cam1.rotation.matrix())
            turns.append(Turn(one, two, rotation, len(kept)))
    tracks = build_tracks([each.xy for each in features], [(pair.first, pair.second) for pair in found], inliers)
    return Correspondences(tracks, tuple(turns))


def colmap_camera(views: Views, k: int) -> pycolmap.Camera:
    """Frame `k`'s lens for COLMAP, in working pixels."""
    lens = views.lenses[k]
    k1, k2, p1, p2, k3 = lens.distortion or (0.0, 0.0, 0.0, 0.0, 0.0)
    width, height = np.ceil(views.sizes[k]).astype(int)
    return pycolmap.Camera(
        model="FULL_OPENCV",
        width=int(width),
        height=int(height),
        params=[lens.fx, lens.fy, lens.cx, lens.cy, k1, k2, p1, p2, k3, 0.0, 0.0, 0.0],
        camera_id=k + 1,
    )
