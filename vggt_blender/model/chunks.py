"""Working through the frames a few at a time, so that memory is bounded and caches stay warm.

All of VGGT but the attention over a whole scene treats frames independently. Tensors here are (B, S, ...) with the
frames in dimension 1. While autograd records, everything is done in one piece, since nothing may be written in place.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chunks:
    """How many frames of each scene are worked on at once; None leaves the choice to the device.

    `frames`: in the encoder and the aggregator. `maps`: in the dense heads and the tracker's feature extractor.
    `levels_device`: where the projected levels of the dense heads wait (None: where they are made).
    """

    frames: int | None = None
    maps: int | None = None
    levels_device: torch.device | None = None

    def of_frames(self, device: torch.device, total: int) -> list[slice]:
        """Frame ranges for the encoder and the aggregator. On a CPU one frame keeps its activations in the cache."""
        return spans(total, self.frames or (1 if device.type == "cpu" else 8))

    def of_maps(self, device: torch.device, total: int) -> list[slice]:
        """Frame ranges for the dense heads."""
        return spans(total, self.maps or (1 if device.type == "cpu" else 4))


def spans(total: int, size: int) -> list[slice]:
    """`total` frames cut into ranges of at most `size`; a single range while autograd records."""
    step = total if torch.is_grad_enabled() else max(1, size)
    return [slice(first, min(first + step, total)) for first in range(0, total, step)]


def place(
    whole: Tensor | None, frames: slice, total: int, part: Tensor, device: torch.device | None = None, dim: int = 1
) -> Tensor:
    """`part` put at `frames` of dimension `dim` of `whole`, which has `total` there and is made on first use.

    A part that covers all frames is the whole itself: no copy, and gradients flow.
    """
    if part.shape[dim] == total:
        return part if device is None else part.to(device)
    if whole is None:
        whole = part.new_empty((*part.shape[:dim], total, *part.shape[dim + 1 :]), device=device)
    whole.narrow(dim, frames.start, frames.stop - frames.start).copy_(part)
    return whole
