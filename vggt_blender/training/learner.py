"""The network with what only its training needs: a look at tokens in the middle, and depth of a few frames alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as torch_f

from ..model import VGGT, Features
from ..model.block import Block
from .losses.matching import READINGS


@dataclass(frozen=True)
class Draw:
    """What a step draws beside its scenes: the frames whose dense maps are computed, None for all, and the frames, of
    those after the first, whose patches are looked for in it, None for no such. Whole numbers on the device."""

    dense: Tensor | None = None
    matched: Tensor | None = None


class Learner(nn.Module):
    """Calls the model as training does. The model's own parameters and state dict stay as they are."""

    def __init__(self, model: VGGT, matching: bool) -> None:
        """With `matching`, one head of the middle global block says where patches are looked for in the first frame,
        and a layer of this class's own reads from the tokens how far away that is and whether it is seen."""
        super().__init__()
        self.model = model
        sizes = model.config.aggregator
        self.first = sizes.patch_start
        self.readings: nn.Linear | None = None
        self._listening = False
        self._before: tuple[Tensor, Any] | None = None
        self._after: Tensor | None = None
        if matching:
            self.readings = nn.Linear(sizes.embed_dim, READINGS)
            blocks: Any = model.aggregator.global_blocks
            # In a list: it is the model's, not a part of this.
            self._block: list[Block] = [blocks[(sizes.depth - 1) // 2]]
            self._block[0].register_forward_pre_hook(self._keep_input)
            self._block[0].register_forward_hook(self._keep_output)

    # Both only in the forward pass: with checkpointing the block runs again in the backward pass.
    def _keep_input(self, _: nn.Module, given: Any) -> None:
        if self._listening:
            self._before = given[0], given[1]

    def _keep_output(self, _: nn.Module, __: Any, tokens: Tensor) -> None:
        if self._listening:
            self._after = tokens

    def forward(self, images: Tensor, queries: Tensor | None, heads: Sequence[str], draw: Draw) -> dict[str, Any]:
        """The model's results, dense ones of ``draw.dense`` alone, and ``match_scores`` and ``readings`` of
        ``draw.matched``, of frame 0 where there are none, as `losses.matching_loss` takes them."""
        self._listening = self.readings is not None
        features = self.model.features(images, heads)
        self._listening = False
        results: dict[str, Any] = {}
        if "camera" in heads:
            results["pose_enc_list"] = self.model.poses(features)
        for head, name in (("depth", "depth"), ("point", "world_points")):
            if head in heads:
                results[name], results[f"{name}_conf"] = self._maps(features, head, draw.dense)
        if "track" in heads and queries is not None:
            tracks = self.model.tracks(features, queries)
            results |= {"track_list": tracks.positions}
            results |= {"vis_logits": tracks.visibility, "conf_logits": tracks.confidence}
        if self.readings is not None and self._after is not None:
            matched = images.new_zeros(1, dtype=torch.long) if draw.matched is None else draw.matched
            results |= self._matches(images.shape[1], matched)
            self._before = self._after = None
        return results

    def _matches(self, frames: int, matched: Tensor) -> dict[str, Tensor]:
        """Scores and readings of the patches of the frames `matched`."""
        assert self._before is not None
        assert self._after is not None
        assert self.readings is not None
        (tokens, rotation), block = self._before, self._block[0]
        queries, keys = block.attn.first_queries_keys(block.norm1(tokens), rotation)
        queries = queries.unflatten(1, (frames, -1))[:, :, self.first :].index_select(1, matched)
        scores = queries.flatten(1, 2) @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
        patches = self._after.unflatten(1, (frames, -1))[:, :, self.first :].index_select(1, matched).float()
        readings = self.readings(torch_f.layer_norm(patches, patches.shape[-1:]))
        return {"match_scores": scores.unflatten(1, (len(matched), -1)), "readings": readings}

    def _maps(self, features: Features, head: str, frames: Tensor | None) -> tuple[Tensor, Tensor]:
        part = Features(features.image_size, features.chunks)
        levels = features.levels[head]
        if frames is not None:
            levels = {level: kept.index_select(1, frames) for level, kept in levels.items()}
        part.levels = {head: levels}
        found = [(values, confidence) for _, values, confidence in self.model.maps(part, head)]
        return torch.cat([values for values, _ in found], dim=1), torch.cat([score for _, score in found], dim=1)
