"""The four functions that a picture's time goes into, as they are or fused by `torch.compile`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .shading import find_surfaces, shade
from .tracing import nearest_distance, nearest_object

Function = Callable[..., Any]

_INTERSECTION = {"realize_opcount_threshold": 300, "realize_reads_threshold": 60}
"""Intersections are long formulas over (frames, objects, rays): kept whole, none of it is written to memory."""


@dataclass(frozen=True)
class Kernels:
    """See the functions of the same names."""

    nearest_object: Function = nearest_object
    nearest_distance: Function = nearest_distance
    find_surfaces: Function = find_surfaces
    shade: Function = shade

    @classmethod
    def fused(cls) -> Kernels:
        """Compiled on first use; one that cannot be compiled here runs as it is, after a warning."""
        return cls(
            _fused(nearest_object, 2, _INTERSECTION),
            _fused(nearest_distance, 2, _INTERSECTION),
            _fused(find_surfaces, 2, None),
            _fused(shade, 1, None),
        )


def _fused(function: Function, rays: int, options: dict[str, Any] | None) -> Function:
    """`function` compiled for any number of rays: the last side of argument number `rays` and of all like it."""
    compiled = torch.compile(function, options=options)
    broken = False

    def call(*arguments: Any) -> Any:
        nonlocal broken
        if not broken:
            try:
                for tensor in _tensors(arguments):
                    if tensor.dim() > 1 and tensor.shape[-1] == arguments[rays].shape[-1]:
                        torch._dynamo.maybe_mark_dynamic(tensor, tensor.dim() - 1)
                return compiled(*arguments)
            except Exception as failure:
                broken = True
                line = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
                warnings.warn(f"{function.__name__} runs uncompiled, torch.compile failed: {line}", stacklevel=2)
        return function(*arguments)

    return call


def _tensors(arguments: tuple[Any, ...]) -> Iterator[Tensor]:
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, tuple):
            yield from _tensors(argument)
