"""How good a network is on scenes that it was not trained on, beside the two guesses that need no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..evaluation.trajectory import relative_error, rotation_angles
from ..geometry.cameras import camera_center
from ..inference.preprocessing import network_size
from ..model import VGGT, decode_pose, encode_pose
from .folders import KnownFrame, batch_of, load_shot
from .losses import normalize_scene
from .losses.normalization import compose_with_inverse
from .scenes.generator import Batch

Numbers = dict[str, float]

NODAL = 1e-3
"""A camera that moves less than this share of the scene's scale only turns: no direction is asked of it."""


@dataclass(frozen=True)
class Answer:
    """What a network (or a guess) says of a batch: pose vectors (B, S, 9) and depth (B, S, H, W), normalised; depth is
    None where it is not learned."""

    pose: Tensor
    depth: Tensor | None


def answer(model: VGGT, batch: Batch, precision: torch.dtype, *, depth: bool = True) -> Answer:
    """One pass of `model` over the batch's pictures, scene by scene, with the frame first that it wants first; cameras
    relative to the batch's first."""
    heads = ("camera", "depth") if depth else ("camera",)
    poses, depths = [], []
    images, device = batch["images"], batch["images"].device
    with torch.inference_mode(), torch.autocast(device.type, precision, enabled=precision != torch.float32):
        for scene in images:
            features = model.shot_features(scene[None], heads)
            poses.append(model.poses(features)[-1].float())
            if depth:
                maps = [values[..., 0].float() for _, values, _ in model.maps(features, "depth")]
                depths.append(torch.cat(maps, dim=1))
    size = images.shape[-2], images.shape[-1]
    extrinsics, intrinsics = decode_pose(torch.cat(poses), size)
    pose = encode_pose(compose_with_inverse(extrinsics, extrinsics[:, 0]), intrinsics, size)
    return Answer(pose, torch.cat(depths) if depth else None)


def mean_guess(batch: Batch, reference: Batch) -> Answer:
    """What needs no network: the mean camera of `reference` for every frame but the first, and one depth for all."""
    truth = normalize_scene(reference)
    height, width = reference["images"].shape[-2:]
    pose = encode_pose(truth["extrinsics"], truth["intrinsics"], (height, width))
    mask = truth["point_masks"]
    depth = (truth["depths"] * mask).sum() / mask.sum().clamp(min=1)
    scenes, frames = batch["images"].shape[:2]
    first, later = pose[:, 0].mean(dim=0), pose[:, 1:].flatten(0, 1).mean(dim=0)
    row = torch.stack([first, *[later] * (frames - 1)])
    return Answer(row.expand(scenes, -1, -1), depth.expand_as(batch["depths"]))


def measure(given: Answer, batch: Batch) -> Numbers:
    """``auc30``, ``auc3`` and ``rra15``, ``rta15`` over pairs of frames, ``rotation_degrees`` (median, to frame 0),
    ``fov_percent`` (median), and with depth ``depth_absrel`` (median-scaled a scene) and ``depth_125``: means over the
    scenes."""
    truth = normalize_scene(batch)
    height, width = batch["images"].shape[-2:]
    # To the CPU first: Apple's GPUs have no float64.
    solved, lens = (value.cpu().double().numpy() for value in decode_pose(given.pose, (height, width)))
    known, known_lens = (truth[name].cpu().double().numpy() for name in ("extrinsics", "intrinsics"))
    rows = []
    for index in range(len(solved)):
        row = {}
        if given.depth is not None:
            row = _depth_errors(given.depth[index], truth["depths"][index], truth["point_masks"][index])
        row["fov_percent"] = float(100 * np.median(np.abs(lens[index, :, 0, 0] / known_lens[index, :, 0, 0] - 1)))
        if len(known[index]) > 1:
            centers = camera_center(known[index])
            moves = bool(np.linalg.norm(centers - centers[0], axis=-1).max() > NODAL)
            relative = relative_error(solved[index], known[index], has_path=moves)
            assert relative is not None
            row |= {"auc30": relative.auc[30], "auc3": relative.auc[3], "rra15": relative.rra[15]}
            row |= {} if relative.rta is None else {"rta15": relative.rta[15]}
            turns = rotation_angles(solved[index, 1:, :, :3], known[index, 1:, :, :3])
            row["rotation_degrees"] = float(np.median(turns))
        rows.append(row)
    return mean_numbers(rows)


def mean_numbers(rows: Sequence[Numbers]) -> Numbers:
    """The mean of each number over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}


def _depth_errors(given: Tensor, known: Tensor, mask: Tensor) -> Numbers:
    if not bool(mask.any()):
        return {"depth_absrel": 0.0, "depth_125": 1.0}
    solved, truth = given[mask].cpu().double(), known[mask].cpu().double()
    solved = solved * (truth.median() / solved.median().clamp(min=1e-9))
    ratio = torch.maximum(solved / truth, truth / solved.clamp(min=1e-9))
    return {
        "depth_absrel": float(((solved - truth).abs() / truth).mean()),
        "depth_125": float((ratio < 1.25).double().mean()),
    }


def evenly_spaced(folder: Path, frames: int) -> list[KnownFrame]:
    """`frames` of a shot from its first to its last. Raises `JobError` as `load_shot`."""
    shot = load_shot(folder)
    return [shot[round(place)] for place in np.linspace(0, len(shot) - 1, min(frames, len(shot)))]


def folder_names(folders: Sequence[str]) -> list[str]:
    """A short name for each: its last part, with as many of the parts before it as it takes to tell all apart."""
    parts = [[part for part in Path(folder).parts if part != Path(folder).anchor] for folder in folders]
    names: list[str] = []
    for count in range(1, max(map(len, parts), default=0) + 1):
        names = ["_".join(each[-count:]) for each in parts]
        if len(set(names)) == len(names):
            break
    return names


def folder_batch(folder: Path, frames: int, longer: int) -> Batch:
    """`frames` evenly spaced frames of a shot as one scene, at its own aspect, `longer` pixels along the longer side:
    as the engine prepares pictures for a network that was trained with such."""
    chosen = evenly_spaced(folder, frames)
    return batch_of([chosen], *fitted_size(chosen[0], longer))


def fitted_size(frame: KnownFrame, longer: int) -> tuple[int, int]:
    """Height and width of such a picture."""
    width, height = network_size(frame.width, frame.height, "fit", longer)
    return height, width


def picture(given: Answer, batch: Batch, scenes: int = 4) -> np.ndarray:
    """Rows of pictures, true and given depth (near is bright), (H', W', 3) uint8, for looking at."""
    assert given.depth is not None
    truth = normalize_scene(batch)
    rows = []
    for index in range(min(scenes, len(truth["depths"]))):
        known, mask = truth["depths"][index], truth["point_masks"][index]
        solved = given.depth[index]
        near = torch.quantile(known[mask][:100_000], 0.03) if bool(mask.any()) else known.new_tensor(1.0)
        scale = known[mask].median() / solved[mask].median().clamp(min=1e-9) if bool(mask.any()) else 1.0
        true_shade = torch.where(mask, near / known.clamp(min=1e-6), 0.0)
        shade = torch.stack([true_shade, near / (solved * scale).clamp(min=1e-6)]).clamp(0, 1)
        strips = [batch["images"][index].permute(2, 0, 3, 1).flatten(1, 2)]
        strips += [depth.permute(1, 0, 2).flatten(1)[..., None].expand(-1, -1, 3) for depth in shade]
        rows += [(strip * 255).byte().cpu() for strip in strips]
    return torch.cat(rows).numpy()
