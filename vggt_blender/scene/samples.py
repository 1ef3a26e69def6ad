"""Which depth samples become points, where they lie and what the live filters need to know about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..exchange.reconstruction import Frame, Reconstruction
from ..geometry.blender_axes import points_to_blender
from ..geometry.cameras import rays_of_pixels
from .agreement import Witnesses
from .lenses import lens_of

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

READ_AHEAD = 6  # depth samples looked at for every point wanted: more frames than that add nothing but time


@dataclass(frozen=True)
class Samples:
    """``xyz`` (P, 3) in Blender's axes, ``rgb`` (P, 3) uint8 sRGB, ``confidence`` (P,) on the engine's scale,
    ``edge`` (P,) relative depth steps, ``depth`` (P,) from the camera's plane, ``agreement`` (P,) uint8 how many other
    frames see that depth there, ``position`` (P,) int32 the input frame, ``spacing`` the median distance between
    neighbouring points."""

    xyz: Float32
    rgb: NDArray[np.uint8]
    confidence: Float32
    edge: Float32
    depth: Float32
    agreement: NDArray[np.uint8]
    position: NDArray[np.int32]
    spacing: float


def dense_frame(
    reconstruction: Reconstruction, position: int, step: int = 1
) -> tuple[Float32, Float32, NDArray[np.uint8]]:
    """Depth (h, w), confidence (h, w) and color (h, w, 3) of one of `dense_positions`, every `step`-th sample."""
    assert reconstruction.depth is not None
    assert reconstruction.confidence is not None
    assert reconstruction.color is not None
    return (
        np.asarray(reconstruction.depth[position, ::step, ::step]),
        np.asarray(reconstruction.confidence[position, ::step, ::step]),
        np.asarray(reconstruction.color[position, ::step, ::step]),
    )


def usable(depth: Float32, confidence: Float32) -> NDArray[np.bool_]:
    """The samples (h, w) that show something: known depth in front of the camera, and any confidence at all."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(depth) & (depth > 0) & (confidence > 0)


def relative_steps(depth: Float32) -> Float32:
    """The largest step (h, w) from each sample to its four neighbours, relative to the nearer of the two.

    Unknown samples have no step, and cause none.
    """
    steps = np.zeros_like(depth)
    with np.errstate(all="ignore"):
        for axis in (0, 1):
            near, far = (depth[:-1], depth[1:]) if axis == 0 else (depth[:, :-1], depth[:, 1:])
            step = np.abs(near - far) / np.minimum(near, far)
            step[~np.isfinite(step)] = 0.0
            first, second = (steps[:-1], steps[1:]) if axis == 0 else (steps[:, :-1], steps[:, 1:])
            np.maximum(first, step, out=first)
            np.maximum(second, step, out=second)
    return steps


def ranks(confidence: Float32) -> Float32:
    """The share (P,) of all values that are not larger than each: above 0, up to 1, the same for equal values.

    `confidence` (P,) is not negative. Values that agree in 11 bits of their mantissa count as equal.
    """
    # the bits of floats that are not negative sort as the floats do: counting buckets is faster than sorting
    buckets = np.ascontiguousarray(confidence, np.float32).view(np.int32) >> 12
    shares = np.cumsum(np.bincount(buckets, minlength=1)) / max(1, len(confidence))
    return shares.astype(np.float32)[buckets]


def camera_rays(frame: Frame, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> tuple[Float64, Float64]:
    """Rays (P, 2) at unit depth, distortion undone, and source pixels (P, 2) of the depth samples in ``rows`` and
    ``columns`` (P,). Where the distortion has no inverse the ray is NaN."""
    affine = np.asarray(frame.depth_to_image, np.float64)
    at = np.stack([columns + 0.5, rows + 0.5], axis=-1)
    pixels = at @ affine[:, :2].T + affine[:, 2]
    return rays_of_pixels(pixels, lens_of(frame)), pixels


def dense_positions(reconstruction: Reconstruction) -> list[int]:
    """Positions of the frames that are registered and have a depth map."""
    if reconstruction.depth is None:
        return []
    return [
        position
        for position, frame in enumerate(reconstruction.frames)
        if frame.registered and frame.depth_to_image is not None
    ]


def dense_samples(reconstruction: Reconstruction, limit: int) -> Samples | None:
    """At most `limit` points, spread evenly over all frames and pictures; None where there is no depth."""
    positions = dense_positions(reconstruction)
    if reconstruction.depth is None or not positions or limit < 1:
        return None
    positions = positions[:: max(1, len(positions) * reconstruction.depth[0].size // (READ_AHEAD * limit))]
    valid = {position: np.flatnonzero(usable(*dense_frame(reconstruction, position)[:2])) for position in positions}
    share = min(1.0, limit / max(1, sum(map(len, valid.values()))))
    random = np.random.default_rng(0)
    witnesses = Witnesses(reconstruction, dense_positions(reconstruction))
    parts = [
        _frame_samples(reconstruction, position, _spread(valid[position], share, random), witnesses)
        for position in positions
    ]
    spacing = float(np.nanmedian([part.spacing for part in parts if len(part.xyz)] or [1.0])) / share**0.5
    return Samples(
        xyz=np.concatenate([part.xyz for part in parts]),
        rgb=np.concatenate([part.rgb for part in parts]),
        confidence=np.concatenate([part.confidence for part in parts]),
        edge=np.concatenate([part.edge for part in parts]),
        depth=np.concatenate([part.depth for part in parts]),
        agreement=np.concatenate([part.agreement for part in parts]),
        position=np.concatenate([part.position for part in parts]),
        spacing=spacing,
    )


def _spread(indices: NDArray[np.int64], share: float, random: np.random.Generator) -> NDArray[np.int64]:
    """About `share` of `indices`, never more: one from each run of equal length, at a random place in it."""
    count = int(len(indices) * share)
    if count in (0, len(indices)):
        return indices[:count]
    run = len(indices) / count
    return indices[(np.arange(count) * run + random.random(count) * (run - 1)).astype(np.int64)]


def _frame_samples(
    reconstruction: Reconstruction, position: int, picked: NDArray[np.int64], witnesses: Witnesses
) -> Samples:
    frame = reconstruction.frames[position]
    assert frame.pose is not None
    depth, confidence, color = dense_frame(reconstruction, position)
    rows, columns = np.divmod(picked, depth.shape[1])
    rays, _ = camera_rays(frame, rows, columns)
    z = depth.ravel()[picked]
    pose = frame.pose.camera_from_world
    camera = np.column_stack([rays * z[:, None], z]).astype(np.float32)
    xyz = points_to_blender(((camera - pose[:, 3]) @ pose[:, :3]).astype(np.float32))
    turn = np.asarray(frame.depth_to_image)[:, :2]
    pixel = float(np.sqrt(abs(np.linalg.det(turn)) / (frame.pose.fx * frame.pose.fy)))
    keep = np.isfinite(xyz).all(axis=1)  # beyond the radius where a distortion model folds over there is no ray
    return Samples(
        xyz=xyz[keep],
        rgb=color.reshape(-1, 3)[picked][keep],
        confidence=confidence.ravel()[picked][keep],
        edge=relative_steps(depth).ravel()[picked][keep],
        depth=z[keep],
        agreement=witnesses.agreement(position, camera[keep]),
        position=np.full(int(keep.sum()), position, np.int32),
        spacing=float(np.median(z)) * pixel if len(z) else 1.0,
    )
