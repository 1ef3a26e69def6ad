"""A painted world that refinement can look at: textured cards before a wall, drawn exactly by homographies."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from vggt_blender.engines import run_job
from vggt_blender.evaluation import Truth, TruthFrame, evaluate
from vggt_blender.exchange.job import FrameRange, Job
from vggt_blender.exchange.reconstruction import Frame, Pose, Tracks, load_reconstruction
from vggt_blender.exchange.writer import ReconstructionWriter
from vggt_blender.geometry.cameras import Lens, camera_center
from vggt_blender.geometry.rotations import rotation_matrix
from vggt_blender.inference.frames import open_source
from vggt_blender.refinement import refine

YARD = Path(__file__).parents[1] / "data" / "truth" / "small_yard"
WIDTH, HEIGHT, FRAMES = 400, 300, 8
LENS = Lens(380.0, 380.0, WIDTH / 2, HEIGHT / 2)
TEXELS = 512
DEPTH_SCALE = 1.04  # the engine's depth maps are too deep by this


class Recorder:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.stages: set[str] = set()

    def progress(self, stage: str, done: int, total: int) -> None:
        self.stages.add(stage)
        assert 0 <= done <= total, stage

    def status(self, message: str) -> None:
        self.said.append(message)

    def warning(self, message: str) -> None:
        self.said.append(message)


@functools.cache
def texture(seed: int) -> np.ndarray:
    """(TEXELS, TEXELS, 3) uint8 with detail at every scale."""
    rng = np.random.default_rng(seed)
    total = np.zeros((TEXELS, TEXELS, 3))
    for size in (8, 16, 32, 64, 128):
        noise = rng.normal(size=(size, size, 3)).astype(np.float32)
        total += cv2.resize(noise, (TEXELS, TEXELS), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 45 * total, 0, 255).astype(np.uint8)


def card(center: tuple[float, float, float], size: float, yaw: float) -> np.ndarray:
    """(3, 3): world point = card @ (u, v, 1) for u, v in 0..1, turned about the vertical axis by `yaw` degrees."""
    across = size * np.array([np.cos(np.radians(yaw)), 0, np.sin(np.radians(yaw))])
    down = np.array([0, size, 0])
    return np.column_stack([across, down, np.asarray(center) - across / 2 - down / 2])


CARDS = {
    "cards": [
        card((0, 0, 9), 16, 0),
        card((-2.4, 0.5, 6.5), 2.6, 35),
        card((2.2, -0.6, 5.5), 2.4, -30),
        card((0.3, 1.0, 4.6), 1.6, 15),
        card((-1.0, -1.2, 4.2), 1.2, -20),
    ],
    "wall": [card((0, 0, 6), 14, 12)],
}


def paths(kind: str) -> np.ndarray:
    """Poses (FRAMES, 3, 4): an ``arc``, or a ``pan`` from one place."""
    poses = []
    for t in np.linspace(-1, 1, FRAMES):
        center = np.array([1.1 * t, 0.15 * np.sin(3 * t), 0.4 * t * t]) if kind == "arc" else np.zeros(3)
        turn = np.radians([1.5 * t, -7 * t, t * t] if kind == "arc" else [4 * np.sin(2 * t), 14 * t, 1.0])
        rotation = rotation_matrix(turn)
        poses.append(np.column_stack([rotation, -rotation @ center]))
    return np.stack(poses)


def mover(k: int) -> np.ndarray:
    """A large card that crosses the view in front of everything, turning: where it is in frame `k`."""
    t = 2 * k / (FRAMES - 1) - 1
    return card((1.1 * t - 0.5 * t, 0.1 * t, 2.6), 1.5, 25 * t)


def paint(cards: list[np.ndarray], pose: np.ndarray, lens: Lens = LENS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The picture (HEIGHT, WIDTH, 3) uint8 at twice the resolution reduced, Z depth (HEIGHT, WIDTH) float32, and which
    of the `cards`, drawn in order, is seen (HEIGHT, WIDTH).
    """
    picture = np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.uint8)
    depth = np.full((HEIGHT, WIDTH), np.nan)
    seen = np.full((HEIGHT, WIDTH), -1)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    rays = np.stack([(columns - lens.cx) / lens.fx, (rows - lens.cy) / lens.fy, np.ones((HEIGHT, WIDTH))], axis=-1)
    for seed, plane in enumerate(cards):
        camera = pose[:, :3] @ plane + np.outer(pose[:, 3], [0, 0, 1])
        to_pixels = np.diag([2.0, 2.0, 1.0]) @ lens.matrix() @ camera
        # OpenCV's coordinates are whole at centres, ours at corners
        texel = np.diag([1 / TEXELS, 1 / TEXELS, 1.0]) @ np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        warp = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]]) @ to_pixels @ texel
        size = (2 * WIDTH, 2 * HEIGHT)
        drawn = cv2.warpPerspective(texture(seed), warp, size, flags=cv2.INTER_LINEAR)
        cover = cv2.warpPerspective(np.full((TEXELS, TEXELS), 255, np.uint8), warp, size)
        picture = np.where(cover[..., None] > 127, drawn, picture)
        normal = np.linalg.inv(camera).T @ [0, 0, 1]  # of the plane: normal . X = 1
        z = 1 / (rays @ normal)
        uv = np.einsum("ij,hwj->hwi", np.linalg.inv(camera), rays * z[..., None])
        inside = (z > 0) & (uv[..., :2] > 0).all(axis=-1) & (uv[..., :2] < 1).all(axis=-1)
        nearer = inside & ~(depth < z)
        depth, seen = np.where(nearer, z, depth), np.where(nearer, seed, seen)
    return cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), depth.astype(np.float32), seen


def shoot(folder: Path, scene: str, path: str, *, moving: bool = False, zoom: float = 1.0) -> Truth:
    """Draw ``folder/shot.1001.png`` ... and return the truth; with something `moving` also ``folder/masks``. The focal
    length grows steadily to `zoom` times what it was."""
    (folder / "masks").mkdir(parents=True)
    frames = []
    for k, (pose, growth) in enumerate(zip(paths(path), np.linspace(1, zoom, FRAMES), strict=True)):
        lens = replace(LENS, fx=growth * LENS.fx, fy=growth * LENS.fy)
        picture, depth, seen = paint(CARDS[scene] + ([mover(k)] if moving else []), pose, lens)
        name = f"shot.{1001 + k}.png"
        if moving:
            Image.fromarray(np.where(seen == len(CARDS[scene]), 0, 255).astype(np.uint8)).save(folder / "masks" / name)
        Image.fromarray(picture).save(folder / name)
        frames.append(TruthFrame(name, WIDTH, HEIGHT, pose, lens, depth))
    return Truth(tuple(frames))


def disturb(truth: Truth, degrees: float, shift: float, focal: float, seed: int = 0) -> list[Pose]:
    """The truth's cameras, each turned by `degrees` and moved by `shift`, with `focal` times the focal length."""
    rng = np.random.default_rng(seed)
    poses = []
    for known in truth.frames:
        axis, offset = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
        rotation = rotation_matrix(np.radians(degrees) * axis) @ known.camera_from_world[:, :3]
        center = camera_center(known.camera_from_world) + shift * offset
        pose = np.column_stack([rotation, -rotation @ center])
        poses.append(Pose(pose, focal * known.lens.fx, focal * known.lens.fy, LENS.cx, LENS.cy))
    return poses


def solve(folder: Path, shot: Path, truth: Truth, poses: list[Pose | None]) -> None:
    """A reconstruction folder with `poses`, depth maps `DEPTH_SCALE` too deep, tracks and an entry of its own."""
    source = open_source([str(shot)], kind="sequence")
    identity = np.eye(3)[:2]
    frames = [
        Frame(f.name, f.path, f.index, f.number, f.width, f.height, pose, identity, {"mark": f.index})
        for f, pose in zip(source.frames, poses, strict=True)
    ]
    with ReconstructionWriter(folder) as writer:
        writer.open_dense(len(frames), HEIGHT, WIDTH)
        for k, known in enumerate(truth.frames):
            writer.depth[k] = known.depth * np.float32(DEPTH_SCALE)
            writer.confidence[k] = 1 + k
            writer.color[k] = k
        shape = (len(frames), 3)
        writer.write_tracks(Tracks(np.ones((*shape, 2), np.float32), np.ones(shape, bool), np.ones(shape, np.float32)))
        writer.finish(engine={"name": "test"}, source=source.source, frames=frames, extra={"note": "kept"})


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file of `folder` with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Truth]]:
    """Drawn once: ``arc`` past cards, ``pan`` over them, an arc past a bare ``wall``, the first with a ``mover``,
    and with a slow ``zoom`` and a ``long zoom``."""
    base = tmp_path_factory.mktemp("shots")
    return {
        name: (base / name, shoot(base / name, scene, path, moving=name == "mover", zoom=zoom))
        for name, scene, path, zoom in (
            ("arc", "cards", "arc", 1.0),
            ("pan", "cards", "pan", 1.0),
            ("wall", "wall", "arc", 1.0),
            ("mover", "cards", "arc", 1.0),
            ("zoom", "cards", "arc", 1.05),
            ("long zoom", "cards", "arc", 1.4),
        )
    }


@pytest.fixture(scope="session")
def solved_yard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of engine colmap's solve of every second frame of ``small_yard``; to be copied, not changed."""
    output, frames = tmp_path_factory.mktemp("yard") / "out", FrameRange(1001, None, 2)
    return run_job(Job((str(YARD),), str(output), engine="colmap", frames=frames), Recorder())


@pytest.fixture(scope="session")
def unmasked_error(shots: dict[str, tuple[Path, Truth]], tmp_path_factory: pytest.TempPathFactory) -> float:
    """The true reprojection error (px) that is left of the ``mover`` without any mask."""
    folder = tmp_path_factory.mktemp("bare") / "r"
    return moving_error(folder, *shots["mover"], None)


def moving_error(folder: Path, shot: Path, truth: Truth, mask: str | None) -> float:
    """The true reprojection error (px) that refinement with `mask` leaves of cameras that are off."""
    solve(folder, shot, truth, disturb(truth, degrees=2.0, shift=0.12, focal=1.05))
    refine(folder, open_source([str(shot)], kind="sequence", mask=mask), Recorder())
    return evaluate(load_reconstruction(folder), truth).reprojection.median


@pytest.fixture
def painted() -> SimpleNamespace:
    """What the tests of this room build with."""
    return SimpleNamespace(
        disturb=disturb,
        solve=solve,
        fingerprint=fingerprint,
        Recorder=Recorder,
        moving_error=moving_error,
        lens=LENS,
        depth_scale=DEPTH_SCALE,
        open=lambda shot, mask=None: open_source([str(shot)], kind="sequence", mask=mask),
    )
