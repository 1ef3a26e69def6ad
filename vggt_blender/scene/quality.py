"""How well a shot was solved, frame by frame: measured at import, kept in the collection, told in plain words.

The residual is the solver's own: its tracks against its solution, in pixels of the source.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import bpy
import numpy as np
from bpy.app.translations import pgettext_iface as iface_

from ..exchange.hand_tracks import HandTrackFit, read_fits
from ..exchange.reconstruction import OBSERVATIONS, RESIDUAL, Reconstruction
from .lenses import lens_bend
from .timeline import Timeline

QUALITY = "vggt_quality"  # on the collection, as JSON: it travels with the .blend

FULL_SHARE = 0.9  # fewer registered frames than this share are worth a word
MOST_SHARE = 0.6  # with more than this it is some frames that are at fault, with fewer the shot
HIGH_RESIDUAL = 1.0 / 1920  # of the picture's width ...
LEAST_HIGH_PX = 0.5  # ... and never below what good features reach
OUTLIER = 2.5  # a frame is bad where its residual is this many times the shot's
FEW_POINTS = 0.2  # ... or where it holds on to fewer points than this share of the usual number
BRIDGED = 3  # bad frames so far apart are one stretch
USUAL_VIEW = (8.0, 110.0)  # degrees across; a lens beyond that is rare on a set
STRONG_BEND = 0.1  # of the picture's width, at its corners


@dataclass(frozen=True)
class FrameQuality:
    """One input frame: ``frame`` on the timeline, ``residual_px`` and ``points`` None where unknown."""

    name: str
    frame: int
    registered: bool
    residual_px: float | None = None
    points: int | None = None


@dataclass(frozen=True)
class Quality:
    """``frames`` in order; ``width`` of the pictures; ``view_deg`` the horizontal field of view and ``bend`` how far
    the lens moves a corner, in picture widths: medians of the registered frames; ``hand_tracks`` how the solve agrees
    with the tracks that it was given; ``jitter_deg`` the path's noise before and after it was smoothed, None where it
    was not."""

    frames: tuple[FrameQuality, ...]
    width: int
    view_deg: float
    bend: float
    hand_tracks: tuple[HandTrackFit, ...] = ()
    jitter_deg: tuple[float, float] | None = None

    @property
    def registered(self) -> int:
        return sum(frame.registered for frame in self.frames)

    @property
    def residual_px(self) -> float | None:
        """The median over the frames; None where the engine gave none."""
        known = [frame.residual_px for frame in self.frames if frame.residual_px is not None]
        return float(np.median(known)) if known else None

    @property
    def high_residual_px(self) -> float:
        """What is a high error for a whole shot of this size."""
        return max(LEAST_HIGH_PX, HIGH_RESIDUAL * self.width)

    @property
    def bad_residual_px(self) -> float | None:
        """From where on a frame counts as bad."""
        return None if self.residual_px is None else max(OUTLIER * self.residual_px, self.high_residual_px)


@dataclass(frozen=True)
class BadFrame:
    """A frame to look at, and why: ``missing``, ``residual`` or ``points``."""

    quality: FrameQuality
    why: str


def measure_quality(reconstruction: Reconstruction, timeline: Timeline) -> Quality:
    """What the reconstruction says about itself."""
    frames = tuple(
        FrameQuality(
            name=frame.name,
            frame=timeline.frame(position),
            registered=frame.registered,
            residual_px=_finite(frame.extra.get(RESIDUAL)) if frame.registered else None,
            points=_count(frame.extra.get(OBSERVATIONS)) if frame.registered else None,
        )
        for position, frame in enumerate(reconstruction.frames)
    )
    placed = [(frame, frame.pose) for frame in reconstruction.frames if frame.pose is not None]
    return Quality(
        frames,
        width=int(np.median([frame.width for frame in reconstruction.frames])) if frames else 1,
        view_deg=float(np.median([2 * math.degrees(math.atan(f.width / (2 * pose.fx))) for f, pose in placed] or [0])),
        bend=float(np.median([min(lens_bend(frame) / frame.width, 1.0) for frame, _ in placed] or [0])),
        hand_tracks=read_fits(reconstruction.extra),
        jitter_deg=_jitter(reconstruction.extra),
    )


def _jitter(extra: dict[str, Any]) -> tuple[float, float] | None:
    try:
        said = extra["refinement"]["smoothing"]
        before, after = (_finite(said[name]["rotation"]) for name in ("jitter_before", "jitter_after"))
    except (KeyError, TypeError):
        return None
    return None if before is None or after is None else (before, after)


def _finite(value: object) -> float | None:
    known = isinstance(value, int | float) and math.isfinite(value) and value >= 0
    return float(value) if known else None  # type: ignore[arg-type]


def _count(value: object) -> int | None:
    known = _finite(value)
    return None if known is None else int(known)


def keep_quality(collection: bpy.types.Collection, quality: Quality) -> None:
    """Store it with the shot."""
    collection[QUALITY] = json.dumps(asdict(quality), separators=(",", ":"))


def kept_quality(collection: bpy.types.Collection) -> Quality | None:
    """What the import stored; None where it is not there or cannot be read."""
    return _parsed(str(collection.get(QUALITY, "")))


@lru_cache(maxsize=8)
def _parsed(text: str) -> Quality | None:
    try:
        document = json.loads(text)
        frames = tuple(FrameQuality(**entry) for entry in document.pop("frames"))
        by_hand = tuple(HandTrackFit(**entry) for entry in document.pop("hand_tracks", ()))
        jitter = document.pop("jitter_deg", None)
        jitter_deg = None if jitter is None else (jitter[0], jitter[1])
        return Quality(frames, hand_tracks=by_hand, jitter_deg=jitter_deg, **document)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None


def bad_frames(quality: Quality) -> list[BadFrame]:
    """The frames that are worth a look, in the order of the shot."""
    counts = [frame.points for frame in quality.frames if frame.points is not None]
    fewest = FEW_POINTS * float(np.median(counts)) if counts else 0.0
    limit = quality.bad_residual_px
    found = []
    for frame in quality.frames:
        if not frame.registered:
            found.append(BadFrame(frame, "missing"))
        elif limit is not None and frame.residual_px is not None and frame.residual_px > limit:
            found.append(BadFrame(frame, "residual"))
        elif frame.points is not None and frame.points < fewest:
            found.append(BadFrame(frame, "points"))
    return found


def bad_ranges(quality: Quality) -> list[tuple[int, int]]:
    """First and last frames of the stretches of `bad_frames`; a good frame or two between do not part them."""
    ranges: list[tuple[int, int]] = []
    for bad in bad_frames(quality):
        frame = bad.quality.frame
        if ranges and frame - ranges[-1][1] <= BRIDGED:
            ranges[-1] = ranges[-1][0], frame
        else:
            ranges.append((frame, frame))
    return ranges


def advice(quality: Quality) -> list[str]:
    """What to try, one line each; empty where all is well."""
    lines = []
    share = quality.registered / max(1, len(quality.frames))
    if MOST_SHARE <= share < FULL_SHARE:
        lines.append("Some frames are not placed: they may be blurred, dark or covered, or overlap too little.")
    elif share < MOST_SHARE:
        lines.append("Few frames placed: add pictures that overlap more, or solve the part where the camera moves.")
    residual = quality.residual_px
    if residual is not None and residual > quality.high_residual_px:
        lines.append("The error is high: turn on Refine, and mask what moves, such as people, cars and water.")
    if quality.registered and not USUAL_VIEW[0] <= quality.view_deg <= USUAL_VIEW[1]:
        rare = iface_("A field of view of {:.0f}° is rare: solve with the lens you know, if you do.")
        lines.append(rare.format(quality.view_deg))
    elif quality.bend > STRONG_BEND:
        lines.append("The lens bends the corners strongly: if it was no wide-angle lens, solve with the lens you know.")
    return lines
