"""The cameras while they are being refined: poses and lenses in working pixels, the lens shared where it is one.

Working pixels are source pixels times `engines.colmap.features.working_scale`, a corner-origin scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..engines.colmap.features import working_scale
from ..exchange.known import Known
from ..exchange.messages import JobError
from ..exchange.reconstruction import Frame, Pose, Reconstruction
from ..geometry.cameras import Lens, rays_of_pixels
from ..inference.frames import FrameSource

Array = NDArray[np.float64]

NOTHING = Known()

NO_DISTORTION = (0.0,) * 5

ZOOM_SPREAD = 0.02
"""Input focal lengths that differ by more than this (standard deviation over mean) are a lens that zooms."""

SCATTER = 1.0
"""Mean squared difference of neighbours over the variance (von Neumann's ratio): 2 for noise, near 0 for a zoom."""

FEWEST_IN_TREND = 4

SAME_CENTER = 3.0
"""Working pixels; centres that differ by more are those of a picture that moves about on the sensor."""

SAME_LENS = 1e-6
"""Two lenses are one where none of their terms, in focal lengths, differs by more."""


@dataclass(frozen=True)
class Views:
    """The cameras of a shot in working pixels.

    ``poses`` (N, 3, 4) camera_from_world, ``lenses`` one a frame, ``groups`` (N,) which frames share one lens,
    ``sizes`` (N, 2) working width and height, ``scales`` (N,) working pixels per source pixel, ``placed`` (N,) False
    where the camera is not known (its pose and lens are then placeholders).
    """

    poses: Array
    lenses: tuple[Lens, ...]
    groups: NDArray[np.intp]
    sizes: Array
    scales: Array
    placed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.lenses)

    @property
    def focal(self) -> Array:
        """(N,) geometric mean of fx and fy, working pixels."""
        return np.array([np.sqrt(lens.fx * lens.fy) for lens in self.lenses])

    def rays(self, frame: NDArray[np.intp], xy: Array) -> Array:
        """Ideal normalised rays (O, 2) of working pixels `xy` (O, 2) seen in frames `frame` (O,)."""
        rays = np.empty_like(xy)
        for k in np.unique(frame):
            seen = frame == k
            rays[seen] = rays_of_pixels(xy[seen], self.lenses[k])
        return rays


def as_seen(reconstruction: Reconstruction, source: FrameSource) -> Reconstruction:
    """The reconstruction in the pixels of `source`, which are square where the file's are not.

    Raises `JobError` where it was made from other frames.
    """
    if len(source.frames) != len(reconstruction.frames):
        raise JobError(
            "mismatch",
            f"The reconstruction has {len(reconstruction.frames)} frames, the source {len(source.frames)}: "
            "refine with the same pictures and --frames.",
        )
    pairs = zip(source.frames, reconstruction.frames, strict=True)
    return replace(reconstruction, frames=tuple(shot.seen(frame) for shot, frame in pairs))


def views_of(frames: Sequence[Frame], known: Known = NOTHING) -> Views:
    """The cameras of a reconstruction's frames, each with its own lens; frames that are not registered borrow the
    nearest one's lens and pose.

    What is `known` of the lens goes before what the frames say. Raises ValueError where no frame is registered.
    """
    placed = np.array([frame.registered for frame in frames])
    if not placed.any():
        raise ValueError("no frame is registered")
    solved = np.flatnonzero(placed)
    nearest = [int(solved[np.abs(solved - k).argmin()]) for k in range(len(frames))]
    scales = np.array([working_scale(frame.width, frame.height) for frame in frames])
    poses, lenses = [], []
    for k, frame in enumerate(frames):
        pose, donor = frames[nearest[k]].pose, frames[nearest[k]]
        assert pose is not None
        ratio = scales[k] * max(frame.width, frame.height) / max(donor.width, donor.height)
        lens = pose.lens.scaled(ratio, ratio)
        if (frame.width, frame.height) != (donor.width, donor.height):
            lens = replace(lens, cx=scales[k] * frame.width / 2, cy=scales[k] * frame.height / 2)
        poses.append(pose.camera_from_world)
        lenses.append(_certain(lens, frame, known, scales[k]))
    sizes = np.array([(frame.width, frame.height) for frame in frames], np.float64)
    return Views(np.stack(poses), tuple(lenses), np.arange(len(frames)), sizes * scales[:, None], scales, placed)


def times_of(frames: Sequence[Frame]) -> NDArray[np.intp]:
    """(N,) the frames' numbers in time: the plate's own, where it has any."""
    return np.array([frame.index if frame.number is None else frame.number for frame in frames], np.intp)


def _certain(lens: Lens, frame: Frame, known: Known, scale: float) -> Lens:
    """The lens in working pixels with what is certain of it."""
    focal = known.focal_pixels(frame.width, frame.height) if known.holds_focal else None
    if focal is not None:
        lens = replace(lens, fx=focal * scale, fy=focal * scale)
    return lens if known.distortion is None else replace(lens, distortion=known.distortion)


def sharing_lenses(views: Views) -> Views:
    """The views with one lens for all frames of one size that had the same one.

    Lenses that all differ, but scatter by little, are noisy estimates of one: that of the middle focal length. Those
    that follow a trend in the order of the frames, or differ by more, are a zoom and stay apart; so do those whose
    centres lie apart, as stabilisation leaves them.
    """
    groups, lenses = _alike(views), list(views.lenses)
    for size in np.unique(views.sizes, axis=0):
        members = np.flatnonzero((views.sizes == size).all(axis=1))
        known = members[views.placed[members]]
        if len(known) and len(np.unique(groups[known])) == len(known) and _is_one_lens(views, known):
            middle = known[np.argsort(views.focal[known], kind="stable")[(len(known) - 1) // 2]]
            groups[members] = middle
    return replace(views, groups=groups, lenses=tuple(lenses[group] for group in groups))


def _alike(views: Views) -> NDArray[np.intp]:
    """(N,) for each frame the first one that has its size and its lens."""
    terms = np.array(
        [(lens.fx, lens.fy, lens.cx, lens.cy, *(lens.distortion or NO_DISTORTION)) for lens in views.lenses]
    )
    terms[:, :4] /= views.focal[:, None]
    rows = np.column_stack([np.log(views.focal), terms, views.sizes])
    groups = np.arange(len(views))
    for k in range(len(views)):
        firsts = np.unique(groups[:k])
        same = firsts[(np.abs(rows[firsts] - rows[k]) < SAME_LENS).all(axis=1)]
        groups[k] = same[0] if len(same) else k
    return groups


def _is_one_lens(views: Views, known: NDArray[np.intp]) -> bool:
    centers = np.array([(views.lenses[k].cx, views.lenses[k].cy) for k in known])
    return bool(np.ptp(centers, axis=0).max() < SAME_CENTER) and _is_scatter(views.focal[known])


def _is_scatter(focal: Array) -> bool:
    """Whether `focal` (M,), in the order of their frames, differ by little and follow no trend."""
    trend = len(focal) >= FEWEST_IN_TREND and (np.diff(focal) ** 2).mean() < SCATTER * focal.var()
    return bool(not trend and focal.std() <= ZOOM_SPREAD * focal.mean())


def pose_of(views: Views, k: int) -> Pose:
    """Frame `k`'s camera in source pixels."""
    scale = 1 / views.scales[k]
    lens = views.lenses[k].scaled(scale, scale)
    terms = lens.distortion
    distortion = None if terms is None else (terms[0], terms[1], terms[2], terms[3], terms[4])
    return Pose(views.poses[k], lens.fx, lens.fy, lens.cx, lens.cy, distortion)
