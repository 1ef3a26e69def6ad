"""Tracks: points followed through the shot, with the place in the world that the solve gives them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..exchange.reconstruction import Frame, Reconstruction
from ..geometry.cameras import project, rays_of_pixels
from ..geometry.triangulation import triangulate_tracks
from .cameras import registered
from .lenses import lens_of

CANDIDATES = 4000  # solved points looked at for the tracks that are asked for
SAME_DEPTH = 0.03  # a solved point is seen where the frame's own depth agrees within this share
GRID = (12, 8)  # cells of the picture that tracks are spread over


@dataclass(frozen=True)
class ShotTracks:
    """``xy`` (N, T, 2) source pixels and ``visible`` (N, T) in every frame; ``xyz`` (T, 3) in the solve's world, NaN
    where unknown, ``error`` (T,) mean distance in pixels between the two."""

    xy: NDArray[np.float64]
    visible: NDArray[np.bool_]
    xyz: NDArray[np.float64]
    error: NDArray[np.float64]

    def pick(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> ShotTracks:
        """Only the tracks in `chosen`."""
        return ShotTracks(self.xy[:, chosen], self.visible[:, chosen], self.xyz[chosen], self.error[chosen])


def on_straight_plates(tracks: ShotTracks, reconstruction: Reconstruction, plates: Reconstruction) -> ShotTracks:
    """The same tracks in the pixels of `plates`, the straightened plates of `reconstruction`."""
    xy = tracks.xy.copy()
    for position in registered(reconstruction):
        straight = lens_of(plates.frames[position])
        rays = rays_of_pixels(xy[position], lens_of(reconstruction.frames[position]))
        xy[position] = rays * [straight.fx, straight.fy] + [straight.cx, straight.cy]
    visible = tracks.visible & np.isfinite(xy).all(axis=-1)
    visible[[position for position, frame in enumerate(plates.frames) if not frame.registered]] = False
    return replace(tracks, xy=xy, visible=visible)


def shot_tracks(reconstruction: Reconstruction, limit: int) -> ShotTracks:
    """At most `limit` tracks, long ones first and spread over the picture.

    The engine's own where it has some; else its solved points, projected into every frame whose depth shows them.
    """
    found = _own_tracks(reconstruction) if reconstruction.tracks is not None else _projected_points(reconstruction)
    return found.pick(_spread(found, reconstruction, limit))


def _own_tracks(reconstruction: Reconstruction) -> ShotTracks:
    tracks = reconstruction.tracks
    assert tracks is not None
    frames = reconstruction.frames
    poses = [None if frame.pose is None else frame.pose.camera_from_world for frame in frames]
    lenses = [None if frame.pose is None else lens_of(frame) for frame in frames]
    xyz, error = triangulate_tracks(tracks.xy, tracks.visible, poses, lenses)
    return ShotTracks(tracks.xy.astype(np.float64), tracks.visible, xyz, error)


def _projected_points(reconstruction: Reconstruction) -> ShotTracks:
    points, count = reconstruction.points, len(reconstruction.frames)
    if points is None or not len(points.xyz):
        return ShotTracks(np.zeros((count, 0, 2)), np.zeros((count, 0), bool), np.zeros((0, 3)), np.zeros(0))
    best = np.lexsort((points.error, -points.observations))[:CANDIDATES]
    xyz = points.xyz[best].astype(np.float64)
    xy, visible = np.full((count, len(xyz), 2), np.nan), np.zeros((count, len(xyz)), bool)
    for position in registered(reconstruction):
        frame = reconstruction.frames[position]
        assert frame.pose is not None
        xy[position], z = project(xyz, frame.pose.camera_from_world, lens_of(frame))
        inside = ((xy[position] >= 0) & (xy[position] <= [frame.width, frame.height])).all(axis=1)
        visible[position] = inside & _seen(reconstruction, position, xy[position], z) & _on_picture(frame, xy[position])
    return ShotTracks(xy, visible, xyz, points.error[best].astype(np.float64))


def _seen(
    reconstruction: Reconstruction, position: int, xy: NDArray[np.float64], z: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether the depth map of frame `position` shows points at pixels `xy` (P, 2) and depths `z` (P,), rather than
    something in front; without a depth map everything in front of the camera."""
    frame = reconstruction.frames[position]
    ahead = np.nan_to_num(z, nan=-1.0) > 0
    if reconstruction.depth is None or frame.depth_to_image is None:
        return np.asarray(ahead)
    depth = np.asarray(reconstruction.depth[position])
    affine = frame.depth_to_image
    at = np.nan_to_num(xy - affine[:, 2], nan=-1.0, posinf=-1.0, neginf=-1.0) @ np.linalg.inv(affine[:, :2]).T
    inside = ahead & (at >= 0).all(axis=1) & (at[:, 0] < depth.shape[1]) & (at[:, 1] < depth.shape[0])
    column, row = np.where(inside[:, None], at, 0).astype(np.int64).T
    known = depth[row, column]
    with np.errstate(invalid="ignore"):
        return np.asarray(inside & (np.abs(known - z) <= SAME_DEPTH * z))


def _on_picture(frame: Frame, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the lens really shows something at pixels `xy` (P, 2): a distortion model folds over far out."""
    return np.isfinite(rays_of_pixels(np.nan_to_num(xy, nan=-1e6), lens_of(frame))).all(axis=1)


def _spread(tracks: ShotTracks, reconstruction: Reconstruction, limit: int) -> NDArray[np.intp]:
    """Positions of at most `limit` tracks seen in two frames or more: the longest of each cell of the picture, then the
    second of each, and so on."""
    length = tracks.visible.sum(axis=0)
    order = np.argsort(-length, kind="stable")
    order = order[length[order] >= 2]
    if not len(order):
        return order
    first = tracks.visible.argmax(axis=0)
    sizes = np.array([(frame.width, frame.height) for frame in reconstruction.frames], np.float64)
    place = tracks.xy[first, np.arange(len(first))] / sizes[first]
    cells = (np.nan_to_num(place).clip(0, 0.999) * GRID).astype(np.int64)
    cell = cells[order, 0] * GRID[1] + cells[order, 1]
    turn = np.zeros(len(order), np.int64)  # how many of the same cell come before
    for value in np.unique(cell):
        inside = np.flatnonzero(cell == value)
        turn[inside] = np.arange(len(inside))
    return np.asarray(order[np.lexsort((np.arange(len(order)), turn))][:limit])
