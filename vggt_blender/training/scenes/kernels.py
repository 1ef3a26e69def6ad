"""The four functions that a picture's time goes into, as they are or fused by `torch.compile`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..compiling import Function, compiled
from .shading import find_surfaces, shade
from .tracing import nearest_distance, nearest_object

_INTERSECTION = {"realize_opcount_threshold": 300, "realize_reads_threshold": 60}
"""Intersections are long formulas over (frames, objects, rays): kept whole, none of it is written to memory."""


@dataclass(frozen=True)
class Kernels:
    """See the functions of the same names."""

    nearest_object: Function = nearest_object
    nearest_distance: Function = nearest_distance
    find_surfaces: Function = find_surfaces
    shade: Function = shade


@cache
def fused_kernels() -> Kernels:
    """Compiled on first use, once in a process; one that cannot be compiled here runs as it is, after a warning."""
    return Kernels(
        _fused(nearest_object, 2, _INTERSECTION),
        _fused(nearest_distance, 2, _INTERSECTION),
        _fused(find_surfaces, 2, None),
        _fused(shade, 1, None),
    )


def _fused(function: Function, rays: int, options: dict[str, Any] | None) -> Function:
    """`function` compiled for any number of rays: the last side of argument number `rays` and of all like it."""
    fast = compiled(function, function.__name__, options=options)

    def call(*arguments: Any) -> Any:
        for tensor in _tensors(arguments):
            if tensor.dim() > 1 and tensor.shape[-1] == arguments[rays].shape[-1]:
                torch._dynamo.maybe_mark_dynamic(tensor, tensor.dim() - 1)
        return fast(*arguments)

    return call


def _tensors(arguments: tuple[Any, ...]) -> Iterator[Tensor]:
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, tuple):
            yield from _tensors(argument)
