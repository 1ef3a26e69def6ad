"""Is what a run rests on as it should be? Asked once, before the minutes count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..exchange.messages import JobError
from .scenes.generator import Batch
from .scenes.views import pixel_corners, project

MOST_OFF = 1e-4
"""Of the picture's longer side: float32 stays under 3e-6, rounded factors come to 6e-4 and more."""


@contextmanager
def rounded_products(device: torch.device) -> Iterator[None]:
    """Inside, a GPU may round the factors of float32 products to ten bits: right for a network, wrong for geometry."""
    if device.type != "cuda":
        yield
        return
    before, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = convolutions


def check_projection(batch: Batch) -> None:
    """Raise `JobError` unless the points of every frame project onto the centres of their own pixels."""
    height, width = batch["depths"].shape[-2:]
    centers = pixel_corners(height, width, batch["depths"].device)[0] + 0.5
    worst = 0.0
    for frame in range(batch["depths"].shape[1]):
        one = slice(frame, frame + 1)
        points = batch["world_points"][:, frame].flatten(1, 2)
        pixels, _ = project(points, batch["extrinsics"][:, one], batch["intrinsics"][:, one])
        off = (pixels[:, 0] - centers).norm(dim=-1)[batch["point_masks"][:, frame].flatten(1)]
        worst = max(worst, float(off.max()) if len(off) else 0.0)
    if not worst < MOST_OFF * max(height, width):
        raise JobError(
            "broken",
            f"The scenes' points project {worst:.2g} pixels beside their own: 32-bit products are not exact on this "
            "device, or the truth is wrong. Nothing was trained.",
        )
