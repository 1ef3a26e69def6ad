"""Generated scenes used more than once: a window of them that moves on, seen each time in another way."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .generator import Batch
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
        self._chunks: dict[int, tuple[Tensor, ...]] = {}

    def batch(self, index: int, scenes: int, frames: int, height: int, width: int) -> Batch:
        """As `SceneGenerator.batch`, without tracks; `height` and `width` differ from the pool's by even numbers."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + index) % (1 << 62))
        first = index // self.batches
        self._move_to(first)
        rows = []
        for place in torch.randint(self.window * CHUNK, (scenes,), generator=generator).tolist():
            order = torch.randperm(self.frames, generator=generator)[:frames]
            scene = tuple(part[place % CHUNK][order] for part in self._chunks[first + place // CHUNK])
            mirrored = bool(torch.rand((), generator=generator) < 0.5)
            rows.append(_mirrored(*scene) if mirrored else scene)
        images, depths, extrinsics, intrinsics = (torch.stack(parts) for parts in zip(*rows, strict=True))
        top, left = (self.size[0] - height) // 2, (self.size[1] - width) // 2
        images = images[..., top : top + height, left : left + width].float() / 255
        depths = depths[..., top : top + height, left : left + width].contiguous()
        intrinsics[..., :2, 2] -= torch.tensor([left, top]).to(intrinsics)
        return {"images": images, "depths": depths} | label(depths, Cameras(extrinsics, intrinsics))

    def _move_to(self, first: int) -> None:
        """Have the chunks from `first` on, and no others."""
        wanted = range(first, first + self.window)
        self._chunks = {number: chunk for number, chunk in self._chunks.items() if number in wanted}
        for number in wanted:
            if number not in self._chunks:
                made = self.generate(number, CHUNK, self.frames, *self.size)
                images = (made["images"] * 255).round().byte()
                self._chunks[number] = (images, made["depths"], made["extrinsics"], made["intrinsics"])


def _mirrored(images: Tensor, depths: Tensor, extrinsics: Tensor, intrinsics: Tensor) -> tuple[Tensor, ...]:
    """The world in a mirror: x of world, cameras and pictures run the other way. The principal point is the middle."""
    flip = extrinsics.new_tensor([-1.0, 1.0, 1.0])
    pose = extrinsics * flip[:, None]
    return images.flip(-1), depths.flip(-1), torch.cat([pose[..., :3] * flip, pose[..., 3:]], dim=-1), intrinsics
