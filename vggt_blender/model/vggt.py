"""VGGT (Wang et al. 2025): images of one scene in, cameras, depth, points and tracks out, in one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .aggregator import Aggregator
from .camera_head import CameraHead
from .chunks import Chunks, place
from .config import LEVELS, VGGTConfig
from .dpt_head import DPT, DenseHead, signed_expm1
from .linear import Linear
from .patch_encoder import PatchEncoder
from .track_head import TrackHead, Tracks

HEADS = ("camera", "depth", "point", "track")


@dataclass
class Features:
    """What the heads need to know of a scene: all that is left of the aggregator's layers."""

    image_size: tuple[int, int]  # H, W
    chunks: Chunks
    camera_tokens: Tensor | None = None  # (B, S, 2C), of the last layer
    levels: dict[str, dict[int, Tensor]] = field(default_factory=dict)  # per DPT head: level -> (B, S, h, w, c)

    def frames(self, head: str) -> int:
        """S, as the levels of `head` have it. Raises ValueError for features made without that head."""
        if not self.levels.get(head):
            raise ValueError(f"features made without the {head} head")
        return self.levels[head][0].shape[1]

    def reordered(self, frames: list[int]) -> Features:
        """The same with the `frames` in this order. The heads do not mind: only the aggregator knows a first frame."""
        tokens = None if self.camera_tokens is None else self.camera_tokens[:, frames]
        levels = {head: {level: kept[:, frames] for level, kept in maps.items()} for head, maps in self.levels.items()}
        return Features(self.image_size, self.chunks, tokens, levels)


class VGGT(nn.Module):
    """The whole network. `VGGT()` is VGGT-1B; its state dict has the official names and shapes.

    Call it for a dict of results; or take `features` first and then the heads one by one, `maps` a few frames at a
    time. Wrap inference in `torch.inference_mode()`. A linear layer computes in the type of its weight:
    `to_precision` makes those of the aggregator bfloat16 or float16, while norms, sums and heads stay float32.
    """

    def __init__(self, config: VGGTConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VGGTConfig()
        width = 2 * config.aggregator.embed_dim
        self.aggregator = Aggregator(config)
        self.camera_head = CameraHead(config.camera, width) if config.camera else None
        self.point_head = DenseHead(config.point, width, 3, signed_expm1) if config.point else None
        self.depth_head = DenseHead(config.depth, width, 1, torch.exp) if config.depth else None
        self.track_head = TrackHead(config.track, width) if config.track else None

    def forward(
        self,
        images: Tensor,
        query_points: Tensor | None = None,
        heads: Sequence[str] | None = None,
        chunks: Chunks | None = None,
    ) -> dict[str, Tensor | list[Tensor]]:
        """Run the network.

        Parameters
        ----------
        images : (S, 3, H, W) or (B, S, 3, H, W), floats in 0..1 or bytes, H and W multiples of the patch size. May stay
            on the CPU: they travel a few frames at a time.
        query_points : float (B, N, 2) or (N, 2), x and y in pixels of frame 0. Without them nothing is tracked.
        heads : some of "camera", "depth", "point", "track"; None: all that the network has.
        chunks : how much is worked on at once; the results do not depend on it.

        Returns
        -------
        dict
            `pose_enc` (B, S, 9), `pose_enc_list`; `depth` (B, S, H, W, 1), `depth_conf` (B, S, H, W);
            `world_points` (B, S, H, W, 3), `world_points_conf`; `track` (B, S, N, 2), `track_list`, `vis`, `conf`
            (B, S, N) and their logits `vis_logits`, `conf_logits`.
        """
        wanted = self.heads(heads, query_points is not None)
        features = self.features(images, wanted, chunks)
        results: dict[str, Tensor | list[Tensor]] = {}
        if "camera" in wanted:
            results["pose_enc_list"] = poses = self.poses(features)
            results["pose_enc"] = poses[-1]
        if "depth" in wanted:
            results["depth"], results["depth_conf"] = self._all_maps(features, "depth")
        if "point" in wanted:
            results["world_points"], results["world_points_conf"] = self._all_maps(features, "point")
        if "track" in wanted and query_points is not None:
            tracks = self.tracks(features, query_points)
            results |= {"track": tracks.positions[-1], "track_list": tracks.positions}
            results |= {"vis_logits": tracks.visibility, "conf_logits": tracks.confidence}
            results |= {"vis": tracks.visibility.sigmoid(), "conf": tracks.confidence.sigmoid()}
        return results

    def features(self, images: Tensor, heads: Sequence[str] | None = None, chunks: Chunks | None = None) -> Features:
        """The aggregator's part, for `heads` alone: as far as they read, and only what they read is kept."""
        images = images if images.dim() == 5 else images[None]
        height, width = images.shape[-2:]
        patch = self.config.patch_size
        if height % patch or width % patch:
            raise ValueError(f"image sides must be multiples of {patch}, not {height} x {width} (rows x columns)")
        wanted, total = self.heads(heads, True), images.shape[1]
        features = Features((height, width), chunks or Chunks())
        readers = {name: self._dpt(name) for name in wanted if name != "camera"}
        features.levels = {name: {} for name in readers}
        last = self.config.aggregator.depth - 1
        layers = {layer for reader in readers.values() for layer in reader.layers}
        layers |= {last} if "camera" in wanted else set()

        def emit(layer: int, frames: slice, after_frame: Tensor, after_global: Tensor) -> None:
            if layer == last and "camera" in wanted:
                token = torch.cat([after_frame[:, :, 0], after_global[:, :, 0]], dim=-1)
                features.camera_tokens = place(features.camera_tokens, frames, total, token)
            for name, reader in readers.items():
                for level in (n for n, each in enumerate(reader.layers) if each == layer):
                    kept = features.levels[name]
                    part = self._level(reader, level, after_frame, after_global, (height, width))
                    kept[level] = place(kept.get(level), frames, total, part, features.chunks.levels_device)

        if layers:
            patches_of_last = any(last in reader.layers for reader in readers.values()) or last not in layers
            self.aggregator(images, emit, layers, patches_of_last, features.chunks)
        return features

    def shot_features(
        self, images: Tensor, heads: Sequence[str] | None = None, chunks: Chunks | None = None
    ) -> Features:
        """As `features` of images (B, S, 3, H, W), in their order, but the network gets the frame first that it wants
        first."""
        if not self.config.middle_first:
            return self.features(images, heads, chunks)
        order = with_middle_first(images.shape[1])
        features = self.features(images[:, order], heads, chunks)
        return features.reordered([order.index(frame) for frame in range(len(order))])

    def poses(self, features: Features) -> list[Tensor]:
        """Pose vectors (B, S, 9) of every iteration; `pose.decode_pose` turns them into cameras."""
        if self.camera_head is None or features.camera_tokens is None:
            raise ValueError("no camera head here, or features made without it")
        with full_precision(features.camera_tokens):
            return self.camera_head(features.camera_tokens)

    def maps(self, features: Features, head: str) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Values (B, f, H, W, k) and confidence (B, f, H, W) of the "depth" or "point" head, a few frames at a time."""
        reader = self._dpt(head)
        assert isinstance(reader, DenseHead), head
        for frames, scenes, levels in self._chunks_of(features, head):
            with full_precision(levels[0]):
                values, confidence = reader(levels, features.image_size)
            yield frames, values.unflatten(0, (scenes, -1)), confidence.unflatten(0, (scenes, -1))

    def track_maps(self, features: Features) -> Tensor:
        """The tracker's feature maps (B, S, H / 2, W / 2, c)."""
        reader, total = self._dpt("track"), features.frames("track")
        maps = None
        for frames, scenes, levels in self._chunks_of(features, "track"):
            with full_precision(levels[0]):
                part = reader(levels, features.image_size).unflatten(0, (scenes, -1))
            maps = place(maps, frames, total, part)
        assert maps is not None, "no frames"
        return maps

    def tracks(self, features: Features, query_points: Tensor) -> Tracks:
        """Follow `query_points` (B, N, 2) or (N, 2) of frame 0 through all frames."""
        maps = self.track_maps(features)
        assert self.track_head is not None
        points = query_points if query_points.dim() == 3 else query_points[None]
        with full_precision(maps):
            return self.track_head.tracker(maps, points.to(maps).expand(len(maps), -1, -1))

    def heads(self, names: Sequence[str] | None, queries: bool) -> tuple[str, ...]:
        """Which heads `names` asks for, in order; None: all there are, tracks only where there are `queries`.

        Raises ValueError for a head that is unknown or that this network lacks.
        """
        present = [name for name in HEADS if getattr(self, f"{name}_head") is not None]
        asked = present if names is None else [name.removesuffix("_head") for name in names]
        missing = [name for name in asked if name not in present]
        if missing:
            raise ValueError(f"no head {', '.join(missing)}; this network has {', '.join(present)}")
        return tuple(name for name in present if name in asked and (queries or name != "track"))

    def half_precision_keys(self) -> frozenset[str]:
        """Names of the state dict's entries that may be stored, and then computed with, in half precision."""
        names = [name for name, module in self.aggregator.named_modules() if isinstance(module, Linear)]
        return frozenset(f"aggregator.{name}.{part}" for name in names for part in ("weight", "bias"))

    def to_precision(self, dtype: torch.dtype) -> VGGT:
        """Make the aggregator's linear layers compute in `dtype`: bfloat16, float16 or float32. Returns self."""
        for module in self.aggregator.modules():
            if isinstance(module, Linear):
                module.to(dtype)
        return self

    def checkpoint_blocks(self, on: bool = True) -> None:
        """In training, compute each block's activations again in the backward pass instead of keeping them."""
        for module in self.aggregator.modules():
            if isinstance(module, Aggregator | PatchEncoder):
                module.checkpointing = on

    def _dpt(self, head: str) -> DPT:
        module = getattr(self, f"{head}_head", None)
        if isinstance(module, TrackHead):
            return module.feature_extractor
        if not isinstance(module, DPT):
            raise ValueError(f"this network has no {head} head")
        return module

    def _level(
        self, reader: DPT, level: int, after_frame: Tensor, after_global: Tensor, image_size: tuple[int, int]
    ) -> Tensor:
        """The level (B, f, h, w, c) of one emitted layer."""
        first = self.config.aggregator.patch_start
        grid = tuple(side // self.config.patch_size for side in image_size)
        with full_precision(after_global):
            tokens = torch.cat([after_frame[:, :, first:], after_global[:, :, first:]], dim=-1)
            projected = reader.project(level, tokens.flatten(0, 1).unflatten(1, grid), image_size[1] / image_size[0])
        return projected.unflatten(0, tokens.shape[:2])

    def _chunks_of(self, features: Features, head: str) -> Iterator[tuple[slice, int, list[Tensor]]]:
        """Frame ranges, number of scenes, and a head's levels (B * f, h, w, c) there, on the model's device."""
        total = features.frames(head)
        levels = [features.levels[head][level] for level in range(LEVELS)]
        device = self.aggregator.camera_token.device
        for frames in features.chunks.of_maps(device, total):
            yield frames, len(levels[0]), [level[:, frames].to(device).flatten(0, 1) for level in levels]

    def _all_maps(self, features: Features, head: str) -> tuple[Tensor, Tensor]:
        values = confidence = None
        total = features.frames(head)
        for frames, value, score in self.maps(features, head):
            values = place(values, frames, total, value)
            confidence = place(confidence, frames, total, score)
        assert values is not None, "no frames"
        assert confidence is not None
        return values, confidence


def with_middle_first(count: int) -> list[int]:
    """The order of `count` frames in which the middle one comes first."""
    middle = (count - 1) // 2
    return [middle, *range(middle), *range(middle + 1, count)]


def full_precision(like: Tensor) -> AbstractContextManager[Any]:
    """The heads are float32, also under a caller's autocast."""
    kind = like.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
