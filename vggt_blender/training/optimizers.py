"""What turns gradients into steps: AdamW for all, or Muon for the blocks' matrices and AdamW for the rest.

Muon (K. Jordan and others, 2024, "Muon: An optimizer for hidden layers in neural networks") takes from a matrix's
momentum only its directions: the product of its singular vectors, all of them equally long. The factor that gives such
a step the size of AdamW's, so that both share one rate, is of J. Liu and others (2025, "Muon is scalable for LLM
training"). `torch.optim.Muon` does the same matrix by matrix; here matrices of one shape are turned together, and a
step that is not finite is skipped without being looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ..model.attention import Attention
from ..model.block import Mlp
from .config import OptimizerSection
from .groups import decayed_groups

MOMENTUM = 0.95
LIKE_ADAMW = 0.2
"""The root mean square of AdamW's steps, in units of the rate."""
_STEPS = 5
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""a, b, c of X ← aX + b(XXᵀ)X + c(XXᵀ)²X: singular values from nearly 0 to 1 get near 1 in `_STEPS` rounds (Jordan)."""


def block_matrices(network: nn.Module) -> list[tuple[Tensor, int]]:
    """The matrices of attention and MLPs that learn, and of how many stacked ones each consists: queries, keys and
    values are three."""
    found = []
    for module in network.modules():
        if isinstance(module, Attention):
            found += [(module.qkv.weight, 3), (module.proj.weight, 1)]
        elif isinstance(module, Mlp):
            found += [(module.fc1.weight, 1), (module.fc2.weight, 1)]
    return [(weight, parts) for weight, parts in found if weight.requires_grad]


class Optimizer:
    """Of the parameters of a network that learn: AdamW, with `Muon` beside it where the settings say so; used like one
    of `torch.optim`."""

    def __init__(self, network: nn.Module, settings: OptimizerSection, *, fused: bool) -> None:
        """With `fused` kernels, which CUDA and CPU have, a broken step is skipped without being looked at."""
        matrices = block_matrices(network) if settings.kind == "muon" else []
        chosen = {id(weight) for weight, _ in matrices}
        groups = decayed_groups(network, settings.weight_decay)
        for group in groups:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in chosen]
        adamw = torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, settings.beta2), fused=fused)
        self._parts: list[torch.optim.Optimizer] = [adamw]
        if matrices:
            self._parts.append(Muon(matrices, settings.rate, settings.weight_decay))

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self._parts for group in part.param_groups]

    def zero_grad(self) -> None:
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def step(self, broken: Tensor | None = None) -> None:
        """One step; where the scalar `broken`, 0 or 1 on the parameters' device, is 1, none."""
        for part in self._parts:
            if broken is not None:
                part.found_inf = broken  # type: ignore[attr-defined]
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, state: Iterable[dict[str, Any]]) -> None:
        """Raises ValueError or KeyError where the state is of something else."""
        for part, kept in zip(self._parts, state, strict=True):
            part.load_state_dict(kept)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, with decoupled weight decay."""

    found_inf: Tensor | None = None

    def __init__(self, matrices: list[tuple[Tensor, int]], rate: float, decay: float) -> None:
        """`matrices`, each with the number of parts, one below the other, that are turned each for itself."""
        shapes: dict[tuple[int, ...], list[Tensor]] = {}
        for weight, parts in matrices:
            shapes.setdefault((parts, *weight.shape), []).append(weight)
        groups = [{"params": weights, "parts": shape[0]} for shape, weights in shapes.items()]
        super().__init__(groups, {"lr": rate, "weight_decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step of all matrices, unless ``found_inf`` is 1. One without a gradient has one of zeros."""
        for group in self.param_groups:
            weights, rate = group["params"], group["lr"]
            gradient = torch.stack([torch.zeros_like(w) if w.grad is None else w.grad for w in weights])
            state = self.state[weights[0]]  # of the whole group: (K, rows, columns)
            if not state:
                state["momentum"] = torch.zeros_like(gradient)
            momentum = state["momentum"]
            if self.found_inf is not None:
                gradient = torch.where(self.found_inf > 0, momentum, gradient)  # which leaves the momentum as it is
            momentum.lerp_(gradient, 1 - MOMENTUM)
            parts = gradient.lerp(momentum, MOMENTUM).unflatten(1, (group["parts"], -1))
            turned = orthogonal(parts) * (rate * LIKE_ADAMW * max(parts.shape[-2:]) ** 0.5)
            step = turned.to(gradient).flatten(1, 2) + rate * group["weight_decay"] * torch.stack(weights)
            if self.found_inf is not None:
                step *= 1 - self.found_inf
            torch._foreach_sub_(weights, list(step.unbind()))


def orthogonal(matrices: Tensor) -> Tensor:
    """U Vᵀ of the singular value decomposition of each matrix (..., M, N), roughly: singular values of 0.7 to 1.2.

    In bfloat16, as the authors do; a matrix of zeros stays one.
    """
    x = matrices / matrices.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    x = x.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    first, second, third = _POLYNOMIAL
    for _ in range(_STEPS):
        square = x @ x.mT
        x = first * x + (second * square + third * square @ square) @ x
    return x.mT if tall else x
