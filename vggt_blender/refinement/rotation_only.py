"""A camera that only turns: rotations and focal length from directions, where triangulation has nothing to say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..geometry.alignment import mean_rotation
from .rotations import rotation_matrix
from .tracks import Observations
from .triangulation import LOST
from .views import Views

Array = NDArray[np.float64]

LOSS = 1.0
"""Scale of the Cauchy weights, working pixels."""

LEAST_IN_TURN = 4
"""Observations that place a frame of a camera that only turns."""

REPEATS = 8


@dataclass(frozen=True)
class _State:
    """``rotations`` (N, 3, 3), ``log_focal`` (G,) one a lens, ``directions`` (T, 3) of the tracks."""

    rotations: Array
    log_focal: Array
    directions: Array


def turn_only(table: Observations, views: Views, *, free_focal: bool, iterations: int = 40) -> tuple[Views, Array]:
    """The cameras that explain `table` best from one place: the mean of their places.

    Levenberg-Marquardt on rotations, focal lengths and track directions; distortion is held. Returns the views and each
    observation's distance (O,) in working pixels. The whole is turned like the input.
    """
    turned, error = _turn(table, views, free_focal=free_focal, iterations=iterations)
    if free_focal and any(lens.distortion is not None for lens in views.lenses):
        for _ in range(REPEATS):  # what is straight in the picture depends on the focal length
            before = turned.focal
            turned, error = _turn(table, turned, free_focal=True, iterations=iterations)
            if np.abs(turned.focal / before - 1).max() < 1e-4:
                break
    return turned, error


def _turn(table: Observations, views: Views, *, free_focal: bool, iterations: int) -> tuple[Views, Array]:
    _, group = np.unique(views.groups, return_inverse=True)
    rays = views.rays(table.frame, table.xy)
    usable = np.isfinite(rays).all(axis=1)  # what lies beyond where the distortion folds over says nothing
    flat = views.focal[table.frame, None] * np.where(usable[:, None], rays, 0.0)
    start = np.einsum("oji,oj->oi", views.poses[table.frame, :, :3], _rays(flat, views.focal[table.frame]))
    directions = _means(start, table)
    state = _State(views.poses[:, :, :3].copy(), np.zeros(group.max() + 1), directions)
    focal0 = views.focal
    problem = _Problem(table, flat, usable, focal0, group, free_focal)
    best, damping = problem.cost(state), 1e-3
    for _ in range(iterations):
        trial = problem.step(state, damping)
        cost = problem.cost(trial)
        if cost < best:
            gain, state, best, damping = 1 - cost / best, trial, cost, damping / 10
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
class _Problem:
    """``flat`` (O, 2) undistorted offsets from the principal point in pixels of the starting ``focal`` (N,); only the
    ``usable`` (O,) ones count."""

    table: Observations
    flat: Array
    usable: NDArray[np.bool_]
    focal: Array
    group: NDArray[np.intp]
    free_focal: bool

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
        """One damped Gauss-Newton step; directions are eliminated track by track."""
        offset, seen, focal = self.offsets(state)
        weight = self.usable / (1 + (offset**2).sum(axis=1) / LOSS**2)
        basis = _across(state.directions)
        turned, shift, zoom = self._slopes(state, basis, seen, focal)
        count, lenses = len(self.focal), len(state.log_focal)
        size = 3 * count + lenses
        columns = np.column_stack(
            [3 * self.table.frame[:, None] + np.arange(3), 3 * count + self.group[self.table.frame]]
        )
        slopes = np.concatenate([turned, zoom[:, :, None]], axis=2)
        normal, gradient = np.zeros((size, size)), np.zeros(size)
        np.add.at(
            normal,
            (columns[:, :, None], columns[:, None, :]),
            np.einsum("o,oai,oaj->oij", weight, slopes, slopes),
        )
        np.add.at(gradient, columns, np.einsum("o,oai,oa->oi", weight, slopes, offset))
        tracks = self.table.tracks
        point, mixed, pull = np.zeros((tracks, 2, 2)), np.zeros((tracks, 2, size)), np.zeros((tracks, 2))
        np.add.at(point, self.table.track, np.einsum("o,oai,oaj->oij", weight, shift, shift))
        np.add.at(pull, self.table.track, np.einsum("o,oai,oa->oi", weight, shift, offset))
        rows = self.table.track[:, None, None], np.arange(2)[None, :, None], columns[:, None, :]
        np.add.at(mixed, rows, np.einsum("o,oai,oaj->oij", weight, shift, slopes))
        point += np.eye(2) * (damping * np.einsum("tii->t", point)[:, None, None] / 2 + 1e-9)
        normal[np.diag_indices(size)] *= 1 + damping
        normal[np.diag_indices(size)] += 1e-9
        solved = np.linalg.solve(point, np.concatenate([mixed, pull[:, :, None]], axis=2))
        flat_mixed = mixed.reshape(-1, size)
        reduced = normal - flat_mixed.T @ solved[:, :, :-1].reshape(-1, size)
        right = gradient - flat_mixed.T @ solved[:, :, -1].ravel()
        step = -np.linalg.lstsq(reduced, right, rcond=1e-12)[0]
        across = -solved[:, :, -1] - solved[:, :, :-1] @ step
        directions = state.directions + np.einsum("tij,tj->ti", basis, across)
        return _State(
            rotation_matrix(step[: 3 * count].reshape(count, 3)) @ state.rotations,
            state.log_focal + step[3 * count :],
            directions / np.linalg.norm(directions, axis=1, keepdims=True),
        )

    def _slopes(self, state: _State, basis: Array, seen: Array, focal: Array) -> tuple[Array, Array, Array]:
        """How pixels move with the camera's turn (O, 2, 3), the direction (O, 2, 2) and the log focal length (O, 2)."""
        frame, track = self.table.frame, self.table.track
        depth = np.where(seen[:, 2] > 0.05, seen[:, 2], 0.05)
        image = focal[:, None] * seen[:, :2] / depth[:, None]
        of_seen = np.zeros((len(seen), 2, 3))
        of_seen[:, 0, 0] = of_seen[:, 1, 1] = focal / depth
        of_seen[:, :, 2] = -image / depth[:, None]
        x, y, z = seen.T
        zero = np.zeros_like(x)
        minus_cross = np.stack([zero, z, -y, -z, zero, x, y, -x, zero], axis=-1).reshape(-1, 3, 3)
        shift = of_seen @ (state.rotations[frame] @ basis[track])
        return of_seen @ minus_cross, shift, image * float(self.free_focal)


def _across(directions: Array) -> Array:
    """Two unit directions (T, 3, 2) across each of `directions` (T, 3)."""
    helper = np.eye(3)[np.abs(directions).argmin(axis=1)]
    one = np.cross(directions, helper)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    return np.stack([one, np.cross(directions, one)], axis=-1)
