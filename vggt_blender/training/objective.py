"""From a network's answers and a batch's truth to one number, and to its parts for the log."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..model import VGGTConfig, encode_pose
from .config import LossSection
from .learner import Draw
from .losses import (
    camera_loss,
    dense_loss,
    log_depth_loss,
    matching_loss,
    normalize_scene,
    pair_loss,
    track_loss,
)

Parts = dict[str, Tensor]


def heads_to_train(config: VGGTConfig, loss: LossSection, has_tracks: bool) -> tuple[str, ...]:
    """The heads that the network has, that weigh something, and that the data can teach."""
    weights = {"camera": loss.camera, "depth": loss.depth, "point": loss.point, "track": loss.track * has_tracks}
    return tuple(head for head, weight in weights.items() if weight > 0 and getattr(config, head) is not None)


def query_points(batch: dict[str, Tensor]) -> Tensor | None:
    """Where tracks start, (B, N, 2), counted as the tracker counts: whole numbers at pixel centres."""
    return batch["tracks"][:, 0] - 0.5 if "tracks" in batch else None


def total_loss(
    results: dict[str, Any], batch: dict[str, Tensor], weights: LossSection, draw: Draw, patch: int, special: int
) -> tuple[Tensor, Parts]:
    """The weighted sum over what was answered, and every part unweighted and detached.

    `results` of the `Learner`, made with `draw` and patches of `patch` pixels, before which come `special` tokens a
    frame; `batch` as the generator makes it, not normalised yet.
    """
    truth = normalize_scene(batch)
    terms: list[tuple[float, Tensor]] = []
    parts: Parts = {}
    if "pose_enc_list" in results:
        size = batch["images"].shape[-2], batch["images"].shape[-1]
        target = encode_pose(truth["extrinsics"], truth["intrinsics"], size)
        parts |= camera_loss(results["pose_enc_list"], target, truth["point_masks"], kind=weights.camera_kind)
        terms.append((weights.camera, parts["camera"]))
        pairs = {name: getattr(weights, name) for name in ("pair_rotation", "pair_direction", "baseline")}
        if any(pairs.values()):
            parts |= pair_loss(results["pose_enc_list"], truth["extrinsics"])
            terms += [(weight, parts[name]) for name, weight in pairs.items()]
    if "match_scores" in results:
        scores, readings = results["match_scores"], results["readings"]
        if draw.matched is None:
            # Several processes want every parameter in the graph, also where nothing is matched.
            terms.append((0.0, readings.sum()))
        else:
            parts |= matching_loss(scores, readings, truth, patch, draw.matched, special)
            terms += [(getattr(weights, name), parts[name]) for name in ("matching", "displacement", "seen")]
    more_terms, more_parts = _dense_terms(results, truth, weights, draw.dense)
    terms, parts = terms + more_terms, parts | more_parts
    if "track_list" in results:
        places = (batch["tracks"] - 0.5, batch["track_visible"])
        loss = track_loss(results["track_list"], results["vis_logits"], results["conf_logits"], *places)
        terms.append((weights.track, torch.stack(list(loss.values())).sum()))
        parts |= {f"track_{name}": value for name, value in loss.items()}
    total = torch.stack([weight * value for weight, value in terms]).sum()
    return total, {"loss": total.detach()} | {name: value.detach() for name, value in parts.items()}


def _dense_terms(
    results: dict[str, Any], truth: dict[str, Tensor], weights: LossSection, frames: Tensor | None
) -> tuple[list[tuple[float, Tensor]], Parts]:
    """Weighted terms and parts of the depth and point heads, which answered for `frames` alone."""
    mask, depths, points = (truth[name] for name in ("point_masks", "depths", "world_points"))
    if frames is not None:
        mask, depths, points = (values.index_select(1, frames) for values in (mask, depths, points))
    dense = {
        "depth": ("depth", "depth_conf", depths[..., None], weights.depth, weights.depth_neighbors),
        "point": ("world_points", "world_points_conf", points, weights.point, weights.point_neighbors),
    }
    terms: list[tuple[float, Tensor]] = []
    parts: Parts = {}
    for head, (values, confidence, target, weight, neighbors) in dense.items():
        if values in results:
            loss = dense_loss(
                results[values], results[confidence], target, mask, neighbors=neighbors, valid_range=weights.valid_range
            )
            terms.append((weight, torch.stack(list(loss.values())).sum()))
            parts |= {f"{head}_{name}": value for name, value in loss.items()}
    if weights.log_depth and "depth" in results:
        parts["log_depth"] = log_depth_loss(results["depth"], depths[..., None], mask)
        terms.append((weights.log_depth, parts["log_depth"]))
    return terms, parts
