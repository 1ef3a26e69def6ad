"""Robust triangulation of many tracks at once. Points are homogeneous, so far ones are as good as near ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .tracks import Observations
from .views import Views

Array = NDArray[np.float64]

LOST = 1000.0
"""The error in working pixels of a point behind a camera."""


@dataclass(frozen=True)
class Structure:
    """``points`` (T, 4) homogeneous of unit length (w > 0), ``error`` (O,) working pixels, ``angle`` (T,) degrees."""

    points: Array
    error: Array
    angle: Array

    def parts(self) -> tuple[Array, Array, Array]:
        """All three."""
        return self.points, self.error, self.angle

    def positions(self) -> Array:
        """(T, 3); far beyond the scene where a point has no parallax."""
        return self.points[:, :3] / np.maximum(self.points[:, 3:], 1e-12)


def triangulate(table: Observations, views: Views, *, scale: float, iterations: int = 8) -> Structure:
    """The points nearest to all observations of each track, with Cauchy weights at `scale` working pixels.

    Linear first, then Gauss-Newton on the pixel distances. ``angle`` is the widest angle between a track's rays.
    """
    if not len(table.track):
        return Structure(np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    origin, unit = _world(views)
    poses = views.poses.copy()
    poses[:, :, 3] = (poses[:, :, 3] + poses[:, :, :3] @ origin) / unit
    rays = views.rays(table.frame, table.xy)
    focal, pose = views.focal[table.frame], poses[table.frame]
    usable = np.isfinite(rays).all(axis=1)
    rays = np.where(usable[:, None], rays, 0.0)
    weight = usable.astype(np.float64)
    points = np.empty((0, 4))
    for _ in range(3):
        points = _linear(pose, rays, focal, weight, table)
        weight = usable / (1 + (_errors(points, pose, rays, focal, table)[0] / (4 * scale)) ** 2)
    points = _iterate(points, pose, rays, focal, usable, table, scale, iterations)
    error = np.where(usable, _errors(points, pose, rays, focal, table)[0], LOST)
    xyz = unit * points[:, :3] + points[:, 3:] * origin
    result = np.column_stack([xyz, points[:, 3]])
    result /= np.linalg.norm(result, axis=1, keepdims=True)
    return Structure(result, error, _angles(table, pose, rays))


def _world(views: Views) -> tuple[Array, float]:
    """A middle and a size of the scene that keep the numbers near one."""
    centers = -np.einsum("nji,nj->ni", views.poses[:, :, :3], views.poses[:, :, 3])[views.placed]
    origin = centers.mean(axis=0)
    size = float(np.linalg.norm(centers - origin, axis=1).max())
    return origin, size if size > 1e-9 else 1.0


def _sums(values: Array, table: Observations) -> Array:
    """Sums over each track's observations, (T, ...)."""
    starts = np.flatnonzero(np.diff(table.track, prepend=-1))
    return np.add.reduceat(values, starts, axis=0)


def _linear(pose: Array, rays: Array, focal: Array, weight: Array, table: Observations) -> Array:
    rows = pose[:, :2] - rays[:, :, None] * pose[:, 2:]
    normal = _sums(np.einsum("o,oai,oaj->oij", weight * focal**2, rows, rows), table)
    size = np.einsum("tii->t", normal)
    # seen from one place alone the distance is open: far away then, rather than at the camera itself
    normal[:, 3, 3] = np.where(normal[:, 3, 3] < 1e-12 * size, size, normal[:, 3, 3])
    points = np.linalg.eigh(normal)[1][:, :, 0]
    return _in_front(points, pose, weight, table)


def _in_front(points: Array, pose: Array, weight: Array, table: Observations) -> Array:
    """Unit vectors with w >= 0; what noise puts beyond infinity comes back to infinity, before the cameras."""
    points = np.where(points[:, 3:] < 0, -points, points)
    depth = np.einsum("oi,oi->o", pose[:, 2], points[table.track])
    behind = _sums(weight * np.sign(depth), table) < 0
    points = np.where(behind[:, None], points * [-1.0, -1.0, -1.0, 0.0], points)
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)


def _errors(points: Array, pose: Array, rays: Array, focal: Array, table: Observations) -> tuple[Array, Array, Array]:
    """Distances (O,) in pixels, the offsets (O, 2), and the points seen from the cameras (O, 3)."""
    seen = np.einsum("oij,oj->oi", pose, points[table.track])
    ahead = seen[:, 2] > 1e-9 * np.linalg.norm(points[table.track], axis=1)
    depth = np.where(ahead, seen[:, 2], 1.0)
    offset = focal[:, None] * (seen[:, :2] / depth[:, None] - rays)
    return np.where(ahead, np.minimum(np.linalg.norm(offset, axis=1), LOST), LOST), offset, seen


def _iterate(
    points: Array,
    pose: Array,
    rays: Array,
    focal: Array,
    usable: NDArray[np.bool_],
    table: Observations,
    scale: float,
    iterations: int,
) -> Array:
    """Levenberg-Marquardt for all points side by side, each with its own damping."""

    def cost(at: Array) -> tuple[Array, Array, Array, Array]:
        error, offset, seen = _errors(at, pose, rays, focal, table)
        return _sums(usable * np.log1p((error / scale) ** 2), table), error, offset, seen

    best, error, offset, seen = cost(points)
    damping = np.full(len(points), 1e-3)
    for _ in range(iterations):
        weight = usable * (error < LOST) / (1 + (error / scale) ** 2)
        basis = _tangent(points)
        depth = np.where(error < LOST, seen[:, 2], 1.0)
        slope = pose[:, :2] - (seen[:, :2] / depth[:, None])[:, :, None] * pose[:, 2:]
        jacobian = (focal / depth)[:, None, None] * slope @ basis[table.track]
        normal = _sums(np.einsum("o,oai,oaj->oij", weight, jacobian, jacobian), table)
        gradient = _sums(np.einsum("o,oai,oa->oi", weight, jacobian, offset), table)
        diagonal = np.einsum("tii->ti", normal)
        lifted = normal + np.einsum("ti,ij->tij", damping[:, None] * diagonal + 1e-9, np.eye(3))
        step = -np.linalg.solve(lifted, gradient[:, :, None])
        trial = points + (basis @ step)[:, :, 0]
        trial /= np.linalg.norm(trial, axis=1, keepdims=True)
        trial = np.where(trial[:, 3:] < 0, points, trial)
        trial_cost = cost(trial)[0]
        better = trial_cost < best
        points = np.where(better[:, None], trial, points)
        damping = np.where(better, damping / 10, damping * 10)
        best, error, offset, seen = cost(points)
    return points


def _tangent(points: Array) -> Array:
    """Three directions (T, 4, 3) across each unit 4-vector: the last columns of its Householder reflection."""
    sign = np.where(points[:, :1] < 0, -1.0, 1.0)
    vector = points.copy()
    vector[:, 0] += sign[:, 0]
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    return (np.eye(4) - 2 * vector[:, :, None] * vector[:, None, :])[:, :, 1:]


def _angles(table: Observations, pose: Array, rays: Array) -> Array:
    """Twice the widest angle to the mean ray, in degrees: what parallax there is, rotation taken out."""
    directions = np.column_stack([rays, np.ones(len(rays))])
    directions = np.einsum("oji,oj->oi", pose[:, :, :3], directions)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mean = _sums(directions, table)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    chord = np.linalg.norm(directions - mean[table.track], axis=1)
    starts = np.flatnonzero(np.diff(table.track, prepend=-1))
    return 2 * np.degrees(2 * np.arcsin(np.clip(np.maximum.reduceat(chord, starts) / 2, 0, 1)))
