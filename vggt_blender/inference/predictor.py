"""A loaded VGGT: pictures in, cameras at once and dense maps a few frames at a time."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..exchange.messages import JobError, Reporter
from ..model import HEADS, VGGT, Features, decode_pose
from . import memory
from .checkpoints import load_model
from .devices import Device

Array = NDArray[Any]
Result = TypeVar("Result")

# What else than `torch.OutOfMemoryError` says that memory ran out: PyTorch's CPU allocator, Apple's, cuBLAS and cuDNN.
SIGNS_OF_FULL_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "_alloc_failed")


@dataclass(frozen=True)
class Cameras:
    """``camera_from_world`` (S, 3, 4) and ``focal`` (S, 2) as (fx, fy) in network pixels, float64."""

    camera_from_world: NDArray[np.float64]
    focal: NDArray[np.float64]


@dataclass(frozen=True)
class FollowedPoints:
    """``xy`` (S, T, 2) in network pixels (centre of the first at 0.5), ``visibility`` and ``confidence`` (S, T)."""

    xy: NDArray[np.float32]
    visibility: NDArray[np.float32]
    confidence: NDArray[np.float32]


class Predictor:
    """One checkpoint on one device, kept between jobs."""

    def __init__(self, path: Path, device: Device) -> None:
        self.path, self.device = path, device
        model = load_model(path, half=device.half)
        if device.kind != "cpu":
            memory.check_weights(sum(value.nbytes for value in model.state_dict().values()), device.free_bytes())
        self._model = model.to(device.kind)

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that the checkpoint has."""
        return tuple(name for name in HEADS if getattr(self._model.config, name) is not None)

    def close(self) -> None:
        """Give the device's memory back, also to other programs; the predictor cannot be used any more."""
        del self._model
        _free_cached(self.device.kind)

    @contextmanager
    def scene(self, images: NDArray[np.uint8], heads: tuple[str, ...], report: Reporter) -> Iterator[Scene]:
        """The network's features of `images` (S, H, W, 3), from which results are taken while the context is open.

        Chunks are planned from the free memory; where that was too hopeful they are halved and the run goes on.
        Raises `JobError` that says what would fit.
        """
        missing = [name for name in heads if name not in self.heads]
        if missing:
            raise JobError("no_head", f"'{self.path.name}' has no {' and no '.join(missing)} head: use another model.")
        frames, height, width = images.shape[:3]
        run = memory.Run(self._model.config, frames, (height, width), heads, self.device.half)
        scene = Scene(self._model, run, self.device, images, report)
        try:
            yield scene
        finally:
            scene.close()


class Scene:
    """Features of one set of pictures; results are computed when asked for."""

    def __init__(
        self, model: VGGT, run: memory.Run, device: Device, images: NDArray[np.uint8], report: Reporter
    ) -> None:
        self._model, self._run, self._device, self._report = model, run, device, report
        self._chunks = memory.plan(run, device.kind, device.free_bytes())
        self._images: Tensor | None = torch.from_numpy(images).permute(0, 3, 1, 2)[None]
        self._features: Features | None = self._retried(self._compute_features)
        self._images = None

    def close(self) -> None:
        """Free the features."""
        self._features = None
        _free_cached(self._device.kind)

    @torch.inference_mode()
    def cameras(self) -> Cameras:
        """Poses and lenses of all frames."""
        pose = self._model.poses(self._need())[-1][0].cpu().double()  # in this order: Apple's GPUs have no float64
        if not bool(pose.isfinite().all()):
            raise JobError(
                "not_finite",
                f"The network's answer has no finite numbers in {self._device.half or torch.float32} on "
                f"{self._device.name}: use --device cpu, or another model.",
            )
        extrinsics, intrinsics = decode_pose(pose, self._run.image_size)
        focal = torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], dim=-1)
        return Cameras(extrinsics.numpy(), focal.numpy())

    def maps(self, head: str) -> Iterator[tuple[slice, Array, Array]]:
        """For a few frames at a time: which, their values (f, H, W, k) and confidence (f, H, W), float32."""
        done = 0
        while done < self._run.frames:
            for frames, values, confidence in self._retried(partial(self._next_maps, head, done)):
                yield frames, values, confidence
                done = frames.stop
                self._report.progress(f"{head} maps", done, self._run.frames)

    def follow(self, points: NDArray[np.float32]) -> FollowedPoints:
        """Track `points` (T, 2) of the first frame, in network pixels (centre of the first at 0.5)."""
        return self._retried(partial(self._follow, points))

    @torch.inference_mode()
    def _follow(self, points: NDArray[np.float32]) -> FollowedPoints:
        queries = torch.from_numpy(points - 0.5)[None]  # the network counts whole pixel indices
        tracks = self._model.tracks(replace(self._need(), chunks=self._chunks), queries)
        xy, visibility, confidence = (
            tensor[0].float().cpu().numpy()
            for tensor in (tracks.positions[-1], tracks.visibility.sigmoid(), tracks.confidence.sigmoid())
        )
        return FollowedPoints(xy + np.float32(0.5), visibility, confidence)

    def _need(self) -> Features:
        assert self._features is not None, "the scene is closed"
        return self._features

    def _compute_features(self) -> Features:
        assert self._images is not None
        with torch.inference_mode(), _progress_of_blocks(self._model, self._report):
            return self._model.shot_features(self._images, self._run.heads, self._chunks)

    def _next_maps(self, head: str, first: int) -> list[tuple[slice, Array, Array]]:
        """The next chunk from frame `first` on."""
        features = self._need()
        size = self._chunks.maps or 1
        part = Features(features.image_size, self._chunks)
        window = slice(first, min(first + size, self._run.frames))
        part.levels = {head: {level: kept[:, window] for level, kept in features.levels[head].items()}}
        with torch.inference_mode():
            return [
                (
                    slice(first + frames.start, first + frames.stop),
                    values[0].float().cpu().numpy(),
                    confidence[0].float().cpu().numpy(),
                )
                for frames, values, confidence in self._model.maps(part, head)
            ]

    def _retried(self, compute: Callable[[], Result]) -> Result:
        """`compute`, with smaller chunks each time that memory runs out."""
        while True:
            try:
                return compute()
            except (MemoryError, RuntimeError) as failure:
                if not _is_out_of_memory(failure):
                    raise
            # Outside the handler: the exception's traceback would hold the tensors that must go.
            _free_cached(self._device.kind)
            chunks = memory.smaller(self._chunks, self._device.kind)
            if chunks is None:
                raise memory.too_large(self._run, self._device.kind, self._device.free_bytes())
            self._chunks = chunks
            self._report.status(f"Memory ran out; going on with {chunks.frames} frames at a time.")


def _is_out_of_memory(failure: Exception) -> bool:
    if isinstance(failure, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(failure).lower()
    return any(sign in text for sign in SIGNS_OF_FULL_MEMORY)


def _free_cached(kind: str) -> None:
    gc.collect()
    if kind == "cuda":
        torch.cuda.empty_cache()
    elif kind == "mps":
        torch.mps.empty_cache()


@contextmanager
def _progress_of_blocks(model: VGGT, report: Reporter) -> Iterator[None]:
    """Tell `report` of every pair of blocks that ended; it may raise `Cancelled` from there."""
    blocks: Any = model.aggregator.global_blocks
    total = len(blocks)

    def started(index: int) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            report.progress("network", index, total)

        return hook

    handles = [block.register_forward_pre_hook(started(index)) for index, block in enumerate(blocks)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    report.progress("network", total, total)
