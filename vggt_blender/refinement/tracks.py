"""Tracks: one scene point seen in several frames, joined from matches between pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

HELD_OUT = 0.2
"""The share of tracks that the adjustment never sees."""


@dataclass(frozen=True)
class Observations:
    """Tracks as one flat table, ordered by track: ``track`` and ``frame`` (O,), ``xy`` (O, 2) working pixels.

    Tracks are numbered 0 .. T - 1 without gaps.
    """

    track: Index
    frame: Index
    xy: Array

    @property
    def tracks(self) -> int:
        return int(self.track[-1]) + 1 if len(self.track) else 0

    def lengths(self) -> Index:
        """(T,) observations of each track."""
        return np.bincount(self.track, minlength=self.tracks)

    def keep(self, use: NDArray[np.bool_], least: int = 2) -> Observations:
        """The observations `use` (O,), of tracks that keep at least so many of them; tracks are numbered anew."""
        counts = np.bincount(self.track[use], minlength=self.tracks)
        use = use & (counts[self.track] >= least)
        _, track = np.unique(self.track[use], return_inverse=True)
        return Observations(track.astype(np.intp), self.frame[use], self.xy[use])

    def select(self, chosen: NDArray[np.bool_]) -> Observations:
        """The tracks `chosen` (T,)."""
        return self.keep(chosen[self.track], least=1)

    def repeated(self, times: Index) -> Observations:
        """Every observation so many `times` (O,): a weight."""
        rows = np.repeat(np.arange(len(self.track)), times)
        return Observations(self.track[rows], self.frame[rows], self.xy[rows])

    def and_also(self, other: Observations) -> Observations:
        """These tracks, then those of `other`."""
        return Observations(
            np.concatenate([self.track, other.track + self.tracks]),
            np.concatenate([self.frame, other.frame]),
            np.concatenate([self.xy, other.xy]),
        )


def build_tracks(
    keypoints: Sequence[Array], pairs: Sequence[tuple[int, int]], matches: Sequence[NDArray[np.uint32]]
) -> Observations:
    """Join matches (M, 2) of frame `pairs` into tracks of `keypoints` (K, 2) a frame.

    Where a chain of matches comes back to a frame at another place, both places are given up; a track in which more
    than a quarter of the frames do so is dropped.
    """
    offsets = np.concatenate([[0], np.cumsum([len(xy) for xy in keypoints])])
    if not any(len(found) for found in matches):
        return Observations(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros((0, 2)))
    edges = np.concatenate(
        [
            found.astype(np.intp) + offsets[[first, second]]
            for (first, second), found in zip(pairs, matches, strict=True)
        ]
    )
    label = _components(edges, int(offsets[-1]))
    nodes = np.unique(edges)
    order = np.argsort(label[nodes], kind="stable")
    nodes = nodes[order]
    frame = np.searchsorted(offsets, nodes, side="right") - 1
    xy = np.concatenate(list(keypoints))[nodes]
    _, track = np.unique(label[nodes], return_inverse=True)
    table = Observations(track.astype(np.intp), frame, xy)
    slot = track * len(keypoints) + frame
    _, inverse, counts = np.unique(slot, return_inverse=True, return_counts=True)
    twice = counts[inverse] > 1
    share = np.bincount(track, weights=twice) / np.bincount(track)
    return table.keep(~twice & (share[track] <= 0.25))


def _components(edges: Index, count: int) -> Index:
    """(count,) the smallest node that each node is connected to, by label propagation with pointer jumping."""
    label = np.arange(count)
    while True:
        low = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        new = label.copy()
        for side in (0, 1):
            np.minimum.at(new, label[edges[:, side]], low)
            np.minimum.at(new, edges[:, side], low)
        new = new[new]
        if (new == label).all():
            return label
        label = new


def hold_out(table: Observations, seed: int = 0) -> tuple[Observations, Observations]:
    """Tracks for the adjustment, and tracks of at least three observations that it never sees."""
    rng = np.random.default_rng(seed)
    held = (table.lengths() >= 3) & (rng.random(table.tracks) < HELD_OUT)
    return table.select(~held), table.select(held)


def longest(table: Observations, each: int, frames: int) -> Observations:
    """The tracks that are among the `each` longest of at least one frame."""
    length = table.lengths()[table.track]
    chosen = np.zeros(table.tracks, np.bool_)
    for k in range(frames):
        seen = np.flatnonzero(table.frame == k)
        chosen[table.track[seen[np.argsort(-length[seen], kind="stable")[:each]]]] = True
    return table.select(chosen)
