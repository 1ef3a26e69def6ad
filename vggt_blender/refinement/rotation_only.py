"""A camera that only turns: rotations and focal length from directions, where triangulation has nothing to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..geometry.alignment import mean_rotation
from ..geometry.rotations import rotation_matrix
from .tracks import Observations
from .triangulation import LOST
from .views import Views

Array = NDArray[np.float64]

LOSS = 1.0
"""Scale of the Cauchy weights, working pixels."""

LEAST_IN_TURN = 4
"""Observations that place a frame of a camera that only turns."""

REPEATS = 8

LEAST_DAMPING = 1e-8
"""Holds the whole where turning it changes nothing."""

AT_ONCE = 64
"""Tracks that are eliminated together: those that begin about the same time share most of their frames."""

Tell = Callable[[], None]
"""Called before each step, which may take a while; what it raises ends the solution."""


def silent() -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class _State:
    """``rotations`` (N, 3, 3), ``log_focal`` (G,) one a lens, ``directions`` (T, 3) of the tracks."""

    rotations: Array
    log_focal: Array
    directions: Array


def turn_only(
    table: Observations, views: Views, *, free_focal: bool, iterations: int = 40, tell: Tell = silent
) -> tuple[Views, Array]:
    """The cameras that explain `table` best from one place: the mean of their places.

    Levenberg-Marquardt on rotations, focal lengths and track directions; distortion is held. Returns the views and each
    observation's distance (O,) in working pixels. The whole is turned like the input.
    """
    turned, error = _turn(table, views, free_focal, iterations, tell)
    if free_focal and any(lens.distortion is not None for lens in views.lenses):
        for _ in range(REPEATS):  # what is straight in the picture depends on the focal length
            before = turned.focal
            turned, error = _turn(table, turned, True, iterations, tell)
            if np.abs(turned.focal / before - 1).max() < 1e-4:
                break
    return turned, error


def _turn(table: Observations, views: Views, free_focal: bool, iterations: int, tell: Tell) -> tuple[Views, Array]:
    _, group = np.unique(views.groups, return_inverse=True)
    rays = views.rays(table.frame, table.xy)
    usable = np.isfinite(rays).all(axis=1)  # what lies beyond where the distortion folds over says nothing
    flat = views.focal[table.frame, None] * np.where(usable[:, None], rays, 0.0)
    start = np.einsum("oji,oj->oi", views.poses[table.frame, :, :3], _rays(flat, views.focal[table.frame]))
    directions = _means(start, table)
    state = _State(views.poses[:, :, :3].copy(), np.zeros(group.max() + 1), directions)
    problem = _Problem(table, flat, usable, views.focal, group, free_focal, _parts(table, group))
    best, damping = problem.cost(state), 1e-3
    for _ in range(iterations):
        tell()
        trial = problem.step(state, damping)
        cost = problem.cost(trial)
        if cost < best:
            gain, state, best, damping = 1 - cost / best, trial, cost, max(damping / 10, LEAST_DAMPING)
            if gain < 1e-7:
                break
        else:
            damping *= 10
            if damping > 1e6:
                break
    error = np.linalg.norm(problem.offsets(state)[0], axis=1)
    return _moved(views, state, group), np.where(usable, error, LOST)


def _rays(flat: Array, focal: Array) -> Array:
    rays = np.column_stack([flat / focal[:, None], np.ones(len(flat))])
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _means(directions: Array, table: Observations) -> Array:
    starts = np.flatnonzero(np.diff(table.track, prepend=-1))
    mean = np.add.reduceat(directions, starts, axis=0)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def _moved(views: Views, state: _State, group: NDArray[np.intp]) -> Views:
    """The views with the state's rotations and lenses, turned as a whole to agree with where they started."""
    before = views.poses[views.placed, :, :3]
    turn = mean_rotation(np.swapaxes(state.rotations[views.placed], 1, 2) @ before)
    rotations = state.rotations @ turn
    center = np.einsum("nji,nj->ni", -views.poses[:, :, :3], views.poses[:, :, 3])[views.placed].mean(axis=0)
    growth = np.exp(state.log_focal)[group]
    lenses = tuple(replace(lens, fx=lens.fx * g, fy=lens.fy * g) for lens, g in zip(views.lenses, growth, strict=True))
    return replace(views, poses=np.dstack([rotations, -rotations @ center]), lenses=lenses)


@dataclass(frozen=True)
class _Part:
    """Some ``tracks`` (C,), the ``rows`` (R,) of their observations, and the ``columns`` (K,) of the unknowns that they
    hang on; ``places`` (R, 2, 4) is where each row goes in their matrix (2 C, K), laid out flat."""

    tracks: NDArray[np.intp]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    places: NDArray[np.intp]

    def mixed(self, values: Array) -> Array:
        """The matrix (2 C, K) that collects `values` (O, 2, 4)."""
        size = 2 * len(self.tracks), len(self.columns)
        total = np.bincount(self.places.ravel(), values[self.rows].ravel(), minlength=size[0] * size[1])
        return np.asarray(total.reshape(size), np.float64)


def _columns(frame: NDArray[np.intp], group: NDArray[np.intp]) -> NDArray[np.intp]:
    """(..., 4) the unknowns of each of `frame`: its turn, and the logarithm of its lens's focal length."""
    lens = 3 * len(group) + group[frame]
    return np.stack([3 * frame, 3 * frame + 1, 3 * frame + 2, lens], axis=-1)


def _parts(table: Observations, group: NDArray[np.intp]) -> list[_Part]:
    """All tracks, those together that begin about the same time."""
    bounds = np.searchsorted(table.track, np.arange(table.tracks + 1))
    first = np.minimum.reduceat(table.frame, bounds[:-1])
    order = np.argsort(first, kind="stable")
    parts = []
    for start in range(0, len(order), AT_ONCE):
        tracks = order[start : start + AT_ONCE]
        lengths = bounds[tracks + 1] - bounds[tracks]
        own = np.repeat(np.arange(len(tracks)), lengths)
        rows = np.concatenate([np.arange(bounds[track], bounds[track + 1]) for track in tracks])
        columns, at = np.unique(_columns(table.frame[rows], group), return_inverse=True)
        line = 2 * own[:, None] + np.arange(2)
        parts.append(_Part(tracks, rows, columns, line[:, :, None] * len(columns) + at.reshape(-1, 1, 4)))
    return parts


@dataclass(frozen=True)
class _Problem:
    """``flat`` (O, 2) undistorted offsets from the principal point in pixels of the starting ``focal`` (N,); only the
    ``usable`` (O,) ones count. ``parts`` are the tracks in groups."""

    table: Observations
    flat: Array
    usable: NDArray[np.bool_]
    focal: Array
    group: NDArray[np.intp]
    free_focal: bool
    parts: list[_Part]

    def offsets(self, state: _State) -> tuple[Array, Array, Array]:
        """(O, 2) pixels, the rays seen (O, 3) and the focal lengths (O,)."""
        frame = self.table.frame
        seen = np.einsum("oij,oj->oi", state.rotations[frame], state.directions[self.table.track])
        focal = (self.focal * np.exp(state.log_focal)[self.group])[frame]
        depth = np.where(seen[:, 2] > 0.05, seen[:, 2], 0.05)
        return focal[:, None] * seen[:, :2] / depth[:, None] - self.flat, seen, focal

    def cost(self, state: _State) -> float:
        offset = self.offsets(state)[0]
        return float((self.usable * np.log1p((offset**2).sum(axis=1) / LOSS**2)).sum())

    def step(self, state: _State, damping: float) -> _State:
        """One damped Gauss-Newton step; directions are eliminated track by track (Schur complement)."""
        offset, seen, focal = self.offsets(state)
        weight = self.usable / (1 + (offset**2).sum(axis=1) / LOSS**2)
        basis = _across(state.directions)
        slopes, shift = self._slopes(state, basis, seen, focal)
        normal, right = self._of_cameras(weight, slopes, offset)
        diagonal = np.diag_indices(len(right))
        normal[diagonal] = normal[diagonal] * (1 + damping) + 1e-9
        pulling = np.swapaxes(weight[:, None, None] * shift, 1, 2)
        point = self._of_tracks(pulling @ shift)
        pull = self._of_tracks((pulling @ offset[:, :, None])[:, :, 0])
        point += np.eye(2) * (damping * np.einsum("tii->t", point)[:, None, None] / 2 + 1e-9)
        inverse = np.linalg.inv(point)
        mixed = pulling @ slopes
        together = [part.mixed(mixed) for part in self.parts]
        for part, both in zip(self.parts, together, strict=True):
            solved = (inverse[part.tracks] @ both.reshape(-1, 2, both.shape[1])).reshape(both.shape)
            normal[np.ix_(part.columns, part.columns)] -= both.T @ solved
            right[part.columns] -= solved.T @ pull[part.tracks].ravel()
        step = -np.linalg.solve(normal, right)
        for part, both in zip(self.parts, together, strict=True):
            pull[part.tracks] += (both @ step[part.columns]).reshape(-1, 2)
        across = -np.einsum("tij,tj->ti", inverse, pull)
        directions = state.directions + np.einsum("tij,tj->ti", basis, across)
        count = len(self.focal)
        return _State(
            rotation_matrix(step[: 3 * count].reshape(count, 3)) @ state.rotations,
            state.log_focal + step[3 * count :],
            directions / np.linalg.norm(directions, axis=1, keepdims=True),
        )

    def _of_cameras(self, weight: Array, slopes: Array, offset: Array) -> tuple[Array, Array]:
        """The normal equations of turns and lenses alone: matrix (U, U) and gradient (U,)."""
        size = 3 * len(self.focal) + int(self.group.max()) + 1
        frame, count = self.table.frame, len(self.focal)
        blocks, pulls = np.zeros((4, 4, count)), np.zeros((4, count))
        sides = np.ascontiguousarray(np.moveaxis(slopes, 0, 2))  # (2, 4, O)
        for i in range(4):
            weighted = weight * sides[:, i]
            pulls[i] = np.bincount(frame, (weighted * offset.T).sum(axis=0), count)
            for j in range(i, 4):
                blocks[i, j] = blocks[j, i] = np.bincount(frame, (weighted * sides[:, j]).sum(axis=0), count)
        columns = _columns(np.arange(count), self.group)
        normal, gradient = np.zeros((size, size)), np.zeros(size)
        np.add.at(normal, (columns[:, :, None], columns[:, None, :]), np.moveaxis(blocks, 2, 0))
        np.add.at(gradient, columns, pulls.T)
        return normal, gradient

    def _of_tracks(self, values: Array) -> Array:
        """Sums over each track's observations, (T, ...)."""
        return np.add.reduceat(values, np.flatnonzero(np.diff(self.table.track, prepend=-1)), axis=0)

    def _slopes(self, state: _State, basis: Array, seen: Array, focal: Array) -> tuple[Array, Array]:
        """How pixels move with the camera's turn and the log focal length (O, 2, 4), and the direction (O, 2, 2)."""
        frame, track = self.table.frame, self.table.track
        x, y, z = seen.T
        depth = np.where(z > 0.05, z, 0.05)
        u, v, scale = x / depth, y / depth, focal / depth
        zoom = focal * float(self.free_focal)
        across = np.stack([-scale * u * y, scale * (z + u * x), -scale * y, zoom * u], axis=-1)
        down = np.stack([-scale * (z + v * y), scale * v * x, scale * x, zoom * v], axis=-1)
        turned = state.rotations[frame] @ basis[track]
        flat = turned[:, :2] - np.stack([u, v], axis=-1)[:, :, None] * turned[:, 2:]
        return np.stack([across, down], axis=1), scale[:, None, None] * flat


def _across(directions: Array) -> Array:
    """Two unit directions (T, 3, 2) across each of `directions` (T, 3)."""
    helper = np.eye(3)[np.abs(directions).argmin(axis=1)]
    one = np.cross(directions, helper)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    return np.stack([one, np.cross(directions, one)], axis=-1)
