"""The network with what only its training needs: a look at tokens in the middle, and depth of a few frames alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..model import VGGT, Features

DESCRIPTOR = 128


@dataclass(frozen=True)
class Draw:
    """What a step draws beside its scenes: the frames whose dense maps are computed, None for all, and how far apart
    in order (see `losses.matching_loss`) the frames are whose patches are matched."""

    dense: list[int] | None = None
    shifts: tuple[int, ...] = ()


class Learner(nn.Module):
    """Calls the model as training does. The model's own parameters and state dict stay as they are."""

    def __init__(self, model: VGGT, matching: bool) -> None:
        """With `matching`, the tokens after the middle global block become descriptors by a projection of their own."""
        super().__init__()
        self.model = model
        sizes = model.config.aggregator
        self.first = sizes.patch_start
        self.projection: nn.Linear | None = None
        self._tokens: Tensor | None = None
        self._listening = False
        if matching:
            self.projection = nn.Linear(sizes.embed_dim, DESCRIPTOR, bias=False)
            with torch.no_grad():  # a start that sees what the tokens are, and the same on every machine
                self.projection.weight.copy_(torch.eye(DESCRIPTOR, sizes.embed_dim))
            middle: Any = model.aggregator.global_blocks
            middle[sizes.depth // 2].register_forward_hook(self._keep)

    def _keep(self, _: nn.Module, __: Any, tokens: Tensor) -> None:
        # Only in the forward pass: with checkpointing the block runs again in the backward pass.
        if self._listening:
            self._tokens = tokens

    def forward(self, images: Tensor, queries: Tensor | None, heads: Sequence[str], draw: Draw) -> dict[str, Any]:
        """The model's results, dense ones of ``draw.dense`` alone, and ``descriptors`` (B, S, h * w, DESCRIPTOR)."""
        self._listening = self.projection is not None
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
        if self.projection is not None and self._tokens is not None:
            tokens = self._tokens.view(*images.shape[:2], -1, self._tokens.shape[-1])
            results["descriptors"] = self.projection(tokens[:, :, self.first :])
            self._tokens = None
        return results

    def _maps(self, features: Features, head: str, frames: list[int] | None) -> tuple[Tensor, Tensor]:
        part = Features(features.image_size, features.chunks)
        levels = features.levels[head]
        part.levels = {head: levels if frames is None else {level: kept[:, frames] for level, kept in levels.items()}}
        found = [(values, confidence) for _, values, confidence in self.model.maps(part, head)]
        return torch.cat([values for values, _ in found], dim=1), torch.cat([score for _, score in found], dim=1)
