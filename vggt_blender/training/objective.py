"""From a network's answers and a batch's truth to one number, and to its parts for the log."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..model import VGGTConfig, encode_pose
from .config import LossSection
from .losses import camera_loss, dense_loss, normalize_scene, track_loss

Parts = dict[str, Tensor]


def heads_to_train(config: VGGTConfig, loss: LossSection, has_tracks: bool) -> tuple[str, ...]:
    """The heads that the network has, that weigh something, and that the data can teach."""
    weights = {"camera": loss.camera, "depth": loss.depth, "point": loss.point, "track": loss.track * has_tracks}
    return tuple(head for head, weight in weights.items() if weight > 0 and getattr(config, head) is not None)


def query_points(batch: dict[str, Tensor]) -> Tensor | None:
    """Where tracks start, (B, N, 2), counted as the tracker counts: whole numbers at pixel centres."""
    return batch["tracks"][:, 0] - 0.5 if "tracks" in batch else None


def total_loss(results: dict[str, Any], batch: dict[str, Tensor], weights: LossSection) -> tuple[Tensor, Parts]:
    """The weighted sum over the heads that answered, and every part unweighted and detached.

    `batch` as the generator makes it, not normalised yet.
    """
    truth = normalize_scene(batch)
    mask = truth["point_masks"]
    parts: Parts = {}
    total = torch.zeros((), device=mask.device)
    if "pose_enc_list" in results:
        height, width = batch["images"].shape[-2:]
        target = encode_pose(truth["extrinsics"], truth["intrinsics"], (height, width))
        camera = camera_loss(results["pose_enc_list"], target, mask, kind=weights.camera_kind)
        total = total + weights.camera * camera["camera"]
        parts |= camera
    dense = {
        "depth": ("depth", "depth_conf", truth["depths"][..., None], weights.depth, weights.depth_neighbors),
        "point": ("world_points", "world_points_conf", truth["world_points"], weights.point, weights.point_neighbors),
    }
    for head, (values, confidence, target, weight, neighbors) in dense.items():
        if values in results:
            loss = dense_loss(
                results[values], results[confidence], target, mask, neighbors=neighbors, valid_range=weights.valid_range
            )
            total = total + weight * sum(loss.values())
            parts |= {f"{head}_{name}": value for name, value in loss.items()}
    if "track_list" in results:
        loss = track_loss(
            results["track_list"],
            results["vis_logits"],
            results["conf_logits"],
            batch["tracks"] - 0.5,
            batch["track_visible"],
        )
        total = total + weights.track * sum(loss.values())
        parts |= {f"track_{name}": value for name, value in loss.items()}
    return total, {"loss": total.detach()} | {name: value.detach() for name, value in parts.items()}
