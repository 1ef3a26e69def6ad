"""A finished reconstruction changed in its folder: whatever a change does not name is written anew as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exchange.reconstruction import Frame, Points, Reconstruction, load_reconstruction
from ..exchange.writer import ReconstructionWriter


@dataclass
class Draft:
    """What the document and ``points.npz`` will say, and the `writer`, which holds the dense maps and may change them.

    ``extra`` are the document's entries beyond the format's own.
    """

    writer: ReconstructionWriter
    engine: dict[str, Any]
    units: str
    frames: list[Frame]
    points: Points | None
    extra: dict[str, Any]


@contextmanager
def rewriting(folder: Path, factors: NDArray[np.float64] | float = 1.0) -> Iterator[Draft]:
    """The reconstruction in `folder` to change, its depth maps multiplied by `factors` (N,), or all by one.

    It is put in place as a whole when the context ends; where that ends by an exception not a byte has changed.
    Raises `JobError` where the folder cannot be read or written.
    """
    with ReconstructionWriter(folder, overwrite=True) as writer:
        old = load_reconstruction(folder)
        _copy_dense(old, factors, writer)
        source, tracks = old.source, old.tracks
        draft = Draft(writer, dict(old.engine), old.units, list(old.frames), old.points, dict(old.extra))
        del old  # its maps hold the files that are about to be replaced
        yield draft
        if draft.points is not None:
            writer.write_points(draft.points)
        if tracks is not None:
            writer.write_tracks(tracks)
        writer.finish(engine=draft.engine, source=source, frames=draft.frames, units=draft.units, extra=draft.extra)


def _copy_dense(old: Reconstruction, factors: NDArray[np.float64] | float, writer: ReconstructionWriter) -> None:
    if old.depth is None or old.confidence is None or old.color is None:
        return
    writer.open_dense(*old.depth.shape)
    assert writer.depth is not None
    assert writer.confidence is not None
    assert writer.color is not None
    for k, factor in enumerate(np.broadcast_to(factors, len(old.depth))):
        writer.depth[k] = old.depth[k] * np.float32(factor)
        writer.confidence[k] = old.confidence[k]
        writer.color[k] = old.color[k]
