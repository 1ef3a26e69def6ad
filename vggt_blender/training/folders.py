"""Training and validation data from folders: shots with a ``truth.json``, and finished reconstructions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from ..evaluation.truth import load_truth
from ..exchange.messages import JobError
from ..exchange.reconstruction import DOCUMENT, load_reconstruction
from .scenes.generator import Batch
from .scenes.paths import Cameras
from .scenes.views import label

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class KnownFrame:
    """A picture with its camera: intrinsics (3, 3) and pose (3, 4) for `width` x `height`, Z depth or None.

    ``depth_from_image`` (2, 3) takes the picture's pixels to those of ``depth``; corner-origin on both sides.
    """

    picture: Path
    width: int
    height: int
    pose: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    depth: NDArray[np.float32] | None
    depth_from_image: NDArray[np.float64]


def load_shot(folder: Path) -> list[KnownFrame]:
    """The frames of one folder, in order. Raises `JobError` for one that is neither kind, or too small."""
    if (folder / "truth.json").is_file():
        frames = _truth_frames(folder)
    elif (folder / DOCUMENT).is_file():
        frames = _reconstruction_frames(folder)
    else:
        raise JobError("not_found", f"'{folder}' holds neither a truth.json nor a finished reconstruction.")
    if len(frames) < 2:
        raise JobError("broken", f"'{folder}' has fewer than two frames with a camera, a picture and no distortion.")
    return frames


def _lens_matrix(fx: float, fy: float, cx: float, cy: float) -> NDArray[np.float64]:
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def _truth_frames(folder: Path) -> list[KnownFrame]:
    frames = []
    for frame in load_truth(folder / "truth.json").frames:
        picture = _picture(folder, frame.name)
        lens = frame.lens
        # The network knows no distortion: such frames would teach it a bent world.
        if picture is None or (lens.distortion is not None and np.abs(lens.distortion).max() > 1e-6):
            continue
        rows, columns = frame.depth.shape if frame.depth is not None else (frame.height, frame.width)
        scale = np.array([[columns / frame.width, 0, 0], [0, rows / frame.height, 0]])
        matrix = _lens_matrix(lens.fx, lens.fy, lens.cx, lens.cy)
        frames.append(
            KnownFrame(picture, frame.width, frame.height, frame.camera_from_world, matrix, frame.depth, scale)
        )
    return frames


def _picture(folder: Path, name: str) -> Path | None:
    exact = folder / name
    if exact.suffix.lower() in SUFFIXES and exact.is_file():
        return exact
    return next((path for path in (folder / f"{name}{suffix}" for suffix in SUFFIXES) if path.is_file()), None)


def _reconstruction_frames(folder: Path) -> list[KnownFrame]:
    solved = load_reconstruction(folder)
    frames = []
    for index, frame in enumerate(solved.frames):
        picture = solved.file_of(frame)
        if frame.pose is None or picture.suffix.lower() not in SUFFIXES or not picture.is_file():
            continue
        if frame.pose.distortion is not None and max(map(abs, frame.pose.distortion)) > 1e-6:
            continue
        depth, affine = None, np.eye(3)[:2]
        if solved.depth is not None and frame.depth_to_image is not None:
            depth = solved.depth[index]
            affine = np.linalg.inv(np.vstack([frame.depth_to_image, np.array([0, 0, 1])]))[:2]
        lens = _lens_matrix(frame.pose.fx, frame.pose.fy, frame.pose.cx, frame.pose.cy)
        frames.append(KnownFrame(picture, frame.width, frame.height, frame.pose.camera_from_world, lens, depth, affine))
    return frames


def fitted(frame: KnownFrame, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Picture (3, H, W), depth (H, W) with 0 for unknown, and intrinsics (3, 3), resized to cover and cropped."""
    scale = max(width / frame.width, height / frame.height)
    # Whole pixels on both sides: the network takes the principal point for the middle.
    left, top = (
        max(0, round((side * scale - kept) / 2)) for side, kept in ((frame.width, width), (frame.height, height))
    )
    columns, rows = width + 2 * left, height + 2 * top
    with Image.open(frame.picture) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB").resize((columns, rows), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture.crop((left, top, left + width, top + height)))
    sx, sy = columns / frame.width, rows / frame.height
    intrinsics = frame.intrinsics.copy()
    intrinsics[0] *= sx
    intrinsics[1] *= sy
    intrinsics[:2, 2] -= (left, top)
    depth = np.zeros((height, width), np.float32)
    if frame.depth is not None:
        y, x = np.mgrid[:height, :width] + 0.5
        source = np.stack([(x + left) / sx, (y + top) / sy], axis=-1)
        place = np.floor(source @ frame.depth_from_image[:, :2].T + frame.depth_from_image[:, 2]).astype(int)
        inside = (place >= 0).all(axis=-1) & (place < frame.depth.shape[::-1]).all(axis=-1)
        depth[inside] = np.nan_to_num(frame.depth[place[inside][:, 1], place[inside][:, 0]], posinf=0.0, neginf=0.0)
    return (
        torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255,
        torch.from_numpy(depth),
        torch.from_numpy(intrinsics).float(),
    )


def batch_of(shots: Sequence[Sequence[KnownFrame]], height: int, width: int) -> Batch:
    """Scenes with equal numbers of frames as one batch, like the generator's."""
    prepared = [[fitted(frame, height, width) for frame in shot] for shot in shots]
    images, depths, intrinsics = (
        torch.stack([torch.stack([frame[part] for frame in shot]) for shot in prepared]) for part in range(3)
    )
    # Relative to each scene's first camera in double precision: real worlds can lie far from their origin.
    poses = [np.stack([np.vstack([frame.pose, [0, 0, 0, 1]]) for frame in shot]) for shot in shots]
    relative = np.stack([shot @ np.linalg.inv(shot[0]) for shot in poses])[:, :, :3]
    cameras = Cameras(torch.from_numpy(relative).float(), intrinsics)
    return {"images": images, "depths": depths} | label(depths, cameras)


class FolderScenes:
    """Batches of frames that lie near each other in a shot; batch `index` of a `seed` is always the same."""

    def __init__(self, folders: Sequence[Path], device: torch.device, seed: int) -> None:
        self.shots = [load_shot(folder) for folder in folders]
        self.device, self.seed = device, seed

    def batch(self, index: int, scenes: int, frames: int, height: int, width: int) -> Batch:
        """As `SceneGenerator.batch`, without tracks. Frames repeat where a shot has too few."""
        chooser = random.Random(f"{self.seed}/{index}")  # noqa: S311 - which frames to train on is no secret
        chosen = []
        for _ in range(scenes):
            shot = chooser.choice(self.shots)
            reach = min(len(shot), 2 * frames)
            start = chooser.randrange(len(shot) - reach + 1)
            chosen.append([shot[start + chooser.randrange(reach)] for _ in range(frames)])
        return {name: value.to(self.device) for name, value in batch_of(chosen, height, width).items()}
