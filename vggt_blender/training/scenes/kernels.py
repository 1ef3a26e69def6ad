"""The four functions that a picture's time goes into, as they are or fused by `torch.compile`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
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
    """`function` compiled for any number of rays: those of argument number `rays` along its last axis."""
    compiled = torch.compile(function, options=options)
    broken = False

    def call(*arguments: Any) -> Any:
        nonlocal broken
        if not broken:
            try:
                bundle: Tensor = arguments[rays]
                torch._dynamo.mark_dynamic(bundle, bundle.dim() - 1)
                return compiled(*arguments)
            except Exception as failure:
                broken = True
                line = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
                warnings.warn(f"{function.__name__} runs uncompiled, torch.compile failed: {line}", stacklevel=2)
        return function(*arguments)

    return call
