"""Engine `vggt`: one forward pass of the network from pictures to cameras, depth, and tracks on request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..exchange.job import Job
from ..exchange.known import Known
from ..exchange.messages import JobError, Reporter
from ..exchange.reconstruction import Frame, Points, Pose, Tracks
from ..exchange.writer import ReconstructionWriter
from ..geometry.cameras import homogeneous, invert_pose
from ..inference import catalog, memory
from ..inference.checkpoints import read_config
from ..inference.devices import choose_device
from ..inference.frames import FrameSource
from ..inference.lens import LensFit, fit_lens
from ..inference.masks import boxed
from ..inference.predictor import Cameras, Predictor, Scene
from ..inference.preprocessing import TARGET, WHITE, NetworkPicture, choose_mode, pad_to_common_size, prepare

USES_MASKS = True

MOST_POINTS = 200_000  # of the point head, spread over all frames

_loaded: list[Predictor] = []  # at most one, kept for the next job


def unload() -> None:
    """Free the model that is kept between jobs, and its device's memory."""
    while _loaded:
        _loaded.pop().close()


def reconstruct(source: FrameSource, writer: ReconstructionWriter, job: Job, report: Reporter) -> Path:
    """Run the network over all frames of `source` and finish `writer`. Raises `JobError`."""
    predictor = _predictor(job, report)
    pictures, usable = _read(source, _longer_side(predictor.path), report)
    images = np.stack([picture.pixels for picture in pictures])
    heads = ("camera", "depth", *(["point"] if job.point_head else []), *(["track"] if job.tracks else []))
    with predictor.scene(images, heads, report) as scene:
        cameras = scene.cameras()
        lens = _consistent_lens(source, pictures, cameras, job.known)
        poses = _poses(source, cameras, lens, job.known)
        _write_depth(scene, writer, images, usable)
        if job.point_head:
            writer.write_points(_head_points(scene, images, usable, cameras))
        if job.tracks:
            try:
                writer.write_tracks(_tracks(scene, source, pictures, usable, job.tracks))
            except JobError as failure:
                if failure.code != memory.OUT_OF_MEMORY:
                    raise
                report.warning(f"There are no tracks in the result: {failure.message}")
    if lens.zooms:
        report.status("The lens zooms: its focal length is animated.")
    return writer.finish(
        engine={
            "name": "vggt",
            "model": predictor.path.name if job.model is None else job.model,
            "settings": _settings(job, predictor, lens),
        },
        source=source.source,
        frames=_frames(source, pictures, poses, cameras),
    )


def _predictor(job: Job, report: Reporter) -> Predictor:
    path, device = catalog.locate(job.model), choose_device(job.device)
    if _loaded and (_loaded[0].path, _loaded[0].device) == (path, device):
        return _loaded[0]
    unload()
    report.status(f"Loading {path.name} on {device.name}.")
    _loaded.append(Predictor(path, device))
    return _loaded[0]


def _longer_side(checkpoint: Path) -> int:
    """Pixels of the pictures' longer side: what suits the network, the released loader's size at most."""
    config = read_config(checkpoint)
    trained = TARGET if config.encoder is None else config.encoder.img_size
    return min(TARGET, config.picture_side or trained)


def _read(source: FrameSource, target: int, report: Reporter) -> tuple[list[NetworkPicture], NDArray[np.bool_]]:
    """All pictures at the network's size, what must not be seen painted white, and where (N, h, w) it may be used."""
    mode = choose_mode([(frame.width, frame.height) for frame in source.frames], target)
    pictures, masks = [], []
    for position, pixels in enumerate(source):
        report.progress("pictures", position, len(source.frames))
        pictures.append(prepare(Image.fromarray(pixels), mode, target))
        mask = source.mask(position)
        masks.append(None if mask is None else _network_mask(boxed(mask), pictures[-1]))
    pictures = pad_to_common_size(pictures)
    usable = np.stack([picture.shows_picture() for picture in pictures])
    for position, mask in enumerate(masks):
        if mask is not None:
            use = usable[position]
            top, left = ((have - want) // 2 for have, want in zip(use.shape, mask.shape, strict=True))
            use[top : top + mask.shape[0], left : left + mask.shape[1]] &= mask
            pixels = np.where(use[..., None], pictures[position].pixels, np.uint8(WHITE))  # seen as padding
            pictures[position] = replace(pictures[position], pixels=pixels)
    return pictures, usable


def _network_mask(mask: NDArray[np.bool_], picture: NetworkPicture) -> NDArray[np.bool_]:
    """The mask (h, w) at the network's size: True where every source pixel under a network pixel may be used."""
    linear, offset = picture.image_from_network[:, :2], picture.image_from_network[:, 2]
    footprint = (max(1, round(linear[0, 0])), max(1, round(linear[1, 1])))  # source pixels under a network pixel
    height, width = picture.pixels.shape[:2]
    share = cv2.warpAffine(
        cv2.blur(mask.astype(np.float32), footprint),
        np.column_stack([linear, linear @ [0.5, 0.5] + offset - 0.5]),  # OpenCV's coordinates are whole at centres
        (width, height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )
    return share > 0.99


def _consistent_lens(source: FrameSource, pictures: list[NetworkPicture], cameras: Cameras, known: Known) -> LensFit:
    """One focal length in units of the picture's longer side, or one a frame where the lens zooms.

    A focal length that is `known`, even if only roughly, goes before the network's; of a zoom it sets the middle.
    The network answers for both axes; their geometric mean in source pixels is taken, since pixels are square.
    """
    scales = np.array([np.diag(picture.image_from_network[:, :2]) for picture in pictures])
    sides = np.array([max(frame.width, frame.height) for frame in source.frames])
    raw = np.sqrt((cameras.focal * scales).prod(axis=1)) / sides
    given = [known.focal_pixels(frame.width, frame.height) for frame in source.frames]
    level = None if None in given else np.array(given, np.float64) / sides
    if known.zooms:
        return LensFit(raw if level is None else raw * np.median(level) / np.median(raw), True, 0.0)
    if level is not None:
        return LensFit(level, False, 0.0)
    return fit_lens(raw, ordered=source.source.kind != "images")


def _poses(source: FrameSource, cameras: Cameras, lens: LensFit, known: Known) -> list[Pose]:
    """Poses with the first camera exactly at the origin, and lenses in source pixels."""
    distortion = None
    if known.distortion is not None:
        k1, k2, p1, p2, k3 = known.distortion
        distortion = (k1, k2, p1, p2, k3)
    world_from_first = homogeneous(invert_pose(cameras.camera_from_world[0]))
    poses = []
    for frame, camera_from_world, focal in zip(source.frames, cameras.camera_from_world, lens.focal, strict=True):
        pixels = float(focal * max(frame.width, frame.height))
        pose = (homogeneous(camera_from_world) @ world_from_first)[:3]
        if known.locked_off:
            pose[:, 3] = 0
        poses.append(Pose(pose, pixels, pixels, frame.width / 2, frame.height / 2, distortion))
    return poses


def _write_depth(
    scene: Scene, writer: ReconstructionWriter, images: NDArray[np.uint8], usable: NDArray[np.bool_]
) -> None:
    writer.open_dense(*images.shape[:3])
    assert writer.depth is not None
    assert writer.confidence is not None
    assert writer.color is not None
    for frames, values, confidence in scene.maps("depth"):
        use = usable[frames]
        writer.depth[frames] = np.where(use, values[..., 0], np.nan)
        writer.confidence[frames] = np.where(use, confidence, 0)
        writer.color[frames] = images[frames]


def _head_points(scene: Scene, images: NDArray[np.uint8], usable: NDArray[np.bool_], cameras: Cameras) -> Points:
    """The point head's most confident points, in the first camera's frame."""
    to_first = homogeneous(cameras.camera_from_world[0])
    per_frame = max(1, MOST_POINTS // len(images))
    found, colors = [], []
    for frames, values, confidence in scene.maps("point"):
        for position, xyz, score in zip(range(frames.start, frames.stop), values, confidence, strict=True):
            ranked = np.argsort(np.where(usable[position], score, -np.inf), axis=None)[::-1][:per_frame]
            ranked = ranked[usable[position].ravel()[ranked]]
            found.append(xyz.reshape(-1, 3)[ranked] @ to_first[:3, :3].T + to_first[:3, 3])
            colors.append(images[position].reshape(-1, 3)[ranked])
    xyz = np.concatenate(found).astype(np.float32)
    return Points(xyz, np.concatenate(colors), np.zeros(len(xyz), np.float32), np.ones(len(xyz), np.int32))


def _tracks(
    scene: Scene, source: FrameSource, pictures: list[NetworkPicture], usable: NDArray[np.bool_], count: int
) -> Tracks:
    """Well-textured points of the first frame, followed through all frames, in source pixels."""
    gray = cv2.cvtColor(pictures[0].pixels, cv2.COLOR_RGB2GRAY)
    spacing = 0.6 * np.sqrt(usable[0].sum() / max(count, 1))
    corners = cv2.goodFeaturesToTrack(gray, count, 0.001, spacing, mask=usable[0].astype(np.uint8))
    points = np.zeros((0, 2), np.float32) if corners is None else corners[:, 0] + np.float32(0.5)
    followed = scene.follow(points)
    xy = np.stack(
        [
            each @ picture.image_from_network[:, :2].T + picture.image_from_network[:, 2]
            for each, picture in zip(followed.xy, pictures, strict=True)
        ]
    )
    squeeze = source.frames[0].squeeze
    if squeeze is not None:
        xy = squeeze.stored_xy(xy)
    return Tracks(xy.astype(np.float32), followed.visibility > 0.5, followed.confidence)


def _frames(source: FrameSource, pictures: list[NetworkPicture], poses: list[Pose], cameras: Cameras) -> list[Frame]:
    return [
        frame.solved(pose, picture.image_from_network, {"raw_focal_network": [float(value) for value in focal]})
        for frame, picture, pose, focal in zip(source.frames, pictures, poses, cameras.focal, strict=True)
    ]


def _settings(job: Job, predictor: Predictor, lens: LensFit) -> dict[str, Any]:
    half = predictor.device.half
    return {
        "device": predictor.device.kind,
        "precision": "float32" if half is None else str(half).removeprefix("torch."),
        "lens_zooms": lens.zooms,
        "lens_spread": lens.spread,
        "mask": job.mask,
        "known": job.known.given(),
    }
