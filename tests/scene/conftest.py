"""A room that can be photographed exactly, and Blender's scene code loaded the way the extension loads it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def _load_root() -> None:
    if "vggt_matchmove" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "vggt_matchmove", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules["vggt_matchmove"] = module
        spec.loader.exec_module(module)


@pytest.fixture(scope="session")
def house():
    """`house("scene.cameras")` is that module, imported through the extension's root."""
    pytest.importorskip("bpy")
    _load_root()
    return lambda name: importlib.import_module(f"vggt_matchmove.vggt_blender.{name}")


@pytest.fixture
def empty_scene(house):
    """Blender as it starts without a file, with nothing in it."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    return bpy.context.scene


# The room in OpenCV's world: x right, y down, z forward; a box stands on its floor.
LOW, HIGH = np.array([-4.0, -2.0, -6.0]), np.array([4.0, 1.5, 8.0])
BOX_LOW, BOX_HIGH = np.array([-0.5, 0.5, 3.0]), np.array([0.7, 1.5, 4.0])


def cast(origin, directions):
    """Where rays (..., 3) from `origin` hit: distances in units of the ray (...,) and colors (..., 3) uint8; NaN and
    black where a lens has no ray."""
    with np.errstate(all="ignore"):
        to_low, to_high = (LOW - origin) / directions, (HIGH - origin) / directions
        wall = np.maximum(to_low, to_high).min(axis=-1)
        box_a, box_b = (BOX_LOW - origin) / directions, (BOX_HIGH - origin) / directions
        enter, leave = np.minimum(box_a, box_b).max(axis=-1), np.maximum(box_a, box_b).min(axis=-1)
    hit = (enter > 0) & (enter < leave)
    distance = np.where(hit, enter, wall)
    place = origin + directions * distance[..., None]
    checks = (np.floor(place * 2 + 1e-6).sum(axis=-1) % 2)[..., None]
    color = 90 + 50 * checks + 60 * (place - LOW) / (HIGH - LOW) + np.where(hit[..., None], [40, -40, -40], 0)
    return distance, np.clip(np.nan_to_num(color), 0, 255).astype(np.uint8)


def look(position, yaw=0.0, pitch=0.0, roll=0.0):
    """An OpenCV pose (3, 4): turned by yaw (right), pitch (down) and roll, in degrees."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    rotation = (about_y @ about_x @ about_z).T
    return np.column_stack([rotation, -rotation @ np.asarray(position, float)])


@dataclass
class Shot:
    """How the room is photographed; every list has one entry a frame."""

    poses: list
    size: tuple[int, int] = (192, 108)
    lens: tuple[float, float, float, float] = (150.0, 150.0, 96.0, 54.0)
    lenses: list | None = None
    distortion: tuple | None = None
    kind: str = "images"
    fps: float | None = None
    numbers: list | None = None
    unregistered: tuple[int, ...] = ()
    map_size: tuple[int, int] = (48, 27)
    depth_to_image: np.ndarray | None = None
    confidence: object = None
    pictures: bool = False
    world: np.ndarray = field(default_factory=lambda: np.eye(4))  # the solve's world from the room's
    sparse: bool = False
    source: str | None = None


class Photographer:
    """Writes a truthful reconstruction folder, pictures beside it."""

    def __init__(self, house, folder: Path) -> None:
        self.folder = folder
        self.exchange, self.optics = house("exchange.reconstruction"), house("geometry.cameras")
        self.writer = house("exchange.writer").ReconstructionWriter

    def __call__(self, shot: Shot, name: str = "shot"):
        count = len(shot.poses)
        (width, height), (w, h) = shot.size, shot.map_size
        affine = shot.depth_to_image
        if affine is None:
            affine = np.array([[width / w, 0, 0], [0, height / h, 0]])
        folder = self.folder / name
        plates = self.folder / f"{name}_plates"
        plates.mkdir(exist_ok=True)
        scale = np.cbrt(np.linalg.det(shot.world[:3, :3]))
        frames = []
        with self.writer(folder, overwrite=True) as writer:
            writer.open_dense(count, h, w)
            for i, pose in enumerate(shot.poses):
                fx, fy, cx, cy = shot.lenses[i] if shot.lenses else shot.lens
                lens = self.optics.Lens(fx, fy, cx, cy, shot.distortion)
                number = None if shot.kind == "images" else (shot.numbers[i] if shot.numbers else i + 1)
                path = plates / (f"picture{i}.png" if number is None else f"plate.{number}.png")
                if shot.pictures:
                    self._picture(path, pose, lens, shot.size)
                pixels = self.optics.sample_pixels((h, w), affine)
                depth, color = self._see(pose, lens, pixels)
                inside = ((pixels > 0) & (pixels < [width, height])).all(axis=-1)
                writer.depth[i] = np.where(inside, depth * scale, np.nan)
                writer.confidence[i] = np.where(inside, 1.0 if shot.confidence is None else shot.confidence(pixels), 0)
                writer.color[i] = np.where(inside[..., None], color, 0)
                frames.append(self._frame(shot, i, number, path, lens, affine, scale))
            if shot.sparse:
                writer.write_points(self._points(shot))
            writer.finish(
                engine={"name": "truth"},
                source=self.exchange.Source(shot.kind, shot.source or str(plates), shot.fps),
                frames=frames,
            )
        return self.exchange.load_reconstruction(folder)

    def _see(self, pose, lens, pixels):
        rays = self.optics.rays_of_pixels(pixels, lens)
        directions = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], axis=-1) @ pose[:, :3]
        return cast(self.optics.camera_center(pose), directions)

    def _picture(self, path, pose, lens, size) -> None:
        image = pytest.importorskip("PIL.Image")
        pixels = self.optics.sample_pixels((size[1], size[0]), np.eye(3)[:2])
        image.fromarray(self._see(pose, lens, pixels)[1]).save(path)

    def _frame(self, shot, i, number, path, lens, affine, scale):
        solved = np.vstack([shot.poses[i], [0, 0, 0, 1]]) @ np.linalg.inv(shot.world)
        solved[:3] *= scale
        pose = self.exchange.Pose(solved[:3], lens.fx, lens.fy, lens.cx, lens.cy, shot.distortion)
        return self.exchange.Frame(
            name=path.name,
            path=str(path),
            index=i if number is None else number - 1 if shot.kind == "video" else i,
            number=number,
            width=shot.size[0],
            height=shot.size[1],
            pose=None if i in shot.unregistered else pose,
            depth_to_image=affine,
        )

    def _points(self, shot):
        xyz = truth_points(200) @ shot.world[:3, :3].T + shot.world[:3, 3]
        count = len(xyz)
        return self.exchange.Points(
            xyz.astype(np.float32),
            np.tile(np.array([[200, 100, 50]], np.uint8), (count, 1)),
            np.linspace(0, 2, count).astype(np.float32),
            np.full(count, 3, np.int32),
        )


def truth_points(count: int):
    """Points (count, 3) of the room in front of the usual cameras."""
    random = np.random.default_rng(4)
    return random.uniform([-2.0, -1.5, 2.5], [2.0, 1.4, 7.5], (count, 3))


@pytest.fixture
def photograph(house, tmp_path):
    return Photographer(house, tmp_path)


@pytest.fixture(scope="session")
def stage():
    """The room and how to look at it, for tests that import nothing from here."""
    return SimpleNamespace(Shot=Shot, look=look, truth_points=truth_points, cast=cast, ROOT=ROOT)
