"""The nine numbers that stand for a camera, to and from matrices, in torch.

[0:3] translation of ``camera_from_world``, [3:7] its quaternion (x, y, z, w), [7] vertical and [8] horizontal field of
view in radians. The principal point is always the picture's centre.
"""

from __future__ import annotations

import torch
from torch import Tensor


def quaternion_from_rotation(rotation: Tensor) -> Tensor:
    """Unit quaternions (..., 4) as x, y, z, w with w >= 0 of rotations (..., 3, 3)."""
    m00, m11, m22 = rotation[..., 0, 0], rotation[..., 1, 1], rotation[..., 2, 2]
    sums = torch.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], dim=-1)
    roots = sums.clamp(min=0).sqrt()
    a, b, c = (rotation[..., i, j] - rotation[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    d, e, f = (rotation[..., i, j] + rotation[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    r, i, j, k = sums.clamp(min=0).unbind(-1)
    # One row for each choice of the largest component, each as (r, i, j, k) times twice that component.
    rows = [torch.stack(row, dim=-1) for row in ((r, a, b, c), (a, i, d, e), (b, d, j, f), (c, e, f, k))]
    candidates = torch.stack(rows, dim=-2) / (2 * roots.clamp(min=0.1))[..., None]
    choice = sums.argmax(dim=-1)[..., None, None].expand(*sums.shape[:-1], 1, 4)
    w, x, y, z = candidates.gather(-2, choice)[..., 0, :].unbind(-1)
    quaternion = torch.stack([x, y, z, w], dim=-1)
    return torch.where(w[..., None] < 0, -quaternion, quaternion)


def rotation_from_quaternion(quaternion: Tensor) -> Tensor:
    """Rotations (..., 3, 3) of quaternions (..., 4) as x, y, z, w of any non-zero length."""
    i, j, k, r = quaternion.unbind(-1)
    s = 2.0 / (quaternion * quaternion).sum(-1)
    entries = [
        1 - s * (j * j + k * k), s * (i * j - k * r), s * (i * k + j * r),
        s * (i * j + k * r), 1 - s * (i * i + k * k), s * (j * k - i * r),
        s * (i * k - j * r), s * (j * k + i * r), 1 - s * (i * i + j * j),
    ]  # fmt: skip
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def encode_cameras(extrinsics: Tensor, intrinsics: Tensor, height: int, width: int) -> Tensor:
    """Pose vectors (..., 9) of ``camera_from_world`` (..., 3, 4) and intrinsics (..., 3, 3) in pixels."""
    fov_h = 2 * torch.atan(height / 2 / intrinsics[..., 1, 1])
    fov_w = 2 * torch.atan(width / 2 / intrinsics[..., 0, 0])
    quaternion = quaternion_from_rotation(extrinsics[..., :3])
    return torch.cat([extrinsics[..., 3], quaternion, fov_h[..., None], fov_w[..., None]], dim=-1).float()


def decode_cameras(pose: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """``camera_from_world`` (..., 3, 4) and intrinsics (..., 3, 3) of pose vectors (..., 9); the inverse of encoding."""
    rotation = rotation_from_quaternion(pose[..., 3:7])
    extrinsics = torch.cat([rotation, pose[..., :3, None]], dim=-1)
    intrinsics = torch.zeros_like(rotation)
    intrinsics[..., 0, 0] = width / 2 / torch.tan(pose[..., 8].clamp(1e-3, 3.1) / 2)
    intrinsics[..., 1, 1] = height / 2 / torch.tan(pose[..., 7].clamp(1e-3, 3.1) / 2)
    intrinsics[..., 0, 2], intrinsics[..., 1, 2], intrinsics[..., 2, 2] = width / 2, height / 2, 1.0
    return extrinsics, intrinsics
