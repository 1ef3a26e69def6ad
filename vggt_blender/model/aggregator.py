"""Alternating attention over the tokens of all frames: within each frame, then over the whole scene, and so on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from . import tables
from .attention import KeysValues, Rotation
from .block import Block
from .chunks import Chunks, place
from .config import VGGTConfig
from .patch_encoder import PatchConvolution, PatchEncoder

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)

Emit = Callable[[int, slice, Tensor, Tensor], None]
"""Takes what a layer makes, a few frames at a time: (layer, frames, tokens after the frame block, tokens after the
global block), tokens (B, f, P, C). The tokens are overwritten later: keep what is made of them, not the tensors."""


class Aggregator(nn.Module):
    """Patch encoder and alternating attention.

    Tokens are (B, S, P, C): per frame one camera token, the registers, then the patches row by row. Frame 0 is marked
    as the reference by camera and register tokens of its own; nothing else tells the frames apart.
    """

    def __init__(self, config: VGGTConfig) -> None:
        super().__init__()
        sizes = self.config = config.aggregator
        self.patch_size = config.patch_size
        width = sizes.embed_dim
        self.camera_token = nn.Parameter(torch.empty(1, 2, 1, width))
        self.register_token = nn.Parameter(torch.empty(1, 2, sizes.num_register_tokens, width))
        self.patch_embed = (
            PatchEncoder(config.encoder, config.patch_size)
            if config.encoder
            else PatchConvolution(config.patch_size, width)
        )
        make = partial(Block, width, sizes.num_heads, sizes.mlp_ratio, layer_scale=0.01, qk_norm=True)
        self.frame_blocks = nn.ModuleList(make() for _ in range(sizes.depth))
        self.global_blocks = nn.ModuleList(make() for _ in range(sizes.depth))
        self.checkpointing = False
        nn.init.normal_(self.camera_token, std=1e-6)
        nn.init.normal_(self.register_token, std=1e-6)

    def forward(self, images: Tensor, emit: Emit, layers: set[int], patches_of_last: bool, chunks: Chunks) -> None:
        """Run as far as the last of `layers`, handing each of them to `emit`.

        images: (B, S, 3, H, W), floats in 0..1 or bytes, on any device. With `patches_of_last` off, nobody reads more
        of the last layer's global tokens than the camera token, and only that is computed and emitted, (B, f, 1, C).
        """
        sizes, last = self.config, max(layers)
        tokens = self.embed(images, chunks)
        rotation = tables.rotation(
            images.shape[-2] // self.patch_size,
            images.shape[-1] // self.patch_size,
            sizes.patch_start,
            sizes.embed_dim // sizes.num_heads,
            sizes.rope_freq,
            tokens.device,
        )
        for first in range(0, last + 1, sizes.aa_block_size):
            group = range(first, first + sizes.aa_block_size)
            after_frame: dict[int, Tensor] = {}
            for layer in group:
                tokens = self._within_frames(self.frame_blocks[layer], tokens, rotation, chunks)
                if len(group) > 1 and layer in layers:
                    after_frame[layer] = tokens.clone()
            for layer in group:
                if layer > last:
                    return
                hand_over = partial(emit, layer) if layer in layers else None
                read = tokens.shape[2] if patches_of_last or layer < last else 1
                tokens = self._across_scene(
                    self.global_blocks[layer], tokens, rotation, chunks, read, hand_over, after_frame.get(layer)
                )

    def embed(self, images: Tensor, chunks: Chunks) -> Tensor:
        """The tokens (B, S, P, C) of all frames, as alternating attention starts from them."""
        total, tokens = images.shape[1], None
        for frames in chunks.of_frames(self.camera_token.device, total):
            part = images[:, frames].to(self.camera_token)
            patches = self.encode(part if images.is_floating_point() else part / 255)
            first, other = torch.cat([self.camera_token, self.register_token], dim=2).split(1, dim=1)
            special = torch.cat([other if frame else first for frame in range(frames.start, frames.stop)], dim=1)
            part = torch.cat([special.expand(len(images), -1, -1, -1), patches], dim=2)
            tokens = place(tokens, frames, total, part)
        assert tokens is not None, "no frames"
        return tokens

    def encode(self, images: Tensor) -> Tensor:
        """Patch tokens (B, S, h * w, C) of images (B, S, 3, H, W) in 0..1."""
        mean, deviation = (table.to(images.dtype) for table in tables.channels(MEAN, DEVIATION, images.device))
        patches = self.patch_embed(((images - mean) / deviation).flatten(0, 1))
        return patches.unflatten(0, images.shape[:2])

    def _within_frames(self, block: nn.Module, tokens: Tensor, rotation: Rotation, chunks: Chunks) -> Tensor:
        total = tokens.shape[1]
        for frames in chunks.of_frames(tokens.device, total):
            part = tokens[:, frames]
            out = self._run(block, part.flatten(0, 1), rotation).view_as(part)
            tokens = place(tokens, frames, total, out)
        return tokens

    def _across_scene(
        self,
        block: nn.Module,
        tokens: Tensor,
        rotation: Rotation,
        chunks: Chunks,
        read: int,
        emit: Callable[[slice, Tensor, Tensor], None] | None,
        after_frame: Tensor | None,
    ) -> Tensor:
        """A global block: keys and values of all frames first, then a few frames' first `read` tokens at a time."""
        total = tokens.shape[1]
        ranges = chunks.of_frames(tokens.device, total)
        short = (rotation[0][:read], rotation[1][:read])
        context = self._keys_values(block, tokens, rotation, ranges) if len(ranges) > 1 or read == 1 else None
        for frames in ranges:
            part = tokens[:, frames, :read]
            out = self._run(block, part.flatten(1, 2), short, context).view_as(part)
            if emit:
                emit(frames, tokens[:, frames] if after_frame is None else after_frame[:, frames], out)
            if read == tokens.shape[2]:
                tokens = place(tokens, frames, total, out)
        return tokens

    @staticmethod
    def _keys_values(block: nn.Module, tokens: Tensor, rotation: Rotation, ranges: list[slice]) -> KeysValues:
        """Keys and values (B, heads, S * P, d) of a whole scene."""
        total = tokens.shape[1]
        assert isinstance(block, Block)
        keys = values = None
        for frames in ranges:
            pair = block.keys_values(tokens[:, frames].flatten(1, 2), rotation)
            key, value = (each.unflatten(2, (-1, tokens.shape[2])) for each in pair)
            keys, values = place(keys, frames, total, key, dim=2), place(values, frames, total, value, dim=2)
        assert keys is not None, "no frames"
        assert values is not None
        return keys.flatten(2, 3), values.flatten(2, 3)

    def _run(self, block: nn.Module, *args: Tensor | Rotation | None) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *args, use_reentrant=False)
        return block(*args)
