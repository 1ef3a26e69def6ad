"""Linear layers that compute in the type of their weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Linear):
    """A linear layer that computes in the type its weight is stored in: bfloat16 weights make a bfloat16 layer."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)

    def gelu(self, x: Tensor) -> Tensor:
        """The layer followed by GELU (exact form)."""
        return linear(x, self.weight, self.bias, gelu=True)

    def rows(self, x: Tensor, first: int, last: int) -> Tensor:
        """Only the outputs `first` to `last`."""
        return linear(x, self.weight[first:last], self.bias[first:last])


def linear(x: Tensor, weight: Tensor, bias: Tensor, gelu: bool = False) -> Tensor:
    """x Wᵀ + b in the type of the weight, with GELU where asked."""
    x = x.to(weight.dtype)
    if one_dnn_is_faster(x):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu" if gelu else "none", [], "none")
    x = F.linear(x, weight, bias)
    return F.gelu(x) if gelu else x


def one_dnn_is_faster(x: Tensor) -> bool:
    """Whether oneDNN should be asked directly (without gradients, on a processor that it knows).

    PyTorch gives float32 products to MKL, which keeps other makers' processors from AVX-512, and makes two passes over
    the result for bias and GELU that oneDNN does on the way.
    """
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return False
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
