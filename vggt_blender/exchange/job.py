"""What to reconstruct and how: the request that the command line, `serve` and the add-on all send.

This module may import the standard library only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from .hand_tracks import HandTracks
from .known import Known
from .messages import JobError

SOURCE_KINDS = ("auto", "images", "sequence", "video")
ENGINES = ("auto", "vggt", "colmap")
DEVICES = ("auto", "cpu", "cuda", "mps")

LARGEST_SMOOTH = 10.0
"""Source pixels; more is no smoothing any more."""


@dataclass(frozen=True)
class FrameRange:
    """A half-open choice of frames, ``START:STOP:STEP``; None means open.

    Counts 0-based indices in the source, or the plate's own numbers for an image sequence. Raises `JobError` where no
    source could have such a frame.
    """

    start: int | None = None
    stop: int | None = None
    step: int = 1

    def __post_init__(self) -> None:
        if self.start is not None and self.start < 0:
            raise JobError("usage", f"The range {self} begins before 0: frames are not counted from the end.")
        if self.stop is not None and self.stop <= (self.start or 0):
            raise JobError("usage", f"The range {self} takes no frame: STOP, the first one left out, is after START.")

    @classmethod
    def parse(cls, text: str) -> FrameRange:
        """``"10:50:2"``, ``":50"``, ``"10:"``, ``"::5"``. Raises `JobError` for anything else."""
        parts = text.split(":")
        try:
            if not 2 <= len(parts) <= 3:
                raise ValueError
            start, stop = (int(part) if part else None for part in parts[:2])
            step = int(parts[2]) if len(parts) == 3 and parts[2] else 1
            if step < 1:
                raise ValueError
        except ValueError:
            raise JobError(
                "usage", f"Frames are given as START:STOP:STEP, for example 0:100:2, not '{text}'."
            ) from None
        return cls(start, stop, step)

    def __str__(self) -> str:
        start, stop = ("" if bound is None else str(bound) for bound in (self.start, self.stop))
        return f"{start}:{stop}:{self.step}"

    def choose(self, numbers: Sequence[int]) -> list[int]:
        """The positions in ascending `numbers` that the range takes; an open start is the first number."""
        start = self.start if self.start is not None else next(iter(numbers), 0)
        return [
            position
            for position, number in enumerate(numbers)
            if number >= start and (self.stop is None or number < self.stop) and (number - start) % self.step == 0
        ]


def count_of(kind: str, index: int, number: int | None) -> int:
    """What a `FrameRange` counts of a frame in a source of that `kind`."""
    return number if kind == "sequence" and number is not None else index


@dataclass(frozen=True)
class Job:
    """One reconstruction. Field names are the command line's options.

    ``tracks`` is how many points of the first frame to follow, ``point_head`` asks for the network's own points too.
    ``smooth`` is by how many source pixels a frame may slip for a smoother camera path; 0: not at all.
    With ``resolve`` only ``frames`` of the finished result in ``output``, made from ``inputs``, are solved again.
    """

    TYPE: ClassVar[str] = "job"

    inputs: tuple[str, ...]
    output: str
    id: str = "job"
    kind: str = "auto"
    engine: str = "auto"
    model: str | None = None
    device: str = "auto"
    frames: FrameRange = field(default_factory=FrameRange)
    mask: str | None = None
    refine: bool = False
    smooth: float = 0.0
    tracks: int = 0
    point_head: bool = False
    overwrite: bool = False
    known: Known = field(default_factory=Known)
    hand_tracks: HandTracks = field(default_factory=HandTracks)
    resolve: bool = False

    def __post_init__(self) -> None:
        if not self.inputs or not all(self.inputs):
            raise JobError("usage", "No pictures given: name image files, one folder or one video.")
        if not self.output:
            raise JobError("usage", "No 'output' given: name a folder for the result.")
        if self.mask == "":
            raise JobError("usage", "No mask given: name a picture or a folder, or leave it out.")
        if not 0 <= self.smooth <= LARGEST_SMOOTH:
            raise JobError("usage", f"Smoothing takes 0 to {LARGEST_SMOOTH:g} pixels a frame, not {self.smooth:g}.")
        for name, value, allowed in (
            ("kind", self.kind, SOURCE_KINDS),
            ("engine", self.engine, ENGINES),
            ("device", self.device, DEVICES),
        ):
            if value not in allowed:
                raise JobError("usage", f"Unknown {name} '{value}': choose one of {', '.join(allowed)}.")

    @property
    def staged_in(self) -> Path:
        """The folder in which unfinished work lies."""
        return Path(self.output)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        return {
            **dataclasses.asdict(self),
            "inputs": list(self.inputs),
            "frames": str(self.frames),
            "known": self.known.given(),
            "hand_tracks": self.hand_tracks.document() if self.hand_tracks else None,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Job:
        """Raises `JobError` for unknown, missing or mistyped entries."""
        known = {entry.name: entry for entry in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise JobError("usage", f"A job has no entry {', '.join(unknown)}.")
        for name, value in values.items():
            if not _is_valid(name, value):
                raise JobError("usage", f"The job's entry '{name}' has an unusable value: {value!r}.")
        if "output" not in values or "inputs" not in values:
            raise JobError("usage", "A job needs 'inputs' and 'output'.")
        arguments = dict(values, inputs=tuple(values["inputs"]))
        if "frames" in values:
            arguments["frames"] = FrameRange.parse(values["frames"])
        if "known" in values:
            arguments["known"] = Known.from_dict(values["known"])
        if "hand_tracks" in values:
            given = values["hand_tracks"]
            arguments["hand_tracks"] = HandTracks() if given is None else HandTracks.from_document(given)
        return cls(**arguments)


def _is_valid(name: str, value: Any) -> bool:
    if name == "inputs":
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    if name in ("refine", "point_head", "overwrite", "resolve"):
        return isinstance(value, bool)
    if name == "tracks":
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if name == "smooth":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name == "known":
        return isinstance(value, dict)
    if name == "hand_tracks":
        return value is None or isinstance(value, dict)
    return isinstance(value, str) or (value is None and name in ("model", "mask"))
