"""Memory of a run, planned before it starts: how many frames are worked on at once, and whether it fits at all.

Bytes are counted from the network's sizes; benchmarks/vggt_cost.py measures the same runs.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

import torch

from ..exchange.messages import JobError
from ..model import Chunks, VGGTConfig
from ..model.attention import LARGEST_SCORES

OUT_OF_MEMORY = "out_of_memory"
"""The code of the errors here."""

SINGLE = 4  # bytes of a float32

# What a run may take of the memory that is free: the rest is for the allocator's fragments and everybody else.
USABLE_SHARE = 0.9

# Arrays of full resolution and half the features that a DPT head's last steps hold at once: input, output, workspace.
MAP_COPIES = 3

# The tracker's feature maps that are held at once: as they come, normalised, a third in halvings, and workspace.
TRACK_COPIES = 2.65

_GPU_SIZES = (
    *(Chunks(frames=size, maps=max(1, size // 2)) for size in (16, 8, 4, 2, 1)),
    Chunks(frames=1, maps=1, levels_device=torch.device("cpu")),
)

SIZES = {"cpu": (Chunks(frames=1, maps=1),), "cuda": _GPU_SIZES, "mps": _GPU_SIZES}
"""Chunks to try per kind of device, largest first. A processor's caches prefer one frame at a time, a GPU many."""


@dataclass(frozen=True)
class Run:
    """What is to be computed: `heads` of `config` for `frames` pictures of `image_size` (H, W).

    `half` is the type that the aggregator's linear layers compute in, or None for float32.
    """

    config: VGGTConfig
    frames: int
    image_size: tuple[int, int]
    heads: tuple[str, ...]
    half: torch.dtype | None

    @property
    def patches(self) -> int:
        """Patch tokens of one frame."""
        rows, columns = (side // self.config.patch_size for side in self.image_size)
        return rows * columns

    def tokens_bytes(self) -> int:
        """The residual stream of all frames, and keys and values of one global block."""
        sizes = self.config.aggregator
        per_frame = (self.patches + sizes.patch_start) * sizes.embed_dim
        return self.frames * per_frame * (SINGLE + 2 * self._linear_bytes())

    def levels_bytes(self) -> int:
        """The projected levels that dense heads and tracker keep of all frames."""
        configs = [getattr(self.config, head) for head in self.heads if head != "camera"]
        return self.frames * self.patches * SINGLE * sum(sum(config.out_channels) for config in configs)

    def block_bytes(self, frames: int) -> int:
        """Activations inside one transformer block for `frames` at once: q, k, v, the MLP's width, norms and sums."""
        sizes = self.config.aggregator
        width = sizes.embed_dim * (self.patches + sizes.patch_start)
        return int(frames * width * ((4 + 2 * sizes.mlp_ratio) * self._linear_bytes() + 3 * SINGLE))

    def maps_bytes(self, frames: int) -> int:
        """A dense head's working set for `frames` at once."""
        height, width = self.image_size
        channels = [config.features // 2 for config in (self.config.depth, self.config.point) if config]
        return frames * height * width * max(channels, default=0) * SINGLE * MAP_COPIES

    def tracks_bytes(self) -> int:
        """The tracker's feature maps of all frames."""
        track = self.config.track
        if track is None or "track" not in self.heads:
            return 0
        rows, columns = (side // track.down_ratio for side in self.image_size)
        return int(self.frames * rows * columns * track.latent_dim * SINGLE * TRACK_COPIES)

    def peak_bytes(self, chunks: Chunks) -> int:
        """Peak of the run beside the weights, on the device."""
        levels = 0 if chunks.levels_device is not None else self.levels_bytes()
        aggregator = self.tokens_bytes() + levels + self.block_bytes(chunks.frames or 1)
        return max(aggregator, levels + self.maps_bytes(chunks.maps or 1), levels + self.tracks_bytes())

    def _linear_bytes(self) -> int:
        return SINGLE if self.half is None else 2


def plan(run: Run, device: str, free: int) -> Chunks:
    """The largest chunks with which `run` fits into `free` bytes beside the weights.

    Raises `JobError` that says how many frames would fit.
    """
    usable = usable_bytes(device, free)
    for chunks in SIZES[device]:
        if run.peak_bytes(chunks) <= usable:
            return chunks
    raise too_large(run, device, free)


def usable_bytes(device: str, free: int) -> int:
    """What tensors of a run may take of `free` bytes."""
    return int(free * USABLE_SHARE) - (LARGEST_SCORES if device == "mps" else 0)


def check_weights(needed: int, free: int) -> None:
    """Raise `JobError` where weights of `needed` bytes cannot go to a device with `free` bytes."""
    if needed > free:
        raise JobError(
            OUT_OF_MEMORY,
            f"The weights need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB is free on this device: close other programs "
            "that use it, or use --device cpu.",
        )


def smaller(chunks: Chunks, device: str) -> Chunks | None:
    """The next smaller chunks after a run that did not fit after all, or None where there are none."""
    following = SIZES[device].index(chunks) + 1
    return SIZES[device][following] if following < len(SIZES[device]) else None


def most_frames(run: Run, device: str, free: int) -> int:
    """How many frames of this kind fit into `free` bytes beside the weights."""
    smallest, usable = SIZES[device][-1], usable_bytes(device, free)
    return bisect_right(range(1, 1 << 20), usable, key=lambda frames: replace(run, frames=frames).peak_bytes(smallest))


def too_large(run: Run, device: str, free: int) -> JobError:
    """What to tell the user of a run that does not fit."""
    fits = most_frames(run, device, free)
    step = -(-run.frames // max(1, fits))
    needed = run.peak_bytes(SIZES[device][-1])
    hint = (
        f"about {fits} frames fit: solve with a step of {step} (--frames ::{step})"
        if fits > 0
        else "not even one frame fits: close other programs, or use the CPU or a smaller model"
    )
    return JobError(
        OUT_OF_MEMORY,
        f"{run.frames} frames of {run.image_size[1]}x{run.image_size[0]} need {needed / 1e9:.1f} GB beside the "
        f"weights, {free / 1e9:.1f} GB is free on {device}; {hint}.",
    )
