"""From a reconstruction to a Blender scene, in one call."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import bpy
import numpy as np
from numpy.typing import NDArray

from ..exchange.hand_tracks import is_surveyed
from ..exchange.messages import JobError
from ..exchange.placing import placed
from ..exchange.reconstruction import Reconstruction
from ..exchange.undistorted import with_straight_plates
from ..geometry.blender_axes import points_from_blender
from ..geometry.cameras import camera_center
from .alignment import build_root, level, over_old_solve, solved_cameras, stand_on_survey
from .cameras import HEIGHT, WIDTH, build_shot_camera, build_still_cameras, lenses, plate_shape, registered
from .collection import Holder, title_of
from .depth_planes import build_planes
from .filters import build_filters
from .lenses import lens_bend
from .overscan import RENDER_CAMERA
from .plate import SAME_SHAPE, fit_plate, frame_shape, picture_path, shows_turned
from .point_cloud import build_cloud, build_sparse_cloud
from .quality import keep_quality, measure_quality
from .samples import Samples, dense_samples
from .timeline import Timeline, set_up_scene, switch_cameras


@dataclass(frozen=True)
class SceneOptions:
    """What to build.

    ``setup_scene``: whose resolution, rate, range, active camera and view transform become the plate's: ``this``
    scene's, a ``new`` scene's, or nobody's (``keep``). ``point_limit`` bounds the dense cloud. ``plane_every`` is the
    step between frames with a depth plane; 0 is all stills, or about eight frames of a shot.
    """

    setup_scene: Literal["this", "new", "keep"] = "this"
    points: bool = True
    point_limit: int = 2_000_000
    planes: Literal["none", "auto"] = "auto"
    plane_every: int = 0
    name: str | None = None


@dataclass(frozen=True)
class SceneResult:
    """What was built; ``warnings`` are lines for the user."""

    scene: bpy.types.Scene
    collection: bpy.types.Collection
    root: bpy.types.Object
    cameras: list[bpy.types.Object]
    point_cloud: bpy.types.Object | None
    sparse_cloud: bpy.types.Object | None
    planes: list[bpy.types.Object]
    warnings: list[str] = field(default_factory=list)


def build_scene(
    reconstruction: Reconstruction,
    options: SceneOptions = SceneOptions(),
    context_scene: bpy.types.Scene | None = None,
    update: bpy.types.Collection | None = None,
) -> SceneResult:
    """Build cameras, clouds and planes of `reconstruction` in a collection of their own.

    `context_scene` is the scene that "this" and "keep" mean (default: the context's). With `update`, the collection
    of an earlier solve of the same source, its objects are filled anew and stay the same objects: parents,
    constraints, materials, modifier settings and the artist's alignment are kept, and the new solve is laid over the
    old one; one that measured points have placed stands where they say. Raises `JobError` where no frame is registered.
    """
    if not registered(reconstruction):
        raise JobError("empty", "No frame of this reconstruction could be placed: there is nothing to build.")
    title = options.name or title_of(reconstruction)
    scene = _scene(options, context_scene or bpy.context.scene, title)
    timeline = Timeline.of(reconstruction)
    holder = _holder(scene, title, update)
    holder.describe(reconstruction)
    keep_quality(holder.collection, measure_quality(reconstruction, timeline))
    if not is_surveyed(reconstruction.extra):
        old = solved_cameras(holder, reconstruction, timeline)
        reconstruction = placed(reconstruction, over_old_solve(reconstruction, old))
    samples = dense_samples(reconstruction, options.point_limit)
    structure = _structure(reconstruction, samples)
    size = _size(reconstruction, structure)
    root = _stand(holder, scene, reconstruction, structure, size)
    build_filters(root, timeline)
    stale: list[str] = []
    plates = with_straight_plates(reconstruction, stale.append)  # depth and points belong to the plate as shot
    cameras = _through_plate(scene, holder, root, plates, timeline, size, keep=options.setup_scene == "keep")
    cloud, sparse = _clouds(holder, root, reconstruction, timeline, samples, size) if options.points else (None, None)
    planes = []
    if options.planes != "none":
        planes = build_planes(holder, root, reconstruction, timeline, options.plane_every)
    warnings = stale + _warnings(plates, options, scene, cameras[0]) + _turned(cameras)
    return SceneResult(scene, holder.collection, root, cameras, cloud, sparse, planes, warnings)


def _scene(options: SceneOptions, context_scene: bpy.types.Scene, title: str) -> bpy.types.Scene:
    return bpy.data.scenes.new(title) if options.setup_scene == "new" else context_scene


def _holder(scene: bpy.types.Scene, title: str, update: bpy.types.Collection | None) -> Holder:
    if update is None:
        return Holder.create(title, scene.collection)
    if update not in set(scene.collection.children_recursive):
        scene.collection.children.link(update)
    return Holder(update)


def _stand(
    holder: Holder,
    scene: bpy.types.Scene,
    reconstruction: Reconstruction,
    structure: NDArray[np.floating],
    size: float,
) -> bpy.types.Object:
    """The parent empty: on measured points, else where the artist has it, else on the estimated ground."""
    root, new = build_root(holder, size)
    if is_surveyed(reconstruction.extra):
        stand_on_survey(root, scene)
    elif new:
        level(root, reconstruction, structure)
    return root


def _through_plate(
    scene: bpy.types.Scene,
    holder: Holder,
    root: bpy.types.Object,
    plates: Reconstruction,
    timeline: Timeline,
    size: float,
    *,
    keep: bool,
) -> list[bpy.types.Object]:
    """The cameras with their plates behind them, and the scene's settings, which are the plate's unless they `keep`."""
    followed = _shows_plate(scene, holder)  # as an earlier solve left it
    cameras = _build_cameras(holder, root, plates, timeline, size)
    if not keep:
        _follow_plate(scene, plates, timeline, cameras, holder.find(RENDER_CAMERA))
    elif followed:
        _take_size(scene, plates)
    for camera in cameras.values():
        fit_plate(camera.data, (camera[WIDTH], camera[HEIGHT]), plate_shape(camera), scene.render)
    return list(cameras.values())


def _build_cameras(
    holder: Holder, root: bpy.types.Object, reconstruction: Reconstruction, timeline: Timeline, size: float
) -> dict[int, bpy.types.Object]:
    """The cameras by the scene frame from which on each is the one to look through."""
    if timeline.shot:
        return {timeline.first: build_shot_camera(holder, root, reconstruction, timeline, size)}
    return build_still_cameras(holder, root, reconstruction, timeline, size)


def _clouds(
    holder: Holder,
    root: bpy.types.Object,
    reconstruction: Reconstruction,
    timeline: Timeline,
    samples: Samples | None,
    size: float,
) -> tuple[bpy.types.Object | None, bpy.types.Object | None]:
    """The dense and the sparse points, each None where the reconstruction has none."""
    dense = sparse = None
    if samples is not None:
        dense = build_cloud(holder, root, samples, timeline)
    if reconstruction.points is not None and len(reconstruction.points.xyz):
        sparse = build_sparse_cloud(holder, root, reconstruction.points, 0.002 * size)
    return dense, sparse


def _follow_plate(
    scene: bpy.types.Scene,
    reconstruction: Reconstruction,
    timeline: Timeline,
    cameras: dict[int, bpy.types.Object],
    wider: bpy.types.Object | None,
) -> None:
    """The plate's resolution, rate, range and camera; a scene that renders through the `wider` camera keeps that."""
    set_up_scene(scene, timeline, reconstruction.source.fps)
    _take_size(scene, reconstruction)
    if wider is None or scene.camera != wider:
        scene.camera = next(iter(cameras.values()))
    if not timeline.shot:
        switch_cameras(scene, cameras)


def _shows_plate(scene: bpy.types.Scene, holder: Holder) -> bool:
    """Whether `scene` has the resolution of the pictures that the cameras of `holder` show."""
    cameras = [thing for thing in holder.collection.all_objects if WIDTH in thing]
    sizes = Counter((int(camera[WIDTH]), int(camera[HEIGHT])) for camera in cameras)
    shown = (scene.render.resolution_x, scene.render.resolution_y)
    return bool(sizes) and sizes.most_common(1)[0][0] == shown


def _take_size(scene: bpy.types.Scene, reconstruction: Reconstruction) -> None:
    """Give `scene` the resolution of most of the pictures, and their pixel aspect."""
    chosen = [reconstruction.frames[position] for position in registered(reconstruction)]
    sizes = Counter((frame.width, frame.height) for frame in chosen)
    render = scene.render
    render.resolution_x, render.resolution_y = sizes.most_common(1)[0][0]
    render.pixel_aspect_x, render.pixel_aspect_y = lenses(chosen).pixel_aspect


def _structure(reconstruction: Reconstruction, samples: Samples | None) -> NDArray[np.floating]:
    """Some tens of thousands of points (M, 3) in the reconstruction's own world: the more confident dense ones, else
    the sparse ones."""
    if samples is not None and len(samples.xyz):
        sure = np.flatnonzero(samples.confidence >= np.median(samples.confidence))
        return points_from_blender(samples.xyz[sure[:: max(1, len(sure) // 20_000)]])
    if reconstruction.points is not None:
        return reconstruction.points.xyz
    return np.zeros((0, 3))


def _size(reconstruction: Reconstruction, points: NDArray[np.floating]) -> float:
    """How far away things are: the median distance from the cameras' middle to the points; without points, the
    spread of the cameras, or 1."""
    poses = np.array([frame.pose.camera_from_world for frame in reconstruction.frames if frame.pose is not None])
    centers = camera_center(poses)
    others = points if len(points) else centers
    distance = float(np.median(np.linalg.norm(others - centers.mean(axis=0), axis=1)))
    return distance if distance > 0 else 1.0


def _turned(cameras: list[bpy.types.Object]) -> list[str]:
    if not any(shows_turned(camera, (camera[WIDTH], camera[HEIGHT])) for camera in cameras):
        return []
    return ["This Blender does not turn the video as its file asks: Straightened Plates, in Delivery, stand upright."]


def _warnings(
    reconstruction: Reconstruction, options: SceneOptions, scene: bpy.types.Scene, camera: bpy.types.Object
) -> list[str]:
    frames = [reconstruction.frames[position] for position in registered(reconstruction)]
    lines = []
    missing = len(reconstruction.frames) - len(frames)
    if missing:
        lines.append(f"{missing} of {len(reconstruction.frames)} frames could not be placed and have no camera.")
    gone = {path for frame in frames if not (path := picture_path(reconstruction, frame)).is_file()}
    if gone:
        lines.append(f"{len(gone)} pictures are no longer where they were, such as '{min(gone)}'.")
    bend = max(lens_bend(frame) for frame in frames)
    if bend > 1.0:
        lines.append(
            f"The lens bends the picture by up to {bend:.0f} pixels at its corners; Blender's camera does not. "
            "Points and planes are straight, the background is as it was shot."
        )
    if len({(frame.width, frame.height) for frame in frames}) > 1:
        lines.append("The pictures differ in size: the scene has the most common one's resolution.")
    aspect = lenses(frames).pixel_aspect
    oblong = aspect[0] != aspect[1]
    if (
        options.setup_scene == "keep"
        and oblong
        and abs(frame_shape(scene.render) / plate_shape(camera) - 1) > SAME_SHAPE
    ):
        lines.append(
            f"The plate's pixel aspect is {aspect[0]:.4g} : {aspect[1]:.4g}, and the scene's frame has another shape: "
            "give it the plate's resolution and pixel aspect, or square pixels in the plate's shape."
        )
    return lines
