"""The pose vector and what it stands for.

Nine numbers a frame: translation of camera-from-world (3), quaternion x, y, z, w of its rotation (4, any non-zero
length), vertical and horizontal field of view in radians. Cameras are OpenCV's (x right, y down, z forward); the
principal point is the centre of the image, and pixel (row, column) looks along (column - W / 2, row - H / 2): the
network was trained with whole pixel indices and no half pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_ANGLE = 1e-3  # radians; the network can answer a field of view of 0, an infinite focal length


def decode_pose(pose: Tensor, image_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pose vectors (..., 9) of images of (H, W) pixels to camera-from-world (..., 3, 4) and intrinsics (..., 3, 3)."""
    extrinsics = torch.cat([quaternion_to_matrix(pose[..., 3:7]), pose[..., :3, None]], dim=-1)
    height, width = image_size
    tangents = torch.tan(pose[..., 7:].clamp(min=SMALLEST_ANGLE) / 2)
    intrinsics = pose.new_zeros((*pose.shape[:-1], 3, 3))
    intrinsics[..., 0, 0] = (width / 2) / tangents[..., 1]
    intrinsics[..., 1, 1] = (height / 2) / tangents[..., 0]
    intrinsics[..., 0, 2] = width / 2
    intrinsics[..., 1, 2] = height / 2
    intrinsics[..., 2, 2] = 1
    return extrinsics, intrinsics


def encode_pose(extrinsics: Tensor, intrinsics: Tensor, image_size: tuple[int, int]) -> Tensor:
    """The inverse of `decode_pose`; the principal point is not part of a pose vector."""
    height, width = image_size
    vertical = 2 * torch.atan((height / 2) / intrinsics[..., 1, 1])
    horizontal = 2 * torch.atan((width / 2) / intrinsics[..., 0, 0])
    quaternion = matrix_to_quaternion(extrinsics[..., :3])
    return torch.cat([extrinsics[..., 3], quaternion, vertical[..., None], horizontal[..., None]], dim=-1)


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """Quaternions x, y, z, w (..., 4) of any non-zero length to rotation matrices (..., 3, 3)."""
    x, y, z, w = quaternion.unbind(-1)
    s = 2 / quaternion.square().sum(-1)
    rows = [
        [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
        [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
        [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) to unit quaternions x, y, z, w (..., 4) with w >= 0.

    Each component's magnitude follows from the diagonal; the largest one (ties: w, x, y, z) divides, so no small
    number ever does.
    """
    m = [[matrix[..., row, column] for column in range(3)] for row in range(3)]
    trace = torch.stack(
        [
            1 + m[0][0] + m[1][1] + m[2][2],
            1 + m[0][0] - m[1][1] - m[2][2],
            1 - m[0][0] + m[1][1] - m[2][2],
            1 - m[0][0] - m[1][1] + m[2][2],
        ],
        dim=-1,
    )
    wx, wy, wz = m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]
    xy, xz, yz = m[1][0] + m[0][1], m[0][2] + m[2][0], m[1][2] + m[2][1]
    by_largest = torch.stack(
        [
            torch.stack([wx, wy, wz, trace[..., 0]], dim=-1),
            torch.stack([trace[..., 1], xy, xz, wx], dim=-1),
            torch.stack([xy, trace[..., 2], yz, wy], dim=-1),
            torch.stack([xz, yz, trace[..., 3], wz], dim=-1),
        ],
        dim=-2,
    )
    largest, index = trace.max(dim=-1)
    chosen = by_largest.gather(-2, index[..., None, None].expand(*index.shape, 1, 4)).squeeze(-2)
    quaternion = chosen / (2 * largest.clamp(min=0.01).sqrt())[..., None]
    return torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)


def invert_rigid(transform: Tensor) -> Tensor:
    """Inverse (..., 4, 4) of rigid transforms (..., 3, 4) or (..., 4, 4)."""
    turned = transform[..., :3, :3].transpose(-1, -2)
    top = torch.cat([turned, -turned @ transform[..., :3, 3:]], dim=-1)
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0]).to(top).expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, bottom], dim=-2)


def unproject(depth: Tensor, extrinsics: Tensor, intrinsics: Tensor) -> Tensor:
    """World points (..., H, W, 3) of depth maps (..., H, W) seen by cameras (..., 3, 4) with (..., 3, 3)."""
    height, width = depth.shape[-2:]
    u = torch.arange(width, device=depth.device, dtype=depth.dtype)
    v = torch.arange(height, device=depth.device, dtype=depth.dtype)[:, None]
    fx, fy, cx, cy = (intrinsics[..., row, column, None, None] for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)))
    in_camera = torch.stack([(u - cx) * depth / fx, (v - cy) * depth / fy, depth], dim=-1)
    world_from_camera = invert_rigid(extrinsics)[..., None, :3, :]
    return in_camera @ world_from_camera[..., :3].transpose(-1, -2) + world_from_camera[..., 3][..., None, :]
