"""The pre-norm transformer block that the encoder, the aggregator and the camera head share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import Attention, KeysValues, Rotation
from .linear import Linear


class Mlp(nn.Module):
    """Linear, GELU (exact form), Linear."""

    def __init__(self, width: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, out or width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1.gelu(x))


class LayerScale(nn.Module):
    """A learned factor per channel."""

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), initial))

    def forward(self, x: Tensor, change: Tensor) -> Tensor:
        """`x` plus the scaled `change`, in the type of `x`."""
        return torch.addcmul(x, change.to(x.dtype), self.gamma)  # left to it, the conversion takes twice as long


class Block(nn.Module):
    """x + scale(attention(norm(x))), then x + scale(mlp(norm(x))). The sum stays in float32."""

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: float,
        *,
        layer_scale: float,
        qk_norm: bool = False,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = Attention(width, heads, qk_norm)
        self.ls1 = LayerScale(width, layer_scale)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, int(width * mlp_ratio))
        self.ls2 = LayerScale(width, layer_scale)

    def forward(self, x: Tensor, rotation: Rotation | None = None, context: KeysValues | None = None) -> Tensor:
        """Tokens `x` (B, N, C) attend to `context`, from `keys_values` of other tokens, or to themselves."""
        x = self.ls1(x, self.attn(self.norm1(x), rotation, context))
        return self.ls2(x, self.mlp(self.norm2(x)))

    def keys_values(self, x: Tensor, rotation: Rotation | None = None) -> KeysValues:
        """What tokens `x` offer to those that attend to them."""
        return self.attn.keys_values(self.norm1(x), rotation)
