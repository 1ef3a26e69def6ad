"""Pinhole cameras with OpenCV distortion: projection, unprojection, poses and quaternions.

Conventions (OpenCV): camera axes x right, y down, z forward; ``camera_from_world`` is (3, 4), X_camera = R X_world + t;
image coordinates put the centre of the top-left pixel at (0.5, 0.5); ``distortion`` is (k1, k2, p1, p2, k3) as in
OpenCV's documentation of the pinhole model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Lens:
    """Focal lengths and principal point in pixels, with OpenCV distortion or None."""

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: Sequence[float] | None = None

    def scaled(self, sx: float, sy: float) -> Lens:
        """The same lens for a picture resized by `sx` and `sy` (corner-origin pixels: a pure scale)."""
        return Lens(self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy, self.distortion)

    def matrix(self) -> Array:
        """The (3, 3) matrix of intrinsics."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


def distort(rays: ArrayLike, distortion: Sequence[float]) -> Array:
    """Where the lens puts ideal normalised coordinates `rays` (..., 2). Returns (..., 2)."""
    k1, k2, p1, p2, k3 = distortion
    xy = np.asarray(rays, np.float64)
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )


def _distortion_jacobian(xy: Array, distortion: Sequence[float]) -> Array:
    k1, k2, p1, p2, k3 = distortion
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope = 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))
    mixed = x * y * slope + 2 * p1 * x + 2 * p2 * y
    rows = [
        np.stack([radial + x * x * slope + 2 * p1 * y + 6 * p2 * x, mixed], axis=-1),
        np.stack([mixed, radial + y * y * slope + 6 * p1 * y + 2 * p2 * x], axis=-1),
    ]
    return np.stack(rows, axis=-2)


def fold_radius(distortion: Sequence[float]) -> float:
    """The ideal radius from which on the lens's radial part, r (1 + k1 r^2 + k2 r^4 + k3 r^6), falls; inf for never."""
    k1, k2, _, _, k3 = distortion
    squares = np.roots([7 * k3, 5 * k2, 3 * k1, 1.0])  # where the slope is zero, in r^2
    turns = squares.real[(np.abs(squares.imag) < 1e-9) & (squares.real > 0)]
    return float(np.sqrt(turns.min())) if len(turns) else np.inf


def undistort(distorted: ArrayLike, distortion: Sequence[float], iterations: int = 20) -> Array:
    """The ideal normalised coordinates that the lens puts at `distorted` (..., 2), by Newton's method.

    Returns (..., 2); NaN where the model has no inverse. Beyond `fold_radius` the polynomial comes back over the
    picture and Newton may land there: no lens does that, so it counts as no inverse.
    """
    target = np.asarray(distorted, np.float64)
    xy = target.copy()
    with np.errstate(all="ignore"):
        for _ in range(iterations):
            residual = distort(xy, distortion) - target
            if not np.nanmax(np.abs(residual), initial=0.0) > 1e-13:
                break
            jacobian = _distortion_jacobian(xy, distortion)
            determinant = jacobian[..., 0, 0] * jacobian[..., 1, 1] - jacobian[..., 0, 1] * jacobian[..., 1, 0]
            step_x = jacobian[..., 1, 1] * residual[..., 0] - jacobian[..., 0, 1] * residual[..., 1]
            step_y = jacobian[..., 0, 0] * residual[..., 1] - jacobian[..., 1, 0] * residual[..., 0]
            xy -= np.stack([step_x, step_y], axis=-1) / determinant[..., None]
        failed = ~(np.abs(distort(xy, distortion) - target).max(axis=-1) < 1e-6)
        failed |= ~(np.linalg.norm(xy, axis=-1) < fold_radius(distortion))
    xy[failed] = np.nan
    return xy


def project(points: ArrayLike, camera_from_world: ArrayLike, lens: Lens) -> tuple[Array, Array]:
    """Pixels (..., 2) and Z depths (...,) of world `points` (..., 3). Pixels behind the camera are NaN."""
    pose = np.asarray(camera_from_world, np.float64)
    camera = np.asarray(points, np.float64) @ pose[:, :3].T + pose[:, 3]
    depth = camera[..., 2]
    with np.errstate(all="ignore"):
        rays = np.where(depth[..., None] > 0, camera[..., :2] / depth[..., None], np.nan)
        if lens.distortion is not None:
            rays = distort(rays, lens.distortion)
    return rays * [lens.fx, lens.fy] + [lens.cx, lens.cy], depth


def rays_of_pixels(pixels: ArrayLike, lens: Lens) -> Array:
    """Ideal normalised camera rays (..., 2), at z = 1, of source `pixels` (..., 2)."""
    rays = (np.asarray(pixels, np.float64) - [lens.cx, lens.cy]) / [lens.fx, lens.fy]
    return rays if lens.distortion is None else undistort(rays, lens.distortion)


def unproject(pixels: ArrayLike, depth: ArrayLike, camera_from_world: ArrayLike, lens: Lens) -> Array:
    """World points (..., 3) of source `pixels` (..., 2) at Z `depth` (...,)."""
    rays = rays_of_pixels(pixels, lens)
    z = np.asarray(depth, np.float64)
    camera = np.concatenate([rays * z[..., None], z[..., None]], axis=-1)
    pose = np.asarray(camera_from_world, np.float64)
    return (camera - pose[:, 3]) @ pose[:, :3]


def sample_pixels(shape: tuple[int, int], depth_to_image: ArrayLike) -> Array:
    """Source pixels (h, w, 2) of every sample of a depth map of `shape` (h, w).

    Sample (row, col) lies at (col + 0.5, row + 0.5) of the map; `depth_to_image` (2, 3) takes that to the source.
    """
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64) + 0.5
    affine = np.asarray(depth_to_image, np.float64)
    return np.stack([columns, rows], axis=-1) @ affine[:, :2].T + affine[:, 2]


def invert_pose(camera_from_world: ArrayLike) -> Array:
    """The inverse of a rigid (3, 4) transform, (3, 4)."""
    pose = np.asarray(camera_from_world, np.float64)
    rotation = pose[:, :3].T
    return np.hstack([rotation, -rotation @ pose[:, 3:]])


def camera_center(camera_from_world: ArrayLike) -> Array:
    """The camera's position in the world, (..., 3), of poses (..., 3, 4)."""
    pose = np.asarray(camera_from_world, np.float64)
    return -np.einsum("...ji,...j->...i", pose[..., :3], pose[..., 3])


def homogeneous(transform: ArrayLike) -> Array:
    """The (4, 4) form of a (3, 4) transform."""
    return np.vstack([np.asarray(transform, np.float64), [0.0, 0.0, 0.0, 1.0]])


def quaternion_from_rotation(rotation: ArrayLike) -> Array:
    """Unit quaternion (w, x, y, z) with w >= 0 of a (3, 3) rotation, by the largest of the four squared entries."""
    m = np.asarray(rotation, np.float64)
    trace = np.trace(m)
    squares = np.array([trace, m[0, 0], m[1, 1], m[2, 2]])
    largest = int(np.argmax(squares))
    if largest == 0:
        q = np.array([1 + trace, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])
    else:
        i = largest - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        q = np.empty(4)
        q[0] = m[k, j] - m[j, k]
        q[1 + i] = 1 + m[i, i] - m[j, j] - m[k, k]
        q[1 + j] = m[j, i] + m[i, j]
        q[1 + k] = m[k, i] + m[i, k]
    q /= np.linalg.norm(q)
    return -q if q[0] < 0 else q


def rotation_from_quaternion(quaternion: ArrayLike) -> Array:
    """The (3, 3) rotation of a quaternion (w, x, y, z) of any non-zero length."""
    w, x, y, z = np.asarray(quaternion, np.float64)
    s = 2.0 / (w * w + x * x + y * y + z * z)
    return np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
        ]
    )


def continuous_quaternions(quaternions: ArrayLike) -> Array:
    """The same rotations (N, 4) with signs chosen so that no step turns the long way round."""
    values = np.array(quaternions, np.float64)
    for current, previous in zip(values[1:], values[:-1], strict=True):
        if current @ previous < 0:
            current *= -1
    return values
