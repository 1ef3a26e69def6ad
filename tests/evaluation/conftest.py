"""A small world whose cameras and depth are known exactly: a slanted wall and a pillar before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vggt_blender.evaluation import Truth, TruthFrame
from vggt_blender.exchange.reconstruction import Frame, Pose, Reconstruction, Source
from vggt_blender.geometry.alignment import Similarity
from vggt_blender.geometry.cameras import Lens, rays_of_pixels

WIDTH, HEIGHT = 160, 90


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Turns in degrees about the camera's axes."""
    (a, b, c) = np.radians([x, y, z])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def wall_and_pillar(pose: np.ndarray, lens: Lens, width: int, height: int) -> np.ndarray:
    """Z depth (height, width) float32 of a wall z = 8 + 0.3 x and a nearer pillar z = 4, 0 < x < 0.8."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    rays = rays_of_pixels(np.stack([columns, rows], axis=-1), lens)
    directions = np.concatenate([rays, np.ones((height, width, 1))], axis=-1) @ pose[:, :3]
    center = -pose[:, :3].T @ pose[:, 3]
    wall = (8 + 0.3 * center[0] - center[2]) / (directions[..., 2] - 0.3 * directions[..., 0])
    pillar = (4 - center[2]) / directions[..., 2]
    x = center[0] + pillar * directions[..., 0]
    return np.where((x > 0) & (x < 0.8), pillar, wall).astype(np.float32)


def cameras(kind: str) -> np.ndarray:
    """Eight poses (8, 3, 4): an ``arc``, a straight ``line``, or turns on the spot (``pan``)."""
    poses = []
    for t in np.linspace(-1, 1, 8):
        center = {"arc": [t, -0.2 * t**2, 0.4 * t * t], "line": [t, 0.0, 0.1 * t], "pan": [0.3, 0.0, 0.0]}[kind]
        turn = rotation(2 * t, -8 * t if kind != "pan" else 12 * t, 1.5 * t**2)
        poses.append(np.column_stack([turn, -turn @ np.asarray(center)]))
    return np.stack(poses)


def make_truth(kind: str = "arc", distortion: tuple[float, ...] | None = None) -> Truth:
    lens = Lens(150.0, 150.0, 80.0, 45.0, distortion)
    frames = [
        TruthFrame(f"shot.{1001 + k}.png", WIDTH, HEIGHT, pose, lens, wall_and_pillar(pose, lens, WIDTH, HEIGHT))
        for k, pose in enumerate(cameras(kind))
    ]
    return Truth(tuple(frames))


def solve_exactly(truth: Truth, world: Similarity | None = None) -> Reconstruction:
    """The reconstruction that equals the truth, moved into another `world`."""
    world = world or Similarity(1.0, np.eye(3), np.zeros(3))
    frames = []
    for k, known in enumerate(truth.frames):
        lens = known.lens
        terms = None if lens.distortion is None else tuple(lens.distortion)
        pose = Pose(world.apply_to_pose(known.camera_from_world), lens.fx, lens.fy, lens.cx, lens.cy, terms)
        frame = Frame(known.name, known.name, k, 1001 + k, known.width, known.height, pose, np.eye(3)[:2])
        frames.append(frame)
    depth = np.stack([known.depth for known in truth.frames]) * np.float32(world.scale)
    return Reconstruction(
        folder=Path("nowhere"),
        engine={"name": "test"},
        source=Source("sequence", "shot"),
        units="arbitrary",
        frames=tuple(frames),
        depth=depth,
        confidence=np.ones_like(depth),
        color=np.zeros((*depth.shape, 3), np.uint8),
    )


def change_poses(reconstruction: Reconstruction, edit: Callable[[int, Pose], Pose | None]) -> Reconstruction:
    """The reconstruction with every pose edited; None takes it away."""
    frames = tuple(
        dataclasses.replace(frame, pose=edit(k, frame.pose)) for k, frame in enumerate(reconstruction.frames)
    )
    return dataclasses.replace(reconstruction, frames=frames)


def turn_camera(pose: Pose, turn: np.ndarray) -> Pose:
    """The camera turned on the spot."""
    return dataclasses.replace(pose, camera_from_world=turn @ pose.camera_from_world)


def move_camera(pose: Pose, offset: np.ndarray) -> Pose:
    """The camera moved by `offset` (3,) in the world."""
    matrix = pose.camera_from_world.copy()
    matrix[:, 3] -= matrix[:, :3] @ offset
    return dataclasses.replace(pose, camera_from_world=matrix)


@pytest.fixture
def world() -> SimpleNamespace:
    """What the tests of this room build with."""
    return SimpleNamespace(
        make_truth=make_truth,
        solve_exactly=solve_exactly,
        change_poses=change_poses,
        turn_camera=turn_camera,
        move_camera=move_camera,
        rotation=rotation,
        elsewhere=Similarity(3.7, rotation(20, -35, 70), np.array([5.0, -2.0, 11.0])),
    )
