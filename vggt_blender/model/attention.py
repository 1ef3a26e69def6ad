"""Multi-head attention, and the ways in which softmax(q kᵀ / sqrt(d)) v is computed without its full matrix."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from .linear import Linear

Rotation = tuple[Tensor, ...]
KeysValues = tuple[Tensor, Tensor]

FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
ROWS = 512  # queries at a time where blocks are made by hand: their scores stay in the cache

LARGEST_SCORES = 1 << 30
"""Bytes of float32 scores at once on Apple's GPUs, whose attention makes them all and aborts the process at 4 GiB."""


class Attention(nn.Module):
    """Self-attention over tokens (B, N, C), optionally with normalised and rotated queries and keys.

    Norms and rotation are float32; the products have the type of the weights.
    """

    def __init__(self, width: int, heads: int, qk_norm: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.q_norm = nn.LayerNorm(width // heads) if qk_norm else None
        self.k_norm = nn.LayerNorm(width // heads) if qk_norm else None
        self.proj = Linear(width, width)

    def forward(self, x: Tensor, rotation: Rotation | None = None, context: KeysValues | None = None) -> Tensor:
        """Attend from `x` to `context`, or to `x` itself. `rotation` has one entry per token of a frame."""
        width = x.shape[-1]
        if context is None:
            queries, own = self.qkv(x).split([width, 2 * width], dim=-1)
            keys, values = self._context(own, rotation)
        else:
            queries = self.qkv.rows(x, 0, width)
            keys, values = context
        queries = self._place(self._heads(queries), self.q_norm, rotation)
        return self.proj(attend(queries, keys, values).transpose(1, 2).flatten(2))

    def keys_values(self, x: Tensor, rotation: Rotation | None = None) -> KeysValues:
        """Keys and values (B, heads, N, C / heads) of tokens `x`, for `forward`'s `context`."""
        return self._context(self.qkv.rows(x, x.shape[-1], 3 * x.shape[-1]), rotation)

    def first_queries_keys(self, x: Tensor, rotation: Rotation | None) -> tuple[Tensor, Tensor]:
        """Queries and keys (B, N, C / heads) of the first head, as attention compares them."""
        width, head = x.shape[-1], x.shape[-1] // self.heads
        queries, keys = (self.qkv.rows(x, first, first + head)[:, :, None] for first in (0, width))
        return self._place(queries, self.q_norm, rotation)[:, 0], self._place(keys, self.k_norm, rotation)[:, 0]

    def _context(self, x: Tensor, rotation: Rotation | None) -> KeysValues:
        keys, values = x.chunk(2, dim=-1)
        return self._place(self._heads(keys), self.k_norm, rotation), self._heads(values).transpose(1, 2)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))

    @staticmethod
    def _place(x: Tensor, norm: nn.LayerNorm | None, rotation: Rotation | None) -> Tensor:
        """Normalise and rotate (B, N, heads, d); returns (B, heads, N, d) in the type of `x`."""
        dtype = x.dtype
        if norm is not None:
            x = norm(x.float())
        if rotation is not None:
            x = rotate(x.float(), rotation)
        return x.to(dtype).transpose(1, 2)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotary embedding of `x` (B, N, heads, d); `rotation` from `tables.rotation`, (P, d) each, N a multiple of P."""
    cosine, sine = (table[:, None] for table in rotation)
    x = x.unflatten(1, (-1, cosine.shape[0]))
    turned = x * cosine
    first, second = _pairs(x)
    for target, partner, factor in zip(_pairs(turned), (second, first), _pairs(sine), strict=True):
        target.addcmul_(partner, factor)
    return turned.flatten(1, 2)


def _pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    """Views of the channels (..., d) that turn together: first and second quarter, third and fourth."""
    quarters = x.unflatten(-1, (2, 2, -1))
    return quarters[..., 0, :], quarters[..., 1, :]


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(q kᵀ / sqrt(d)) v for (B, heads, N, d) and (B, heads, M, d). Returns (B, heads, N, d).

    On CUDA one of the fused kernels does it or the call fails: the plain one would ask for N x M scores. (Head widths
    that no fused kernel takes occur in toy sizes only.)
    """
    if queries.is_cuda and queries.shape[-1] % 8 == 0:
        with sdpa_kernel(FUSED):
            return F.scaled_dot_product_attention(queries, keys, values)
    if queries.device.type == "mps":
        return attend_by_rows(queries, keys, values, LARGEST_SCORES)
    if _slow_fused_kernel(queries):
        return attend_in_blocks(queries, keys, values)
    return F.scaled_dot_product_attention(queries, keys, values)


def attend_by_rows(queries: Tensor, keys: Tensor, values: Tensor, largest: int) -> Tensor:
    """The same as `attend`, with so many queries at a time that their float32 scores take at most `largest` bytes."""
    rows = max(1, largest // (4 * queries.shape[0] * queries.shape[1] * keys.shape[2]))
    parts = [F.scaled_dot_product_attention(some, keys, values) for some in queries.split(rows, dim=2)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _slow_fused_kernel(queries: Tensor) -> bool:
    # Without AMX, PyTorch's fused CPU kernel is no faster in half precision than in float32; plain products are.
    if queries.device.type != "cpu" or queries.dtype != torch.bfloat16 or torch.is_grad_enabled():
        return False
    return not getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()


def attend_in_blocks(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The same as `attend`, from plain products of `ROWS` queries of one head at a time. Not differentiable."""
    out = torch.empty_like(queries)
    scaled = queries * queries.shape[-1] ** -0.5
    keys, values = keys.contiguous(), values.contiguous()
    for scene in range(queries.shape[0]):
        for head in range(queries.shape[1]):
            turned, value = keys[scene, head].T, values[scene, head]
            for first in range(0, queries.shape[2], ROWS):
                rows = slice(first, first + ROWS)
                weights = torch.softmax(scaled[scene, head, rows] @ turned, dim=-1)
                torch.mm(weights, value, out=out[scene, head, rows])
    return out
