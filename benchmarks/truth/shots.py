"""The table of shots. All of them are seeded: the same table renders the same frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vggt_blender.geometry.cameras import Lens

from . import paths
from .scenes import courtyard, plinth, room, yard

Array = NDArray[np.float64]
FIRST_FRAME = 1001


@dataclass(frozen=True)
class Shot:
    """One shot: a place, a move and a lens.

    ``build(seed)`` fills the empty Blender file, ``move(frames)`` gives the poses (frames, 3, 4), ``focal_mm`` is for a
    36 mm wide sensor along the longer side at the first and the last frame, ``distortion`` OpenCV's (k1, k2, p1, p2,
    k3), ``walk`` the start and end (x, y) of a person who crosses the shot, ``shutter`` the part of a frame that the
    shutter is open (None: no motion blur), ``samples`` the light samples a pixel. A ``compact`` shot is kept small for
    the tests: JPEG plates and coarse depth.
    """

    name: str
    build: Callable[[int], None]
    move: Callable[[int], Array]
    seed: int = 1
    size: tuple[int, int] = (640, 360)
    frames: int = 24
    focal_mm: tuple[float, float] = (28.0, 28.0)
    distortion: tuple[float, float, float, float, float] | None = None
    walk: tuple[tuple[float, float], tuple[float, float]] | None = None
    shutter: float | None = None
    samples: int = 8
    compact: bool = False

    def lenses(self, width: int, height: int) -> list[Lens]:
        """The lens of every frame for a picture of `width` x `height`."""
        focals = np.linspace(*self.focal_mm, self.frames) / 36.0 * max(width, height)
        return [Lens(float(f), float(f), width / 2, height / 2, self.distortion) for f in focals]


def _exterior(count: int) -> Array:
    positions = paths.through([(-2.2, -2.6, 1.6), (-0.8, -1.9, 1.75), (0.7, -0.9, 1.7), (2.0, 0.4, 1.85)], count)
    targets = paths.through([(-0.6, 10, 1.4), (0.2, 10, 1.3), (0.4, 11, 1.5)], count)
    return paths.look_along(positions, targets)


def _handheld(count: int) -> Array:
    positions = paths.through([(1.8, -1.5, 1.65), (0.9, -0.6, 1.6), (-0.4, 0.2, 1.7), (-1.2, 1.2, 1.65)], count)
    targets = paths.through([(0.6, 9, 1.2), (-0.5, 10, 1.5), (0.6, 11, 1.2)], count)
    rolls = 2.5 * paths.shake(count, 1.0, 11)[:, 0]
    return paths.look_along(positions + paths.shake(count, 0.025, 12), targets + paths.shake(count, 0.12, 13), rolls)


def _dolly(count: int) -> Array:
    positions = paths.through([(-2.6, -9.5, 1.9), (-0.2, -7.9, 2.0), (2.4, -6.0, 2.1)], count)
    return paths.look_along(positions, paths.through([(-0.5, 10, 1.6), (0.6, 10, 1.5)], count))


def _room(count: int) -> Array:
    positions = paths.through([(-1.5, -0.6, 1.5), (-0.5, -0.2, 1.62), (0.7, 0.3, 1.55), (1.5, 0.9, 1.7)], count)
    return paths.look_along(positions, paths.through([(-0.1, 6, 1.2), (0.2, 6, 1.1), (-0.3, 6, 1.25)], count))


def _orbit(count: int) -> Array:
    return paths.look_along(paths.arc((0, 0, 1.55), 3.4, 0.0, (-130, -45), count), (0, 0, 1.05))


def _portrait(count: int) -> Array:
    rise = np.linspace(0, 0.35, count)[:, None] * np.array([0, 0, 1.0])
    return paths.look_along(paths.arc((0, 0, 1.45), 3.6, 0.0, (-60, 20), count) + rise, (0, 0, 1.0))


def _pan(count: int) -> Array:
    angles = np.radians(np.linspace(-22, 22, count))
    targets = np.stack([10 * np.sin(angles), 10 * np.cos(angles) - 1, 1.5 + 0.6 * np.sin(3 * angles)], axis=-1)
    return paths.look_along((0.0, -1.0, 1.7), targets)


def _blurred(count: int) -> Array:
    positions = paths.through([(2.4, -2.4, 1.5), (0.8, -1.6, 1.9), (-0.6, -1.2, 1.5), (-2.4, 0.4, 1.8)], count)
    targets = paths.through([(2.2, 10, 1.2), (-0.6, 10, 1.8), (0.8, 10, 1.3), (-1.8, 10, 1.5)], count)
    return paths.look_along(positions, targets)


def _zooming(count: int) -> Array:
    positions = paths.through([(1.3, 0.8, 1.5), (0.2, 0.2, 1.6), (-1.2, 0.0, 1.55)], count)
    return paths.look_along(positions, paths.through([(0.2, 6, 1.1), (0.0, 6, 1.2)], count))


def _sample(count: int) -> Array:
    positions = paths.through([(-1.5, -1.4, 1.45), (-0.6, -0.7, 1.6), (0.5, -0.1, 1.7), (1.3, 0.7, 1.75)], count)
    targets = paths.through([(0.2, 8, 1.75), (-0.2, 8, 1.8), (-0.3, 8, 1.7)], count)
    return paths.look_along(positions, targets)


WIDE = (-0.12, 0.015, 0.0004, -0.0003, 0.0)

SHOTS: dict[str, Shot] = {
    shot.name: shot
    for shot in (
        Shot("exterior", yard.build, _exterior, seed=3),
        Shot("portrait", plinth.build, _portrait, seed=4, size=(360, 640), frames=20),
        Shot("handheld", yard.build, _handheld, seed=8, focal_mm=(30, 30)),
        Shot("dolly_long", yard.build, _dolly, seed=5, focal_mm=(60, 60)),
        Shot("room", room.build, _room, seed=6, focal_mm=(24, 24)),
        Shot("orbit", plinth.build, _orbit, seed=7, focal_mm=(32, 32)),
        Shot("wide", room.build, _room, seed=9, focal_mm=(20, 20), distortion=WIDE),
        Shot("low_texture", room.build_plain, _room, seed=10, focal_mm=(26, 26)),
        Shot("motion_blur", yard.build, _blurred, seed=11, shutter=0.5),
        Shot("person", yard.build, _exterior, seed=12, walk=((-2.6, 2.4), (2.2, 3.0))),
        Shot("nodal_pan", yard.build, _pan, seed=13, focal_mm=(32, 32)),
        Shot("sample", courtyard.build, _sample, seed=21, size=(960, 540), focal_mm=(25, 25), samples=16),
        Shot("zoom", room.build, _zooming, seed=14, focal_mm=(26, 42)),
        Shot("small_yard", yard.build, _exterior, seed=31, size=(480, 270), frames=14, samples=16, compact=True),
        Shot(
            "small_lens",
            room.build,
            _room,
            seed=32,
            size=(480, 270),
            frames=12,
            focal_mm=(22, 22),
            distortion=WIDE,
            samples=16,
            compact=True,
        ),
    )
}
