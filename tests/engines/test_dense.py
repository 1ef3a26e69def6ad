"""Dense depth by a scene that is known exactly: posts before a dull wall, under a clear sky."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vggt_blender.engines.colmap.dense import write_depth
from vggt_blender.engines.colmap.layout import Placement
from vggt_blender.engines.colmap.solution import Observations, Solution
from vggt_blender.exchange.writer import ReconstructionWriter
from vggt_blender.geometry.cameras import Lens, project, rays_of_pixels, sample_pixels

WIDTH, HEIGHT, FINER = 240, 136, 4
LENS = Lens(210.0, 210.0, WIDTH / 2, HEIGHT / 2)
WALL, SKYLINE = 8.0, -1.1
POSTS = ((-0.9, 0.16, 3.0), (0.35, 0.25, 4.0), (1.1, 0.1, 3.4))
"""Centre (x), half width and depth (z) of each; all of them reach above the wall."""

Array = NDArray[np.float64]


class Silent:
    def progress(self, stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total

    def status(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...


@dataclass(frozen=True)
class Solved:
    """Pictures (N, h, w, 3), and true and found depth (N, h, w): NaN in the sky and where nothing was found."""

    pictures: NDArray[np.uint8]
    truth: Array
    depth: Array
    confidence: Array


def texture(seed: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).uniform(0, 1, (3, 512, 512)).astype(np.float32)
    layers = [cv2.resize(noise[k][: 512 >> k, : 512 >> k], (512, 512), interpolation=cv2.INTER_CUBIC) for k in (1, 2)]
    return np.asarray((layers[0] + layers[1]) / 2)


def painted(seed: int, x: Array, y: Array, contrast: float, tint: tuple[float, float, float]) -> Array:
    """Colors (..., 3) of a surface with its own contrast and tint at its coordinates `x` and `y` (...)."""
    u, v = ((110 * axis) % 511 for axis in (x, y))
    shade = cv2.remap(texture(seed), u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    return (120 + contrast * (shade - 0.5))[..., None] * np.array(tint)


def rendered(pose: Array) -> tuple[NDArray[np.uint8], Array]:
    """A picture, averaged over `FINER` x `FINER` rays a pixel, and Z depth at the pixels' centres."""
    fine = sample_pixels((HEIGHT * FINER, WIDTH * FINER), np.array([[1 / FINER, 0, 0], [0, 1 / FINER, 0]]))
    colors, _ = seen(fine, pose)
    picture = cv2.resize(colors.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    _, depth = seen(sample_pixels((HEIGHT, WIDTH), np.array([[1.0, 0, 0], [0, 1, 0]])), pose)
    noise = np.random.default_rng(int(1e3 * abs(pose[0, 3]))).normal(0, 0.4, picture.shape)
    return np.clip(picture + noise, 0, 255).round().astype(np.uint8), depth


def seen(pixels: Array, pose: Array) -> tuple[Array, Array]:
    """Colors (..., 3) and Z depth (...) along the rays of `pixels` (..., 2); cameras look along z, unturned."""
    rays = rays_of_pixels(pixels, LENS)
    center = -pose[:, 3]

    def at(z: float) -> tuple[Array, Array]:
        distance = z - center[2]
        return rays[..., 0] * distance + center[0], rays[..., 1] * distance + center[1]

    x, y = at(WALL)
    sky = y < SKYLINE
    color = np.where(sky[..., None], [205.0, 222.0, 240.0], painted(1, x, y, 25.0, (1.0, 0.9, 0.75)))
    depth = np.where(sky, np.nan, WALL - center[2])
    for number, (middle, half, z) in enumerate(sorted(POSTS, key=lambda post: -post[2])):
        x, y = at(z)
        hit = (np.abs(x - middle) < half) & (y > -0.9)
        color = np.where(hit[..., None], painted(2 + number, x, y, 200.0, (0.75, 0.85, 1.0)), color)
        depth = np.where(hit, z - center[2], depth)
    return color, depth


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Solved:
    """Seven cameras on a line, with the true cameras and some true points given."""
    centers = np.stack([np.linspace(-0.7, 0.7, 7), 0.03 * np.cos(np.arange(7)), np.zeros(7)], axis=-1)
    poses = [np.column_stack([np.eye(3), -center]) for center in centers]
    frames = [rendered(pose) for pose in poses]
    pictures, truth = (np.stack(part) for part in zip(*frames, strict=True))
    spots = np.random.default_rng(3).uniform(-1, 1, (400, 2))
    points = np.concatenate([np.column_stack([spots[:300] * [2.8, 1], np.full(300, WALL)])] +
                            [np.column_stack([x + half * spots[300:330, 0], spots[300:330, 1], np.full(30, z)])
                             for x, half, z in POSTS])  # fmt: skip
    observations = [Observations(np.arange(len(points)), project(points, pose, LENS)[0]) for pose in poses]
    solution = Solution(list(poses), [LENS] * len(poses), observations, points)
    places = [Placement(HEIGHT, WIDTH, 0, 0, WIDTH, HEIGHT)] * len(poses)
    with ReconstructionWriter(tmp_path_factory.mktemp("dense") / "out") as writer:
        writer.open_dense(len(poses), HEIGHT, WIDTH)
        assert writer.color is not None
        writer.color[:] = pictures
        write_depth(writer, solution, places, [None] * len(poses), Silent())
        return Solved(pictures, truth, np.array(writer.depth, float), np.array(writer.confidence))


def near_edges(truth: Array, reach: int) -> NDArray[np.bool_]:
    """Pixels (h, w) within `reach` of another surface, or of the sky."""
    inverse = np.nan_to_num(1 / truth)
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray((cv2.dilate(inverse, kernel) > 1.1 * inverse) | (cv2.erode(inverse, kernel) < inverse / 1.1))


def test_surfaces_are_found(solved: Solved) -> None:
    known = np.isfinite(solved.truth)
    found = known & np.isfinite(solved.depth)
    error = np.abs(solved.depth / solved.truth - 1)[found]
    assert found.sum() > 0.94 * known.sum()
    assert error.mean() < 0.015


def test_no_fringe_of_foreground_on_what_lies_behind(solved: Solved) -> None:
    """From the second pixel beside a post, the wall is the wall: square windows alone put a twelfth of it too near."""
    halo, beside, between = 0, 0, 0
    for truth, depth in zip(solved.truth, solved.depth, strict=True):
        wall = np.isfinite(truth) & (truth > WALL - 0.5) & np.isfinite(depth)
        band = wall & near_edges(truth, 4) & ~near_edges(truth, 1)
        beside += int(band.sum())
        halo += int((depth[band] < 0.9 * WALL).sum())
        rim = near_edges(truth, 3) & np.isfinite(depth)
        surfaces = np.stack([np.abs(depth[rim] / z - 1) < 0.03 for z in (WALL, *(post[2] for post in POSTS))])
        between += int((~surfaces.any(axis=0)).sum())
    assert halo < 0.01 * beside
    assert between < 0.02 * beside


def test_the_sky_has_no_depth_up_to_what_stands_before_it(solved: Solved) -> None:
    sky = np.isnan(solved.truth)
    rim = np.stack([near_edges(truth, 4) & ~near_edges(truth, 1) for truth in solved.truth])
    assert np.isfinite(solved.depth[sky & rim]).mean() < 0.05
    assert np.isfinite(solved.depth[sky]).mean() < 0.05


def test_confidence_is_zero_where_depth_is_unknown_and_only_there(solved: Solved) -> None:
    unknown = np.isnan(solved.depth)
    assert (solved.confidence[unknown] == 0).all()
    assert (solved.confidence[~unknown] > 0).mean() > 0.99
