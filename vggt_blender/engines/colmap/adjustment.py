"""The last bundle adjustment: sharpened tracks, robust losses, no more lens than the pictures ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ...exchange.known import Known
from .features import Gray
from .mapping import drop_loose_frames
from .parallel import threads
from .solution import Observations, Solution, solution_of
from .subpixel import sharpen

LENSES = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
"""From the plainest on; each has one focal length and its principal point in the centre."""

WORTH = 0.01
"""A lens with more freedom must lower the mean robust cost by this part: over-parameterised lenses bend weak solves."""

FIRST_LOSS, LEAST_LOSS = 1.0, 0.1
"""Working pixels at which the Cauchy loss stops trusting an observation: of the detector's, and of sharpened tracks."""

FEWEST_SHARP = 0.4
"""Below this share of observations that can be sharpened (blur, noise) all stay as they were found."""

PROBE = 0.01
"""The focal length is changed by this part to see what holds it."""

WEAK = 0.03
"""Where that raises the mean robust cost by less than this part, the pictures do not tell the focal length."""

WEAK_LENS = (
    "The pictures say little about the focal length: others explain them about as well. "
    "Give the focal length or the field of view where it is known."
)

WEAK_ZOOM = (
    "The pictures say little about the focal lengths of this zoom: others, or one lens, explain them nearly as well. "
    "Give the focal length or the field of view if the lens did not zoom."
)

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


@dataclass(frozen=True)
class Adjusted:
    """The ``model``; the share of its observations that were ``sharpened``; and ``focal_hold``: by what part its
    robust cost rises where the focal length is one percent off (None where the focal length is known). ``loss`` is the
    robust loss's scale that the adjustment ended with, in working pixels."""

    model: pycolmap.Reconstruction
    sharpened: float
    focal_hold: float | None
    loss: float

    @property
    def lens_is_weak(self) -> bool:
        """Whether other focal lengths would explain the pictures about as well."""
        return self.focal_hold is not None and self.focal_hold < WEAK


def refine(
    model: pycolmap.Reconstruction,
    scales: Sequence[float],
    picture: Callable[[int], Gray],
    known: Known,
    tell: Callable[[int, int], None],
    center: Center = Center.MIDDLE,
) -> Adjusted:
    """Adjust `model` to sub-pixel agreement, its centre as free as `center` says.

    `picture` gives the working picture of a position, `scales` its working pixels per source pixel.
    """
    adjust(model, FIRST_LOSS, known, center=center)
    before = solution_of(model, scales)
    observations, share = sharpen(before, scales, picture, tell)
    if share >= FEWEST_SHARP:
        sharp = pycolmap.Reconstruction(model)
        _take_over(sharp, before, observations, scales)
        adjust(sharp, FIRST_LOSS / 4, known, center=center)
        loss = max(LEAST_LOSS, 2 * float(np.median(_residuals(sharp))))
        sharp = _finished(sharp, loss, known, center)
        if sharp.num_reg_images() == len(before.placed):  # a frame that little holds may hang on what was left out
            return Adjusted(sharp, share, focal_hold(sharp, loss, known, center), loss)
    model = _finished(model, FIRST_LOSS, known, center)
    return Adjusted(model, 0.0, focal_hold(model, FIRST_LOSS, known, center), FIRST_LOSS)


def _finished(model: pycolmap.Reconstruction, loss: float, known: Known, center: Center) -> pycolmap.Reconstruction:
    if known.distortion is None:
        model = plainest_lens(model, loss, known, center)
    else:
        adjust(model, loss, known, center=center)
    drop_loose_frames(model)
    return model


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


def _residuals(model: pycolmap.Reconstruction) -> Array:
    """In working pixels, of all observations; those behind a camera are infinite."""
    found = [np.zeros(0)]
    for identifier in model.reg_image_ids():
        image = model.images[identifier]
        points = image.get_observation_points2D()
        if not points:
            continue
        world = np.array([model.points3D[point.point3D_id].xyz for point in points])
        pose = image.cam_from_world().matrix()
        projected = model.cameras[image.camera_id].img_from_cam(world @ pose[:, :3].T + pose[:, 3])
        offsets = np.linalg.norm(projected - np.array([point.xy for point in points]), axis=1)
        found.append(np.where(np.isfinite(offsets), offsets, np.inf))
    return np.concatenate(found)


def robust_cost(model: pycolmap.Reconstruction, loss: float) -> float:
    """The mean Cauchy cost of all observations, for comparison."""
    residuals = np.minimum(_residuals(model), 1e3 * loss)
    return float(np.mean(np.log1p((residuals / loss) ** 2)))


def _take_over(
    model: pycolmap.Reconstruction, before: Solution, sharpened: Sequence[Observations], scales: Sequence[float]
) -> None:
    """Move the model's observations to where they were sharpened, and delete those that were left out."""
    row_of = {identifier: row for row, identifier in enumerate(sorted(model.points3D.keys()))}
    for position in before.placed:
        image = model.images[position + 1]
        seen = sharpened[position]
        places = dict(zip(seen.points.tolist(), seen.xy * scales[position], strict=True))
        for index in list(image.get_observation_point2D_idxs()):
            point = image.points2D[index]
            place = places.get(row_of[point.point3D_id])
            if place is None:
                model.delete_observation(image.image_id, index)
            else:
                point.xy = place
