"""Pictures and image sequences as a source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..exchange.job import FrameRange
from ..exchange.messages import JobError, Reporter
from ..exchange.reconstruction import Source
from .display_curve import DisplayCurve, curve_for
from .frames import SourceFrame
from .masks import Masks
from .pictures import Picture, Probe, UnreadableError, probe_picture, read_picture, stated_size
from .plates import Listing


class StillSource:
    """Pictures of a folder or a list, each decoded when it is asked for. A `FrameSource`."""

    def __init__(
        self,
        source: Source,
        frames: tuple[SourceFrame, ...],
        transparent: tuple[bool, ...],
        curve: DisplayCurve,
        masks: Masks | None,
    ) -> None:
        self.source = source
        self.frames = frames
        self._transparent = transparent
        self._curve = curve
        self._masks = masks

    def read(self, position: int) -> NDArray[np.uint8]:
        return self._open(position).display(self._curve)

    def mask(self, position: int) -> NDArray[np.bool_] | None:
        opaque = self._open(position).opaque if self._transparent[position] else None
        masked = None if self._masks is None else self._masks.read(self.frames[position])
        if opaque is None or masked is None:
            return masked if opaque is None else opaque
        return opaque & masked

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self.read(position) for position in range(len(self.frames)))

    def _open(self, position: int) -> Picture:
        frame = self.frames[position]
        try:
            picture = read_picture(Path(frame.path))
        except UnreadableError as failure:
            raise JobError("source", f"'{frame.path}' can no longer be read: {failure}.") from None
        if picture.rgb.shape[:2] != (frame.height, frame.width):
            raise JobError("source", f"'{frame.path}' changed while it was in use: start again.")
        return picture


def open_stills(
    listing: Listing, kind: str, frames: FrameRange, report: Reporter | None, mask: str | None
) -> StillSource:
    """Look at every chosen picture once; those that cannot be read are named in a warning and left out."""
    numbers = listing.numbers
    if numbers is not None and kind == "auto" and len({stated_size(path) for path in listing.pictures} - {None}) > 1:
        numbers = None  # numbered like plates, but of several sizes
    chosen = frames.choose(numbers or range(len(listing.pictures)))
    if not chosen:
        extent = f"plate's frames {numbers[0]} to {numbers[-1]}" if numbers else f"{len(listing.pictures)} pictures"
        raise JobError("no_frames", f"The range {frames} leaves none of the {extent}: choose another.")
    probes = _probe_all([listing.pictures[index] for index in chosen], report)
    good = [(index, listing.pictures[index], probe) for index, probe in zip(chosen, probes, strict=True) if probe]
    if not good:
        first = listing.pictures[chosen[0]]
        raise JobError("no_pictures", f"None of the {len(chosen)} files can be read as a picture (first: '{first}').")
    names = unique_names([path for _, path, _ in good], listing.folder)
    found = tuple(
        SourceFrame(
            name=name,
            path=str(path),
            index=index,
            number=numbers[index] if numbers else None,
            width=probe.width,
            height=probe.height,
            focal_px=probe.focal_px,
            pixel_aspect=probe.pixel_aspect,
        )
        for name, (index, path, probe) in zip(names, good, strict=True)
    )
    source = Source("sequence", str(listing.pattern)) if numbers else Source("images", str(listing.folder))
    curve = curve_for([probe.luminance for _, _, probe in good if probe.luminance is not None])
    masks = None if mask is None else Masks(mask, found, report)
    return StillSource(source, found, tuple(probe.transparent for _, _, probe in good), curve, masks)


def unique_names(paths: Sequence[Path], folder: Path) -> list[str]:
    """File names where they differ, else the paths below `folder`."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [path.relative_to(folder).as_posix() for path in paths]


def _probe_all(paths: Sequence[Path], report: Reporter | None) -> list[Probe | None]:
    probes: list[Probe | None] = []
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        outcomes = pool.map(_probe_or_reason, paths)
        try:
            for path, outcome in zip(paths, outcomes, strict=True):
                if isinstance(outcome, str):
                    probes.append(None)
                    if report is not None:
                        report.warning(f"Skipped '{path.name}': {outcome}.")
                else:
                    probes.append(outcome)
                if report is not None:
                    report.progress("reading", len(probes), len(paths))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return probes


def _probe_or_reason(path: Path) -> Probe | str:
    try:
        return probe_picture(path)
    except UnreadableError as failure:
        return str(failure)
