"""Bundle adjustment with a robust loss, and the questions that it answers: which lens, and how well it is held."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ...exchange.known import Known
from .parallel import threads

LENSES = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
"""From the plainest on; each has one focal length and its principal point in the centre."""

WORTH = 0.01
"""A lens with more freedom must lower the mean robust cost by this part: over-parameterised lenses bend weak solves."""

FIRST_LOSS = 1.0
"""Working pixels at which the Cauchy loss stops trusting an observation of the detector's."""

PROBE = 0.01
"""The focal length is changed by this part to see what holds it."""

WEAK = 0.03
"""Where that raises the mean robust cost by less than this part, the pictures do not tell the focal length."""

ASKED = 300
"""Observations a frame on average that `thinned` keeps."""

ROUNDS, PROBE_ROUNDS = 50, 12
"""Steps of an adjustment at the most; a probe starts next to its end."""

Array = NDArray[np.float64]


class Center(Enum):
    """Where the lens's axis meets the pictures: in their middle, in some other place, or in one of its own in each."""

    MIDDLE = "middle"
    ELSEWHERE = "elsewhere"
    WANDERS = "wanders"


def adjust(
    model: pycolmap.Reconstruction,
    loss: float,
    known: Known,
    *,
    probe: bool = False,
    center: Center = Center.MIDDLE,
) -> None:
    """Bundle adjustment with a Cauchy loss of scale `loss` in working pixels; `center` frees the principal points.

    A `probe` is short and holds the focal length, too. Frames whose centre wanders share all else of the lens.
    """
    options = pycolmap.BundleAdjustmentOptions(print_summary=False)
    wanders = center is Center.WANDERS
    options.refine_principal_point = center is not Center.MIDDLE
    options.refine_focal_length = not probe and not known.holds_focal
    options.refine_extra_params = known.distortion is None and not (probe and wanders)
    options.min_track_length = 2
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = loss
    options.ceres.solver_options.max_num_iterations = PROBE_ROUNDS if probe else ROUNDS
    options.ceres.solver_options.function_tolerance = 1e-6
    options.ceres.solver_options.num_threads = threads()
    config = pycolmap.BundleAdjustmentConfig()
    for identifier in model.reg_image_ids():
        config.add_image(identifier)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, config, model).solve()
    tied = options.refine_focal_length and tie_focals(model.cameras.values())
    if wanders and not probe:
        _tie_lenses(model)
    if tied or (wanders and not probe):
        adjust(model, loss, known, probe=True, center=center)


def thinned(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """A copy of `model` with `ASKED` observations a frame: enough to ask first what all may be asked then."""
    few = pycolmap.Reconstruction(model)
    step = -(-few.compute_num_observations() // (ASKED * max(1, few.num_reg_images())))
    for place, identifier in enumerate(sorted(few.point3D_ids())):
        if place % step:
            few.delete_point3D(identifier)
    return few


def tie_focals(cameras: Iterable[pycolmap.Camera]) -> bool:
    """Give each of `cameras` one focal length again, and say whether one had two: no lens of COLMAP's with more terms
    than k1 and k2 has a single one."""
    apart = [camera for camera in cameras if camera.focal_length_x != camera.focal_length_y]
    for camera in apart:
        set_focal(camera, float(np.sqrt(camera.focal_length_x * camera.focal_length_y)))
    return bool(apart)


def _tie_lenses(model: pycolmap.Reconstruction) -> None:
    """Give all placed frames one lens, of the middle focal length and distortion; their centres stay."""
    cameras = placed_cameras(model)
    usual = np.median([camera.params for camera in cameras], axis=0)
    for camera in cameras:
        params = np.array(usual)
        params[list(camera.principal_point_idxs())] = camera.principal_point_x, camera.principal_point_y
        camera.params = params


def placed_cameras(model: pycolmap.Reconstruction) -> list[pycolmap.Camera]:
    """The camera of each placed frame, in the frames' order."""
    return [model.cameras[model.images[identifier].camera_id] for identifier in sorted(model.reg_image_ids())]


def set_focal(camera: pycolmap.Camera, focal: float) -> None:
    """Give `camera` this focal length in pixels, across and down."""
    params = np.array(camera.params)
    params[list(camera.focal_length_idxs())] = focal
    camera.params = params


def plainest_lens(
    model: pycolmap.Reconstruction, loss: float, known: Known, center: Center = Center.MIDDLE
) -> pycolmap.Reconstruction:
    """`model` with the plainest of `LENSES` that explains it about as well as the next one."""
    best, best_cost = model, np.inf
    for lens in LENSES:
        candidate = pycolmap.Reconstruction(model)
        for camera in candidate.cameras.values():
            _set_lens(camera, lens)
        adjust(candidate, loss, known, center=center)
        cost = robust_cost(candidate, loss)
        if cost > (1 - WORTH) * best_cost:
            break
        best, best_cost = candidate, cost
    return best


def _set_lens(camera: pycolmap.Camera, lens: str) -> None:
    """Turn `camera` into another of `LENSES`, as like as can be."""
    params = [*camera.params, 0.0, 0.0]
    camera.model = getattr(pycolmap.CameraModelId, lens)
    camera.params = params[: 3 + LENSES.index(lens)]


def focal_hold(
    model: pycolmap.Reconstruction, loss: float, known: Known, center: Center = Center.MIDDLE
) -> float | None:
    """By what part the robust cost rises at the least where the focal length is held a percent off; None if known."""
    if known.holds_focal:
        return None
    best = robust_cost(model, loss)
    costs = []
    for factor in (1 - PROBE, 1 + PROBE):
        candidate = pycolmap.Reconstruction(model)
        for camera in candidate.cameras.values():
            set_focal(camera, factor * camera.params[0])
        adjust(candidate, loss, known, probe=True, center=center)
        costs.append(robust_cost(candidate, loss))
    return min(costs) / max(best, 1e-12) - 1


def seen_and_projected(model: pycolmap.Reconstruction, image: pycolmap.Image) -> tuple[Array, Array]:
    """Where a placed image sees its points and where they project, (M, 2) each in working pixels; the latter are not
    finite behind the camera."""
    points = image.get_observation_points2D()
    if not points:
        return np.zeros((0, 2)), np.zeros((0, 2))
    world = np.array([model.points3D[point.point3D_id].xyz for point in points])
    pose = image.cam_from_world().matrix()
    projected = model.cameras[image.camera_id].img_from_cam(world @ pose[:, :3].T + pose[:, 3])
    return np.array([point.xy for point in points]), projected


def residuals(model: pycolmap.Reconstruction) -> Array:
    """In working pixels, of all observations; those behind a camera are infinite."""
    found = [np.zeros(0)]
    for identifier in model.reg_image_ids():
        seen, projected = seen_and_projected(model, model.images[identifier])
        offsets = np.linalg.norm(projected - seen, axis=1)
        found.append(np.where(np.isfinite(offsets), offsets, np.inf))
    return np.concatenate(found)


def robust_cost(model: pycolmap.Reconstruction, loss: float) -> float:
    """The mean Cauchy cost of all observations, for comparison."""
    lengths = np.minimum(residuals(model), 1e3 * loss)
    return float(np.mean(np.log1p((lengths / loss) ** 2)))
