"""Depth maps of frames that were solved again: found anew where the engine finds them, else brought to scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..engines.colmap.dense import write_depth
from ..engines.colmap.layout import Placement
from ..engines.colmap.solution import Observations as Seen
from ..engines.colmap.solution import Solution
from ..exchange.messages import Reporter
from ..exchange.reconstruction import Frame
from ..exchange.writer import ReconstructionWriter
from ..geometry.cameras import Lens
from .adjustment import Adjusted
from .chosen_frames import ChosenFrames
from .depth_scale import depth_factors
from .rewriting import Draft

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

WITNESSES = 8
"""So many frames that stay are looked at for the depth of those that do not, nearest first."""


def write_depth_again(
    draft: Draft,
    positions: Index,
    better: Mask,
    solved: Adjusted,
    pictures: ChosenFrames,
    report: Reporter,
) -> None:
    """Write the depth of frames `positions[better]` into what `draft`, with the old cameras, has of maps."""
    depth, confidence = draft.writer.depth, draft.writer.confidence
    if depth is None or confidence is None:
        return
    frames = tuple(shot.seen(draft.frames[k]) for shot, k in zip(pictures.frames, positions, strict=True))
    if draft.engine.get("name") != "colmap":
        factors = depth_factors(solved, solved.views, frames, depth[positions])
        for k in np.flatnonzero(better):
            depth[positions[k]] *= np.float32(factors[k])
        return
    members = _witnesses(better, solved.views.placed)
    places = [_placement(frames[k], depth.shape[1:]) for k in members]
    masks = []
    for k, place in zip(members, places, strict=True):
        mask = pictures.mask(int(k))
        masks.append(None if mask is None else place.reduced(np.where(mask, 255, 0).astype(np.uint8)) > 254)
    with ReconstructionWriter(draft.writer.staging / "depth") as scratch:  # never finished: only its maps are wanted
        scratch.open_dense(len(members), *depth.shape[1:])
        assert scratch.depth is not None
        assert scratch.confidence is not None
        assert scratch.color is not None
        for row, k in enumerate(members):
            scratch.color[row][places[row].window] = places[row].reduced(pictures.read(int(k)))
        write_depth(scratch, _solution(solved, members), places, masks, report)
        for row, k in enumerate(members):
            if better[k]:
                depth[positions[k]] = scratch.depth[row]
                confidence[positions[k]] = scratch.confidence[row]


def _witnesses(better: Mask, placed: Mask) -> Index:
    """The frames that are better, and the nearest of the others that have a place."""
    new, others = np.flatnonzero(better), np.flatnonzero(placed & ~better)
    apart = np.abs(others[:, None] - new).min(axis=1)
    return np.union1d(new, others[np.argsort(apart, kind="stable")[:WITNESSES]])


def _placement(frame: Frame, shape: tuple[int, ...]) -> Placement:
    """Where the frame's map lies in arrays (h, w) of `shape`."""
    affine = frame.depth_to_image
    if affine is None:
        return Placement(shape[0], shape[1], 0, 0, frame.width, frame.height)
    width, height = round(frame.width / affine[0, 0]), round(frame.height / affine[1, 1])
    row, column = round(-affine[1, 2] / affine[1, 1]), round(-affine[0, 2] / affine[0, 0])
    return Placement(height, width, row, column, frame.width, frame.height)


def _solution(solved: Adjusted, members: Index) -> Solution:
    """The cameras of `members` in source pixels, and what they see of the structure."""
    views, used = solved.views, solved.used
    lenses: list[Lens | None] = [views.lenses[k].scaled(1 / views.scales[k], 1 / views.scales[k]) for k in members]
    observations = []
    for k in members:
        mine = used.frame == k
        observations.append(Seen(used.track[mine].astype(np.int64), used.xy[mine] / views.scales[k]))
    return Solution([views.poses[k] for k in members], lenses, observations, solved.structure.positions())
