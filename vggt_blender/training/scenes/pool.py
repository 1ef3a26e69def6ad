"""Generated scenes used more than once: a window of them that moves on, seen each time in another way."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .generator import Batch, sent
from .paths import Cameras
from .views import label

CHUNK = 64
"""Scenes that are made at once."""
WINDOW = 16
"""Chunks that are there to be drawn from."""
Generate = Callable[[int, int, int, int, int], Batch]
"""`SceneGenerator.batch`."""


class ScenePool:
    """Batches drawn from the last few chunks of a generator's scenes, where generating costs more than learning.

    Of a scene some frames are drawn, in any order, cut around the principal point to the size that is asked for, one
    scene in two mirrored. Batch `index` is the same on every call: a resumed run makes its window anew.
    """

    def __init__(
        self, generate: Generate, *, frames: int, size: tuple[int, int], batches: int, seed: int, window: int = WINDOW
    ) -> None:
        """Scenes of `frames` frames of `size` (height, width), the largest that will be asked for. After each `batches`
        batches one chunk of the window is replaced."""
        self.generate, self.frames, self.size, self.batches = generate, frames, size, max(1, batches)
        self.seed, self.window = seed, window
        self._chunks: list[int] = [-1] * window
        """The number of the chunk in each place of the window."""
        self._scenes: tuple[Tensor, ...] | None = None
        """Images in 8 bits, depths, extrinsics, intrinsics, each (window * CHUNK, frames, ...)."""

    def batch(self, index: int, scenes: int, frames: int, height: int, width: int) -> Batch:
        """As `SceneGenerator.batch`, without tracks; `height` and `width` differ from the pool's by even numbers."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + index) % (1 << 62))
        self._move_to(index // self.batches)
        assert self._scenes is not None
        device = self._scenes[0].device
        rows = torch.randint(self.window * CHUNK, (scenes, 1), generator=generator)
        mirrored = torch.rand(scenes, generator=generator) < 0.5
        order = torch.rand(scenes, self.frames, generator=generator).argsort(dim=-1)[:, :frames]
        rows, order, mirrored = (sent(drawn, device) for drawn in (rows, order, mirrored))
        images, depths, extrinsics, intrinsics = (part[rows, order] for part in self._scenes)
        top, left = (self.size[0] - height) // 2, (self.size[1] - width) // 2
        images = images[..., top : top + height, left : left + width].float() / 255
        depths = depths[..., top : top + height, left : left + width].contiguous()
        intrinsics[..., 0, 2] -= left
        intrinsics[..., 1, 2] -= top
        images, depths, extrinsics = _mirrored(images, depths, extrinsics, mirrored)
        return {"images": images, "depths": depths} | label(depths, Cameras(extrinsics, intrinsics))

    def _move_to(self, first: int) -> None:
        """Have the chunks from `first` on, and no others."""
        for number in range(first, first + self.window):
            place = number % self.window
            if self._chunks[place] == number:
                continue
            made = self.generate(number, CHUNK, self.frames, *self.size)
            parts = (made["images"] * 255).round().byte(), made["depths"], made["extrinsics"], made["intrinsics"]
            if self._scenes is None:
                self._scenes = tuple(part.new_empty(self.window * CHUNK, *part.shape[1:]) for part in parts)
            for kept, part in zip(self._scenes, parts, strict=True):
                kept[place * CHUNK : (place + 1) * CHUNK] = part
            self._chunks[place] = number


def _mirrored(images: Tensor, depths: Tensor, extrinsics: Tensor, which: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The world in a mirror in the scenes `which` (B,): x of world, cameras and pictures run the other way. The
    principal point is the middle."""
    flip = extrinsics.new_ones(len(which), 3)
    flip[:, 0] = torch.where(which, -1.0, 1.0)
    pose = extrinsics * flip[:, None, :, None]
    pose = torch.cat([pose[..., :3] * flip[:, None, None], pose[..., 3:]], dim=-1)
    images = torch.where(which[:, None, None, None, None], images.flip(-1), images)
    return images, torch.where(which[:, None, None, None], depths.flip(-1), depths), pose
