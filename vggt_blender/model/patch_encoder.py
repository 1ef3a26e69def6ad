"""From pixels to patch tokens: DINOv2's vision transformer with registers (Oquab et al. 2023, Darcet et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from . import tables
from .block import Block
from .config import EncoderConfig

EPS = 1e-6


class PatchConvolution(nn.Module):
    """One token per patch: a convolution whose stride is its kernel."""

    def __init__(self, patch_size: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (F, 3, H, W) to tokens (F, h * w, C), row by row."""
        return self.proj(images).flatten(2).transpose(1, 2)


class PatchStem(nn.Module):
    """One token per patch, from features that look over its edges: what moves by half a patch still looks alike.

    Not in the released network; a small one that starts from nothing learns to match sooner with it. Where patches have
    an even size, features have half the picture's.
    """

    def __init__(self, channels: int, patch_size: int, width: int) -> None:
        super().__init__()
        step = 1 if patch_size % 2 else 2
        self.first = nn.Conv2d(3, channels, 5 * step, stride=step, padding=2 * step)
        self.norm1 = nn.GroupNorm(4, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=2, dilation=2)
        self.norm2 = nn.GroupNorm(4, channels)
        self.proj = nn.Conv2d(channels, width, patch_size // step, stride=patch_size // step)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (F, 3, H, W) to tokens (F, h * w, C), row by row."""
        x = F.gelu(self.norm1(self.first(images.contiguous(memory_format=torch.channels_last))))
        x = x + F.gelu(self.norm2(self.second(x)))
        return self.proj(x).flatten(2).transpose(1, 2)


class PatchEncoder(nn.Module):
    """ViT over the patches of single images."""

    def __init__(self, config: EncoderConfig, patch_size: int) -> None:
        super().__init__()
        self.config = config
        self.patch_size = patch_size
        self.grid = config.img_size // patch_size
        width = config.embed_dim
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + self.grid**2, width))
        self.register_tokens = nn.Parameter(torch.empty(1, config.num_register_tokens, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # in the checkpoint; never read
        self.patch_embed = (
            PatchStem(config.stem, patch_size, width) if config.stem else PatchConvolution(patch_size, width)
        )
        self.blocks = nn.ModuleList(
            Block(width, config.num_heads, config.mlp_ratio, layer_scale=1.0, eps=EPS) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.checkpointing = False
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.register_tokens, std=1e-6)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (F, 3, H, W) to patch tokens (F, h * w, C), row by row."""
        frames, _, height, width = images.shape
        position = self.position(height // self.patch_size, width // self.patch_size)
        patches = self.patch_embed(images) + position[:, 1:]
        first = (self.cls_token + position[:, :1]).expand(frames, -1, -1)
        tokens = torch.cat([first, self.register_tokens.expand(frames, -1, -1), patches], dim=1)
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        return self.norm(tokens[:, 1 + self.config.num_register_tokens :])

    def position(self, rows: int, columns: int) -> Tensor:
        """The positional embedding (1, 1 + rows * columns, C), resized from the training grid where that differs."""
        if rows == columns == self.grid:
            return self.pos_embed
        (vertical,) = tables.bicubic(self.grid, rows, self.pos_embed.device)
        (horizontal,) = tables.bicubic(self.grid, columns, self.pos_embed.device)
        grid = self.pos_embed[0, 1:].float().unflatten(0, (self.grid, self.grid))
        resized = torch.einsum("xj,yjc->yxc", horizontal, torch.einsum("yi,ijc->yjc", vertical, grid))
        return torch.cat([self.pos_embed[:, :1], resized.flatten(0, 1)[None]], dim=1)
