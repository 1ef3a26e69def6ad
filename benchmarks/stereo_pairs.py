"""The usual alternative to a plane sweep: OpenCV's semi-global matcher on rectified pairs of solved frames."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from vggt_blender.exchange.reconstruction import Frame, Reconstruction
from vggt_blender.geometry.cameras import camera_center

Array = NDArray[np.float64]

BLOCK = 5
PAIRS = 2
"""Neighbours a frame is paired with: those whose baseline is nearest to the wanted one, on both sides."""

BASELINE = 0.07
"""Wanted distance of a pair over the median depth: about four degrees."""


def stereo_depth(result: Reconstruction) -> Reconstruction:
    """`result` with its depth maps replaced by rectified stereo's; where pairs disagree, the nearer surface counts."""
    assert result.depth is not None
    depth = np.full(result.depth.shape, np.nan, np.float32)
    placed = [position for position, frame in enumerate(result.frames) if frame.registered]
    for position in placed:
        maps = [_pair_depth(result, position, other) for other in _partners(result, position, placed)]
        with np.errstate(invalid="ignore"):
            known = [found for found in maps if np.isfinite(found).any()]
            if known:
                depth[position] = np.fmin.reduce(known)
    return dataclasses.replace(result, depth=depth)


def _partners(result: Reconstruction, position: int, placed: list[int]) -> list[int]:
    assert result.depth is not None
    center = _center(result.frames[position])
    wanted = BASELINE * float(np.nanmedian(result.depth[position]))
    others = [other for other in placed if other != position]
    others.sort(key=lambda other: abs(float(np.linalg.norm(_center(result.frames[other]) - center)) - wanted))
    return others[:PAIRS]


def _center(frame: Frame) -> Array:
    assert frame.pose is not None
    return camera_center(frame.pose.camera_from_world)


def _pair_depth(result: Reconstruction, first: int, second: int) -> NDArray[np.float32]:
    """Z depth (h, w) of frame `first`, NaN where unknown."""
    assert result.color is not None
    assert result.depth is not None
    here, there = result.frames[first], result.frames[second]
    assert here.pose is not None
    assert there.pose is not None
    gray = [cv2.cvtColor(np.ascontiguousarray(result.color[place]), cv2.COLOR_RGB2GRAY) for place in (first, second)]
    height, width = gray[0].shape
    lenses = [_lens(frame) for frame in (here, there)]
    rotation = there.pose.camera_from_world[:, :3] @ here.pose.camera_from_world[:, :3].T
    shift = there.pose.camera_from_world[:, 3] - rotation @ here.pose.camera_from_world[:, 3]
    turns = cv2.stereoRectify(*lenses[0], *lenses[1], (width, height), rotation, shift, flags=0, alpha=-1)
    projections, upright = turns[2:4], turns[0]
    if abs(projections[1][1, 3]) > abs(projections[1][0, 3]):
        return np.full((height, width), np.nan, np.float32)  # OpenCV's matcher compares rows, not columns
    sign = -1.0 if projections[1][0, 3] > 0 else 1.0  # the other frame lies to the left: mirror both
    rectified = [
        cv2.remap(
            picture,
            *cv2.initUndistortRectifyMap(*lens, turn, projection[:, :3], (width, height), cv2.CV_32FC1),
            cv2.INTER_LINEAR,
        )[:, :: int(sign)]
        for picture, lens, turn, projection in zip(gray, lenses, turns[:2], projections, strict=True)
    ]
    reach = abs(float(projections[1][0, 3]))
    shift = sign * float(projections[0][0, 2] - projections[1][0, 2])
    far, near = (reach / z + shift for z in np.nanpercentile(result.depth[first], [99, 1]) * [1.4, 0.75])
    count = 16 * int(np.ceil((near - far) / 16))
    matcher = cv2.StereoSGBM_create(
        int(np.floor(far)), count, BLOCK, 8 * BLOCK**2, 32 * BLOCK**2, 1, 0, 10, 100, 2, cv2.STEREO_SGBM_MODE_HH
    )
    disparity = matcher.compute(*map(np.ascontiguousarray, rectified)).astype(np.float32)[:, :: int(sign)] / 16
    with np.errstate(divide="ignore"):
        z = np.where(disparity >= far, reach / (disparity - shift), np.nan).astype(np.float32)
    return _unrectified(z, lenses[0], upright, projections[0])


def _lens(frame: Frame) -> tuple[Array, Array]:
    """Intrinsics (3, 3) and distortion (5,) in OpenCV's pixels of the depth map, whose centres are integers."""
    assert frame.pose is not None
    assert frame.depth_to_image is not None
    scale, offset = np.diag(frame.depth_to_image), frame.depth_to_image[:, 2]
    pose = frame.pose
    cx, cy = (np.array([pose.cx, pose.cy]) - offset) / scale - 0.5
    matrix = np.array([[pose.fx / scale[0], 0, cx], [0, pose.fy / scale[1], cy], [0, 0, 1]])
    return matrix, np.array(pose.distortion or (0.0,) * 5)


def _unrectified(
    z: NDArray[np.float32], lens: tuple[Array, Array], turn: Array, projection: Array
) -> NDArray[np.float32]:
    """Z depth of the rectified camera brought to the pixels and the Z of the frame's own."""
    height, width = z.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    pixels = np.stack([columns, rows], axis=-1).reshape(-1, 1, 2)
    rays = cv2.undistortPoints(pixels, *lens).reshape(-1, 2)
    turned = np.column_stack([rays, np.ones(len(rays))]) @ turn.T
    place = turned @ projection[:, :3].T
    x, y = (place[:, :2] / place[:, 2:]).astype(np.float32).reshape(height, width, 2).transpose(2, 0, 1)
    sampled = cv2.remap(z, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan"))
    return np.asarray(sampled / turned[:, 2].reshape(height, width), np.float32)
