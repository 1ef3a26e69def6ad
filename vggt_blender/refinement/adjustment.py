"""Bundle adjustment: poses, points and as much of the lens as asked, by pycolmap (Ceres)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Flag

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ..engines.colmap.adjustment import tie_focals
from ..geometry.cameras import Lens
from .tracks import Observations
from .triangulation import Structure, triangulate
from .trusted import NOBODYS, WEIGHT, Trusted
from .views import Views

Array = NDArray[np.float64]

LEAST_ANGLE = 0.5
"""Degrees of parallax without which a point says nothing of the camera's place."""

LEAST_OBSERVATIONS = 12
"""A frame with fewer good observations is not adjusted."""

PINS_THAT_HOLD = 3
"""So many points at given places say where the world is."""

RAYLEIGH_MEDIAN = 1.1774
"""The median length of an error of unit deviation in x and in y."""


class Freedom(Flag):
    """What of the lens may move beside the poses."""

    POSES = 0
    FOCAL = 1
    DISTORTION = 2


@dataclass(frozen=True)
class Adjusted:
    """``views``, and the good observations they were adjusted to with their ``structure``.

    The last tracks of ``used`` are those by hand. ``held`` (N,) is True where a frame really took part.
    """

    views: Views
    used: Observations
    structure: Structure
    held: NDArray[np.bool_]


@dataclass(frozen=True)
class _Frozen:
    """Frames and cameras, by COLMAP's numbers, that stay as they are."""

    frames: tuple[int, ...]
    cameras: tuple[int, ...]

    @classmethod
    def of(cls, views: Views, chosen: NDArray[np.bool_]) -> _Frozen:
        frames = tuple(int(k) + 1 for k in np.flatnonzero(chosen))
        return cls(frames, tuple(int(group) + 1 for group in np.unique(views.groups[chosen])))


def adjust(
    table: Observations,
    views: Views,
    freedom: Freedom,
    thresholds: tuple[float, ...],
    trusted: Trusted = NOBODYS,
    frozen: NDArray[np.bool_] | None = None,
) -> Adjusted:
    """Triangulate and adjust in turns, with ever stricter limits (working pixels) on what counts as an outlier.

    Tracks by hand are no outliers whatever the limit, and weigh more. The poses and lenses of ``frozen`` (N,) frames
    stay.
    """
    frozen = np.zeros(len(views), np.bool_) if frozen is None else frozen
    used, structure, held, pins = _round(table, views, thresholds[0], trusted)
    for limit in (*thresholds[1:], None):
        if held.sum() < 2 or used.tracks + (WEIGHT - 1) * len(pins) < LEAST_OBSERVATIONS:
            break
        views, points = _bundle(used, structure, views, held, freedom, pins, frozen)
        structure = replace(structure, points=points)
        if limit is not None:
            used, structure, held, pins = _round(table, views, limit, trusted)
    return Adjusted(views, used, structure, held)


def _round(
    table: Observations, views: Views, limit: float, trusted: Trusted
) -> tuple[Observations, Structure, NDArray[np.bool_], NDArray[np.bool_]]:
    """What the next adjustment takes: observations with those by hand last, where they are, the frames that take part,
    and for each track by hand whether it is pinned to its place."""
    used, structure, held = good_observations(table, views, limit, trusted)
    part, places = trusted.seen_by(views, held)
    both = Structure(*(np.concatenate(pair) for pair in zip(structure.parts(), places.parts(), strict=True)))
    return used.and_also(part.table), both, held, part.is_held


def _loss_scale(error: Array, by_hand: Array) -> float:
    """Working pixels from which an error counts less: twice the usual one, and none that is usual `by_hand`."""
    usual = float(np.median(by_hand)) if len(by_hand) else 0.0
    return max(2 * float(np.median(error)), usual, 0.1)


def good_observations(
    table: Observations, views: Views, limit: float, trusted: Trusted = NOBODYS
) -> tuple[Observations, Structure, NDArray[np.bool_]]:
    """What lies within `limit` working pixels of its triangulated point, with parallax, in frames that have enough."""
    held = views.placed.copy()
    by_hand = trusted.counts(len(views))
    while True:
        seen = table.keep(held[table.frame])
        structure = triangulate(seen, views, scale=0.25 * limit)
        good = (structure.error < limit) & (structure.angle > LEAST_ANGLE)[seen.track]
        used = seen.keep(good)
        enough = held & (np.bincount(used.frame, minlength=len(views)) + by_hand >= LEAST_OBSERVATIONS)
        if (enough == held).all() or not enough.any():
            return used, triangulate(used, views, scale=0.25 * limit), enough
        held = enough


def _bundle(
    used: Observations,
    structure: Structure,
    views: Views,
    held: NDArray[np.bool_],
    freedom: Freedom,
    pins: NDArray[np.bool_],
    frozen: NDArray[np.bool_],
) -> tuple[Views, Array]:
    """One adjustment. Returns the views and the points (T, 4)."""
    first = used.tracks - len(pins)
    by_hand = used.track >= first
    loss = _loss_scale(structure.error, structure.error[by_hand])
    scene = _scene(used.repeated(np.where(by_hand, WEIGHT, 1)), structure, views, held, freedom)
    pinned, fixed = first + np.flatnonzero(pins), _Frozen.of(views, held & frozen)
    _adjuster(scene, held, freedom, loss, pinned, fixed).solve()
    if tie_focals(_with_one_focal(scene, views)):
        _adjuster(scene, held, freedom & ~Freedom.FOCAL, loss, pinned, fixed).solve()
    poses, lenses = views.poses.copy(), list(views.lenses)
    for k in np.flatnonzero(held & ~frozen):
        poses[k] = scene.images[int(k) + 1].cam_from_world().matrix()
    for k in range(len(views)):
        if views.groups[k] in views.groups[held] and views.groups[k] not in views.groups[frozen]:
            lenses[k] = _lens(scene.cameras[int(views.groups[k]) + 1], lenses[k])
    xyz = np.array([scene.points3D[track + 1].xyz for track in range(used.tracks)]).reshape(-1, 3)
    points = np.column_stack([xyz, np.ones(len(xyz))])
    return replace(views, poses=poses, lenses=tuple(lenses)), points / np.linalg.norm(points, axis=1, keepdims=True)


def _with_one_focal(scene: pycolmap.Reconstruction, views: Views) -> list[pycolmap.Camera]:
    """The cameras of lenses that had one focal length before."""
    first = {int(group) + 1: int(np.flatnonzero(views.groups == group)[0]) for group in np.unique(views.groups)}
    return [camera for camera in scene.cameras.values() if _is_square(views.lenses[first[camera.camera_id]])]


def _is_square(lens: Lens) -> bool:
    return abs(lens.fx / lens.fy - 1) < 1e-6


def _adjuster(
    scene: pycolmap.Reconstruction,
    held: NDArray[np.bool_],
    freedom: Freedom,
    loss: float,
    pinned: NDArray[np.intp],
    frozen: _Frozen,
) -> pycolmap.CeresBundleAdjuster:
    options = pycolmap.BundleAdjustmentOptions(
        refine_focal_length=Freedom.FOCAL in freedom,
        refine_extra_params=Freedom.DISTORTION in freedom,
        refine_principal_point=False,
        print_summary=False,
    )
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = loss
    options.ceres.solver_options.max_num_iterations = 60
    options.ceres.solver_options.function_tolerance = 1e-6
    config = pycolmap.BundleAdjustmentConfig()
    for k in np.flatnonzero(held):
        config.add_image(int(k) + 1)
    for track in pinned:
        config.add_constant_point(int(track) + 1)
    for frame in frozen.frames:
        config.set_constant_rig_from_world_pose(frame)
    for camera in frozen.cameras:
        config.set_constant_cam_intrinsics(camera)
    if len(pinned) < PINS_THAT_HOLD and len(frozen.frames) < 2:
        config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    return pycolmap.create_default_ceres_bundle_adjuster(options, config, scene)


def focal_deviation(adjusted: Adjusted, freedom: Freedom) -> float | None:
    """The relative standard deviation of the focal length (the worst lens's), from the curvature of the adjustment and
    the usual error of its observations; None where it is held, 1 where nothing holds it."""
    if Freedom.FOCAL not in freedom:
        return None
    views, used, structure, held = adjusted.views, adjusted.used, adjusted.structure, adjusted.held
    scene = _scene(used, structure, views, held, freedom)
    nothing = np.zeros(0)
    loss = _loss_scale(structure.error, nothing)
    adjuster = _adjuster(scene, held, freedom, loss, nothing.astype(np.intp), _Frozen((), ()))
    adjuster.solve()
    options = pycolmap.BACovarianceOptions(params=pycolmap.BACovarianceOptionsParams.ALL)
    covariance = pycolmap.estimate_ba_covariance(options, scene, adjuster)
    if covariance is None:
        return 1.0
    sigma = float(np.median(structure.error)) / RAYLEIGH_MEDIAN
    worst = 0.0
    for camera in scene.cameras.values():
        spread = covariance.get_other_params_cov(camera.params)
        if spread is not None:
            free = list(camera.focal_length_idxs())
            worst = max(worst, sigma * float(np.sqrt(spread[free, free].max())) / camera.mean_focal_length())
    return min(worst, 1.0)


def _scene(
    used: Observations, structure: Structure, views: Views, held: NDArray[np.bool_], freedom: Freedom
) -> pycolmap.Reconstruction:
    scene = pycolmap.Reconstruction()
    for group in np.unique(views.groups[held]):
        scene.add_camera_with_trivial_rig(_camera(views, int(group), freedom))
    index = np.zeros(len(used.track), np.intp)
    for k in np.flatnonzero(held):
        seen = np.flatnonzero(used.frame == k)
        index[seen] = np.arange(len(seen))
        image = pycolmap.Image(f"{k}", used.xy[seen], int(views.groups[k]) + 1, int(k) + 1)
        scene.add_image_with_trivial_frame(image, pycolmap.Rigid3d(views.poses[k]))
    starts = np.searchsorted(used.track, np.arange(used.tracks + 1))
    for track, xyz in enumerate(structure.positions()):
        span = range(starts[track], starts[track + 1])
        elements = [pycolmap.TrackElement(int(used.frame[o]) + 1, int(index[o])) for o in span]
        point = pycolmap.Point3D(xyz=xyz, track=pycolmap.Track(elements=elements))
        scene.add_point3D_with_id(track + 1, point)
    return scene


def _camera(views: Views, group: int, freedom: Freedom) -> pycolmap.Camera:
    """The simplest of COLMAP's models that holds the lens and what may move of it."""
    k = int(np.flatnonzero(views.groups == group)[0])
    lens = views.lenses[k]
    terms = [0.0] * 5 if lens.distortion is None else list(lens.distortion)
    square = _is_square(lens)
    if any(terms[2:]):
        model, values = "FULL_OPENCV", [lens.fx, lens.fy, lens.cx, lens.cy, *terms, 0.0, 0.0, 0.0]
    elif Freedom.DISTORTION not in freedom and not any(terms):
        model = "SIMPLE_PINHOLE" if square else "PINHOLE"
        values = [lens.fx, lens.cx, lens.cy] if square else [lens.fx, lens.fy, lens.cx, lens.cy]
    elif square:
        model, values = "RADIAL", [lens.fx, lens.cx, lens.cy, *terms[:2]]
    else:
        model, values = "OPENCV", [lens.fx, lens.fy, lens.cx, lens.cy, *terms[:4]]
    width, height = (int(size) for size in np.ceil(views.sizes[k]))
    return pycolmap.Camera(model=model, width=width, height=height, params=values, camera_id=group + 1)


def _lens(camera: pycolmap.Camera, before: Lens) -> Lens:
    values = [float(value) for value in camera.params]
    name = camera.model_name
    if name in ("SIMPLE_PINHOLE", "RADIAL"):
        terms = (values[3], values[4], 0.0, 0.0, 0.0) if name == "RADIAL" else before.distortion
        return Lens(values[0], values[0], values[1], values[2], terms)
    terms = {"PINHOLE": before.distortion, "OPENCV": (*values[4:8], 0.0), "FULL_OPENCV": tuple(values[4:9])}[name]
    return Lens(values[0], values[1], values[2], values[3], terms)
