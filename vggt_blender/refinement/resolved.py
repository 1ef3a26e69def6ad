"""What became of frames that were solved again: the report, and the folder with their new cameras and depth."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exchange.messages import Reporter
from ..exchange.reconstruction import SOLVED_AGAIN, frame_quality
from .adjustment import Adjusted
from .chosen_frames import ChosenFrames
from .depth_again import write_depth_again
from .rewriting import rewriting
from .views import pose_of

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class ResolveReport:
    """``frames`` is the range that was asked for. ``better`` frames have new cameras, ``kept`` ones their old ones or
    none; ``before_px`` and ``after_px`` the median over the frames of what tracks that were not used say, in source
    pixels, None where they say nothing. ``reason`` says in one sentence what happened."""

    frames: str
    accepted: bool
    reason: str
    seconds: float
    better: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    before_px: float | None = None
    after_px: float | None = None

    def sentence(self) -> str:
        """The outcome in one line."""
        outcome = self.reason if self.accepted else f"The result stays as it was: {self.reason}"
        before = "no place" if self.before_px is None else f"{self.before_px:.2f} px"
        after = "" if self.after_px is None else f"{before} -> {self.after_px:.2f} px on tracks that were not used, "
        kept = f" Unchanged: {', '.join(self.kept[:5])}{', ...' if len(self.kept) > 5 else ''}." if self.kept else ""
        return f"{outcome} ({after}{self.seconds:.0f} s){kept if self.accepted else ''}"


def write_resolved(
    folder: Path,
    positions: Index,
    better: Mask,
    solved: Adjusted,
    pictures: ChosenFrames,
    outcome: ResolveReport,
    began: float,
    report: Reporter,
) -> ResolveReport:
    """Write the reconstruction in `folder` anew: frames `positions[better]` as `solved`, all others as they are.

    Engine colmap's depth is found anew for them; that of others is brought to the scale of what the cameras see.
    """
    with rewriting(folder) as draft:
        write_depth_again(draft, positions, better, solved, pictures, report)
        error = solved.structure.error / solved.views.scales[solved.used.frame]
        for k in np.flatnonzero(better):
            frame, shot = draft.frames[positions[k]], pictures.frames[k]
            quality = frame_quality(error[solved.used.frame == k])
            pose, extra = pose_of(solved.views, int(k)), {**frame.extra, **quality}
            draft.frames[positions[k]] = shot.stored(replace(shot.seen(frame), pose=pose, extra=extra))
        if "registered" in draft.engine:
            draft.engine["registered"] = sum(frame.registered for frame in draft.frames)
        outcome = replace(outcome, seconds=time.monotonic() - began)
        draft.extra[SOLVED_AGAIN] = [*_history(draft.extra), dataclasses.asdict(outcome)]
    return outcome


def _history(extra: dict[str, Any]) -> list[Any]:
    found = extra.get(SOLVED_AGAIN)
    return found if isinstance(found, list) else []
