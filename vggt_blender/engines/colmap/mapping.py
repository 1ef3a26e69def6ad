"""From verified matches to cameras: COLMAP's global mapper, and its incremental one where that leaves frames over.

A frame counts as placed where the structure holds it. The global mapper gives every frame of its graph a pose, also
those that see none of its points; such frames are taken out, and placed by the points that the others found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pycolmap

from ...exchange.known import Known
from .features import Features
from .matching import VerifiedPair
from .parallel import threads

DEFAULT_FOCAL = 1.2
"""Focal length over the longer side where neither EXIF nor the matches tell."""

MAPPERS = ("global", "incremental")

FEWEST_OBSERVATIONS = 12
"""A frame that sees fewer points of the structure is not held by it."""

MOST_ERROR = 4.0
"""Working pixels; observations farther from where their point projects, or behind the camera, are deleted."""

TRACKS_PER_FRAME = 500
"""So many of the longest tracks of each frame place the cameras; the others are triangulated at the end."""

NARROW_ANGLE = 2.0
"""Degrees between the rays of the first two frames where COLMAP's own 16 find none: two or three frames of a shot."""

_SEED = 0


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


def solve(
    path: Path, count: int, on_frame: Callable[[int], None], known: Known
) -> tuple[pycolmap.Reconstruction | None, str]:
    """The model that holds the most of the `count` frames that share anything, and the mappers that made it.

    `path` is the database; models in between are written beside it.
    """
    best, best_name = None, MAPPERS[0]
    for name in MAPPERS:
        model = run_mapper(name, path, on_frame, known)
        if model is not None and (best is None or model.num_reg_images() > best.num_reg_images()):
            best, best_name = model, name
        if best is not None and best.num_reg_images() < count:
            longer = run_mapper("incremental", path, on_frame, known, best)
            if longer is not None and longer.num_reg_images() > best.num_reg_images():
                best, best_name = longer, f"{best_name}, continued"
        if best is not None and best.num_reg_images() == count:
            break
    if best is None:
        best, best_name = run_mapper("incremental", path, on_frame, known, narrow=True), "incremental"
    return best, best_name


def run_mapper(
    name: str,
    path: Path,
    on_frame: Callable[[int], None],
    known: Known,
    start: pycolmap.Reconstruction | None = None,
    *,
    narrow: bool = False,
) -> pycolmap.Reconstruction | None:
    """The largest model of two frames or more that mapper `name` makes of the database at `path`, or None; what is
    `known` of the lens stays.

    The incremental mapper can `start` from a model, or from two frames that are `narrow`: near each other. `on_frame`
    hears how many frames are placed, where the mapper tells; what it raises ends the mapping.
    """
    database = pycolmap.Database.open(path)
    manager = pycolmap.ReconstructionManager()
    if start is not None:
        _add(manager, start, path.with_name("start"))
    pipeline: pycolmap.GlobalPipeline | pycolmap.IncrementalPipeline
    if name == "global":
        pipeline = pycolmap.GlobalPipeline(_global_options(known), database, manager)
    else:
        pipeline = pycolmap.IncrementalPipeline(
            _incremental_options(known, start is not None, narrow), database, manager
        )
        placed = pycolmap.IncrementalPipelineCallback.NEXT_IMAGE_REG_CALLBACK
        pipeline.add_callback(placed.value, lambda: on_frame(_most_placed(manager)))
    pipeline.run()
    database.close()
    models = [manager.get(index) for index in range(manager.size())]
    for model in models:
        drop_loose_frames(model)
    models = [model for model in models if model.num_reg_images() >= 2]
    return max(models, key=lambda model: (model.num_reg_images(), model.num_points3D()), default=None)


def _global_options(known: Known) -> pycolmap.GlobalPipelineOptions:
    options = pycolmap.GlobalPipelineOptions(random_seed=_SEED, num_threads=threads())
    options.mapper.track_required_tracks_per_view = TRACKS_PER_FRAME
    options.mapper.bundle_adjustment.refine_focal_length = not known.holds_focal
    options.mapper.bundle_adjustment.refine_extra_params = known.distortion is None
    return options


def _incremental_options(known: Known, continues: bool, narrow: bool) -> pycolmap.IncrementalPipelineOptions:
    options = pycolmap.IncrementalPipelineOptions(random_seed=_SEED, num_threads=threads(), extract_colors=False)
    options.min_model_size = 2
    options.ba_refine_focal_length = not known.holds_focal
    options.ba_refine_extra_params = known.distortion is None
    if narrow:
        options.mapper.init_min_tri_angle = NARROW_ANGLE
        options.triangulation.ignore_two_view_tracks = False
    if continues:  # The frames that are left share little with the others: every point that two frames see helps.
        options.mapper.abs_pose_min_num_inliers = FEWEST_OBSERVATIONS
        options.triangulation.ignore_two_view_tracks = False
    return options


def _add(manager: pycolmap.ReconstructionManager, model: pycolmap.Reconstruction, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    model.write(folder)
    manager.read(folder)


def _most_placed(manager: pycolmap.ReconstructionManager) -> int:
    return max((manager.get(index).num_reg_images() for index in range(manager.size())), default=0)


def drop_loose_frames(model: pycolmap.Reconstruction) -> None:
    """Delete observations that do not fit their points, then take out the frames that too few are left to hold."""
    observations = pycolmap.ObservationManager(model)
    observations.filter_all_points3D(MOST_ERROR, 0.0)
    # Points that only two frames see go with either of them: look again after each round.
    while loose := [image for image in map(model.image, model.reg_image_ids()) if _is_loose(image)]:
        for image in loose:
            observations.deregister_frame(image.frame_id)


def _is_loose(image: pycolmap.Image) -> bool:
    return bool(image.num_points3D < FEWEST_OBSERVATIONS)
