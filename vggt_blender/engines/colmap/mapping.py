"""From verified matches to cameras: COLMAP's global mapper, and its incremental one where that places fewer frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pycolmap

from ...exchange.known import Known
from .features import Features
from .matching import VerifiedPair

DEFAULT_FOCAL = 1.2
"""Focal length over the longer side where neither EXIF nor the matches tell."""

MAPPERS = ("global", "incremental")

_SEED = 0
_THREADS = 2


def initial_camera(
    camera_id: int, width: int, height: int, focal: float | None, distortion: Sequence[float] | None = None
) -> pycolmap.Camera:
    """A lens with one focal length and its principal point in the centre, in working pixels.

    Without a known `distortion` (k1, k2, p1, p2, k3) it has none yet, and room for one radial term.
    """
    start = focal or DEFAULT_FOCAL * max(width, height)
    model = "SIMPLE_RADIAL" if distortion is None else "RADIAL" if not any(distortion[2:]) else "FULL_OPENCV"
    camera = pycolmap.Camera.create_from_model_name(camera_id, model, start, width, height)
    if distortion is not None:
        terms = [*distortion[:2]] if model == "RADIAL" else [*distortion, 0.0, 0.0, 0.0]
        camera.params = [*camera.params[: -len(terms)], *terms]
    camera.has_prior_focal_length = focal is not None
    return camera


def write_database(
    path: Path, cameras: Sequence[pycolmap.Camera], features: Sequence[Features], pairs: Sequence[VerifiedPair]
) -> None:
    """Everything the mappers need: image ``position + 1`` has `cameras[position]`; cameras repeat where shared."""
    path.unlink(missing_ok=True)
    database = pycolmap.Database.open(path)
    with pycolmap.DatabaseTransaction(database):
        for camera in {camera.camera_id: camera for camera in cameras}.values():
            database.write_camera(camera, use_camera_id=True)
            rig = pycolmap.Rig()
            rig.rig_id = camera.camera_id
            rig.add_ref_sensor(camera.sensor_id)
            database.write_rig(rig, use_rig_id=True)
        for position, camera in enumerate(cameras):
            _write_image(database, position, camera, features[position])
        for pair in pairs:
            database.write_matches(pair.first + 1, pair.second + 1, pair.matches)
            database.write_two_view_geometry(pair.first + 1, pair.second + 1, pair.geometry)
    database.close()


def _write_image(database: pycolmap.Database, position: int, camera: pycolmap.Camera, features: Features) -> None:
    image = pycolmap.Image()
    image.image_id = position + 1
    image.name = f"{position:06d}"
    image.camera_id = camera.camera_id
    database.write_image(image, use_image_id=True)
    database.write_keypoints(image.image_id, features.xy.astype("float32"))
    frame = pycolmap.Frame()
    frame.frame_id = image.image_id
    frame.rig_id = camera.camera_id
    frame.add_data_id(image.data_id)
    database.write_frame(frame, use_frame_id=True)


def calibrate(path: Path) -> None:
    """Estimate unknown focal lengths in the database at `path` from the fundamental matrices of its pairs."""
    pycolmap.calibrate_view_graph(path, pycolmap.ViewGraphCalibrationOptions(random_seed=_SEED))


def run_mapper(name: str, path: Path, on_frame: Callable[[int], None], known: Known) -> pycolmap.Reconstruction | None:
    """The largest model that mapper `name` makes of the database at `path`, or None; what is `known` of the lens stays.

    `on_frame` hears how many frames are placed, where the mapper tells; what it raises ends the mapping.
    """
    database = pycolmap.Database.open(path)
    manager = pycolmap.ReconstructionManager()
    if name == "global":
        options = pycolmap.GlobalPipelineOptions(random_seed=_SEED, num_threads=_THREADS)
        options.mapper.bundle_adjustment.refine_focal_length = not known.holds_focal
        options.mapper.bundle_adjustment.refine_extra_params = known.distortion is None
        pipeline = pycolmap.GlobalPipeline(options, database, manager)
    else:
        options = pycolmap.IncrementalPipelineOptions(random_seed=_SEED, num_threads=_THREADS, extract_colors=False)
        options.min_model_size = 2
        options.ba_refine_focal_length = not known.holds_focal
        options.ba_refine_extra_params = known.distortion is None
        pipeline = pycolmap.IncrementalPipeline(options, database, manager)
        placed = pycolmap.IncrementalPipelineCallback.NEXT_IMAGE_REG_CALLBACK
        pipeline.add_callback(placed.value, lambda: on_frame(_most_placed(manager)))
    pipeline.run()
    database.close()
    models = [manager.get(index) for index in range(manager.size())]
    return max(models, key=lambda model: (model.num_reg_images(), model.num_points3D()), default=None)


def _most_placed(manager: pycolmap.ReconstructionManager) -> int:
    return max((manager.get(index).num_reg_images() for index in range(manager.size())), default=0)


def solve(
    path: Path, count: int, on_frame: Callable[[int], None], known: Known
) -> tuple[pycolmap.Reconstruction | None, str]:
    """The model with the most of the `count` frames, and the mapper that made it."""
    best, best_name = None, MAPPERS[0]
    for name in MAPPERS:
        model = run_mapper(name, path, on_frame, known)
        if model is not None and (best is None or model.num_reg_images() > best.num_reg_images()):
            best, best_name = model, name
        if best is not None and best.num_reg_images() == count:
            break
    return best, best_name
