"""What refinement did, for the reconstruction's document and for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .jitter import Jitter


class Refusal(Exception):  # noqa: N818 - an outcome rather than an error
    """Refinement leaves the input as it is; the text says why in one sentence."""


def refuse_rolling_shutter(engine: Mapping[str, Any]) -> None:
    """Raise `Refusal` where the `engine` of a result allowed for one: with one pose a frame, cameras that agree better
    with what is seen are the worse ones."""
    settings = engine.get("settings")
    if isinstance(settings, Mapping) and settings.get("rolling_shutter"):
        raise Refusal("its cameras allow for a rolling shutter, which is not known here.")


@dataclass(frozen=True)
class RefinementReport:
    """``before_px`` and ``after_px`` are median distances, in source pixels, of ``held_out`` tracks that were not
    used, triangulated with the cameras before and after; None where it did not come to that.

    ``reason`` says in one sentence what happened. ``tracks`` were used. ``model`` is ``bundle``, or ``rotation`` for a
    camera that only turns; ``lens`` what of the lens moved: ``fixed``, ``focal`` or ``distortion``; ``focal_change``
    relative (the median over the frames), ``focal_deviation`` the relative standard deviation that the observations
    leave it (None where it was held). ``carried`` frames had too few tracks and were moved along with their neighbours,
    ``registered`` ones had no pose before. Jitter is None for stills. ``hand_before_px`` and ``hand_after_px`` are the
    median distances of tracks by hand, None without any.
    """

    accepted: bool
    reason: str
    seconds: float
    before_px: float | None = None
    after_px: float | None = None
    tracks: int = 0
    held_out: int = 0
    model: str | None = None
    lens: str | None = None
    focal_change: float | None = None
    focal_deviation: float | None = None
    carried: tuple[str, ...] = ()
    registered: tuple[str, ...] = ()
    jitter_before: Jitter | None = None
    jitter_after: Jitter | None = None
    hand_before_px: float | None = None
    hand_after_px: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)

    def sentence(self) -> str:
        """The outcome in one line."""
        if self.before_px is None or self.after_px is None:
            return f"Refinement left the result as it was: {self.reason} ({self.seconds:.0f} s)"
        numbers = f"{self.before_px:.2f} px -> {self.after_px:.2f} px on {self.held_out} tracks that it did not use"
        if not self.accepted:
            return f"Refinement left the result as it was: {self.reason} ({numbers}, {self.seconds:.0f} s)"
        return f"{self.reason} ({numbers}, {self.seconds:.0f} s)"
