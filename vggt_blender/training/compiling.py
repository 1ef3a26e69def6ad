"""`torch.compile` with a way back: what cannot be compiled on a machine runs there as it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.fx.experimental import _config as shapes

from ..model import VGGT
from ..model.block import Block

Function = Callable[..., Any]


def compiled(function: Function, name: str, **settings: Any) -> Function:
    """`function` compiled on first use with the `settings` of `torch.compile`; as it is, after a warning, where that
    fails."""
    fast = torch.compile(function, **settings)
    broken = False

    def call(*arguments: Any) -> Any:
        nonlocal broken
        if not broken:
            try:
                return fast(*arguments)
            except torch.OutOfMemoryError:
                raise
            except Exception as failure:
                broken = True
                line = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
                warnings.warn(f"{name} runs uncompiled, torch.compile failed: {line}", stacklevel=2)
        return function(*arguments)

    return call


def fuse_blocks(model: VGGT) -> Callable[[], None]:
    """Compile the transformer blocks for training, one program for all of a kind; without gradients they run as they
    are, which spares validation the wait. Returns what takes it back."""
    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, 64)
    blocks = [module for module in model.modules() if type(module) is Block]
    for block in blocks:
        # The function, not the module: hooks on the module stay outside of what is compiled.
        block.forward = _in_training(block, compiled(block.forward, "Block", dynamic=True))  # type: ignore[method-assign]

    def undo() -> None:
        for block in blocks:
            del block.forward

    return undo


def _in_training(block: nn.Module, fast: Function) -> Function:
    plain = block.forward

    def forward(*arguments: Any) -> Any:
        if not torch.is_grad_enabled():
            return plain(*arguments)
        # Sides that happen to be equal at first would make a program for them alone, and another one later.
        with shapes.patch(use_duck_shape=False):  # type: ignore[attr-defined]
            return fast(*arguments)

    return forward
