"""Pictures for surfaces: seeded numpy arrays, periodic at their borders, rich at middle frequencies.

Every function returns (size, size, 3) float32 in 0..1, sRGB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Color = Sequence[float]


def clouds(size: int, seed: int, slope: float = 1.3, stretch: float = 1.0) -> Picture:
    """Noise (size, size) in 0..1 with a 1/f**slope spectrum; `stretch` > 1 draws it out along the rows."""
    rng = np.random.default_rng(seed)
    fy = np.fft.fftfreq(size)[:, None]
    fx = np.fft.rfftfreq(size)[None] * stretch
    radius = np.hypot(fy, fx)
    radius[0, 0] = np.inf
    spectrum = np.exp(2j * np.pi * rng.random(radius.shape)) / radius**slope
    spectrum[radius > 0.25 * max(stretch, 1.0)] = 0
    field = np.fft.irfft2(spectrum, (size, size))
    return np.clip(0.5 + field / (5 * field.std()), 0, 1).astype(np.float32)


def ramp(values: Picture, colors: Sequence[Color]) -> Picture:
    """Colors along 0..1, interpolated."""
    knots = np.linspace(0, 1, len(colors))
    table = np.asarray(colors, np.float32)
    return np.stack([np.interp(values, knots, table[:, channel]) for channel in range(3)], axis=-1).astype(np.float32)


def cells(size: int, count: int, seed: int) -> tuple[NDArray[np.int32], Picture]:
    """Voronoi cells of `count` random seeds: their numbers (size, size) and the distance to the nearest seed, 0..1."""
    rng = np.random.default_rng(seed)
    canvas = np.full((2 * size, 2 * size), 255, np.uint8)
    points = rng.integers(0, size, (count, 2))
    for shift in np.ndindex(2, 2):
        rows, columns = (points + np.array(shift) * size).T
        canvas[rows, columns] = 0
    distance, labels = cv2.distanceTransformWithLabels(canvas, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    middle = slice(size // 2, size // 2 + size)
    return labels[middle, middle], (distance[middle, middle] / distance.max()).astype(np.float32)


def edges(labels: NDArray[np.int32], width: int) -> Picture:
    """1 on the borders between labels, 0 inside, (size, size)."""
    border = (labels != np.roll(labels, 1, 0)) | (labels != np.roll(labels, 1, 1))
    wide = cv2.dilate(border.astype(np.uint8), np.ones((width, width), np.uint8))
    return cv2.GaussianBlur(wide.astype(np.float32), (0, 0), max(0.6, width / 4))


def tinted(labels: NDArray[np.int32], colors: Sequence[Color], seed: int, spread: float = 0.12) -> Picture:
    """Each label in one of `colors`, its brightness varied by `spread`."""
    rng = np.random.default_rng(seed)
    count = int(labels.max()) + 1
    table = np.asarray(colors, np.float32)[rng.integers(0, len(colors), count)]
    table = table * rng.normal(1, spread, (count, 1))
    return np.clip(table[labels], 0, 1).astype(np.float32)


def finish(picture: Picture, seed: int, grain: float = 0.35, slope: float = 1.0) -> Picture:
    """The picture under stains and fine grain."""
    size = picture.shape[0]
    stains = clouds(size, seed + 1, 1.7)[..., None]
    fine = clouds(size, seed + 2, slope)[..., None]
    return np.clip(picture * (1 + grain * (stains - 0.5)) * (1 + 1.4 * grain * (fine - 0.5)), 0, 1)


def plaster(size: int, seed: int, colors: Sequence[Color]) -> Picture:
    """A stained wall with flakes broken out of it."""
    base = ramp(clouds(size, seed, 1.5), colors)
    flakes = (clouds(size, seed + 5, 1.6) > 0.66).astype(np.float32)
    flakes = cv2.GaussianBlur(flakes, (0, 0), 0.8)[..., None]
    under = ramp(clouds(size, seed + 6, 1.0), [(0.32, 0.25, 0.2), (0.62, 0.5, 0.4)])
    return finish(base * (1 - flakes) + under * flakes, seed)


def stones(size: int, seed: int, colors: Sequence[Color], count: int = 350) -> Picture:
    """Irregular flagstones or pebbles with dark joints."""
    labels, distance = cells(size, count, seed)
    picture = tinted(labels, colors, seed) * (1.1 - 0.5 * distance[..., None])
    joint = edges(labels, max(2, size // 220))[..., None]
    return finish(picture * (1 - 0.75 * joint), seed, 0.6)


def bricks(size: int, seed: int, colors: Sequence[Color], rows: int = 28) -> Picture:
    """Running bond, every brick its own tone."""
    height = size / rows
    width = size / (rows // 2 // 2 * 2) * 1.0
    y, x = np.mgrid[:size, :size].astype(np.float32)
    wobble = 3.0 * (clouds(size, seed + 9, 1.5) - 0.5)
    row = np.floor((y + wobble) / height).astype(np.int32)
    column = np.floor((x + wobble + (row % 2) * width / 2) / width).astype(np.int32)
    labels = (row * 64 + column) - int((row * 64 + column).min())
    joint = edges(labels, max(2, size // 250))[..., None]
    mortar = np.float32([0.62, 0.58, 0.52])
    return finish(tinted(labels, colors, seed, 0.16) * (1 - joint) + mortar * joint, seed, 0.5)


def planks(size: int, seed: int, colors: Sequence[Color], boards: int = 12) -> Picture:
    """Boards along the columns' direction, with grain and knots."""
    rng = np.random.default_rng(seed)
    x = np.mgrid[:size, :size][1]
    bounds = np.sort(rng.choice(np.arange(size // 40, size), boards - 1, replace=False))
    labels = np.searchsorted(bounds, x).astype(np.int32)
    offsets = rng.integers(0, size, boards)
    grain = clouds(size, seed, 1.2, stretch=9.0).T
    rows = (np.mgrid[:size, :size][0] + offsets[labels]) % size
    fibre = grain[rows, x][..., None]
    joint = edges(labels, max(2, size // 300))[..., None]
    picture = tinted(labels, colors, seed, 0.15) * (0.55 + 0.9 * fibre)
    return finish(np.clip(picture * (1 - 0.8 * joint), 0, 1), seed, 0.4)


def poster(size: int, seed: int, colors: Sequence[Color]) -> Picture:
    """Random shapes and letters, as on a hoarding or a patterned cloth; no two alike."""
    rng = np.random.default_rng(seed)
    canvas = np.full((size, size, 3), colors[0], np.float32)
    for _ in range(90):
        ink = np.asarray(colors[rng.integers(len(colors))]) * rng.normal(1, 0.2)
        tone = [float(value) for value in np.clip(ink, 0, 1)]
        x, y = (int(value) for value in rng.integers(0, size, 2))
        extent = int(size * rng.uniform(0.02, 0.16))
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(canvas, (x, y), extent, tone, int(rng.choice([-1, size // 90])), cv2.LINE_AA)
        elif kind == 1:
            corners = (np.array([x, y]) + rng.integers(-extent, extent + 1, (4, 2))).astype(np.int32)
            cv2.fillPoly(canvas, [corners], tone, cv2.LINE_AA)
        elif kind == 2:
            end = (x + int(rng.integers(-3 * extent, 3 * extent)), y + int(rng.integers(-extent, extent + 1)))
            cv2.line(canvas, (x, y), end, tone, max(2, extent // 8), cv2.LINE_AA)
        else:
            text = "".join(rng.choice(list("ABDEFGHKLMNPRSTUXYZ23456789"), 4))
            weight = max(2, extent // 12)
            cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_DUPLEX, extent / 30, tone, weight, cv2.LINE_AA)
    return finish(canvas, seed, 0.3)


def earth(size: int, seed: int, colors: Sequence[Color]) -> Picture:
    """Ground: soil with scattered pebbles."""
    base = ramp(clouds(size, seed, 1.15), colors)
    labels, distance = cells(size, 2600, seed + 3)
    chosen = np.random.default_rng(seed).random(int(labels.max()) + 1) < 0.3
    pebble = (chosen[labels] & (distance < 0.28)).astype(np.float32)
    pebble = cv2.GaussianBlur(pebble, (0, 0), 0.9)[..., None]
    stone = tinted(labels, [(0.62, 0.58, 0.52), (0.42, 0.38, 0.35), (0.75, 0.7, 0.62)], seed)
    return finish(base * (1 - pebble) + stone * pebble, seed, 0.4)


def stripes(size: int, seed: int, colors: Sequence[Color], bands: int = 8) -> Picture:
    """Woven cloth in bands of two colors along the columns' direction, faded and stained."""
    x = np.mgrid[:size, :size][1] + 6 * (clouds(size, seed, 1.8) - 0.5)
    band = (np.floor(x * bands / size).astype(int) % 2)[..., None]
    first, second = np.float32(colors[0]), np.float32(colors[1])
    weave = 0.85 + 0.3 * clouds(size, seed + 4, 0.6, stretch=4.0)[..., None]
    return finish(np.clip(np.where(band == 0, first, second) * weave, 0, 1), seed, 0.35)


def kilim(size: int, seed: int, colors: Sequence[Color], bands: int = 15) -> Picture:
    """A woven rug: bands of zigzags and lozenges, each band its own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size].astype(np.float32) + 4 * (clouds(size, seed, 1.8) - 0.5)
    bounds = np.sort(rng.uniform(0, size, bands))
    band = np.searchsorted(bounds, y)
    palette = np.float32(colors)
    ground, figure = (palette[rng.integers(0, len(palette), bands + 1)][band] for _ in range(2))
    period = (size / rng.integers(5, 19, bands + 1))[band]
    phase = np.abs((x + rng.uniform(0, size, bands + 1)[band]) / period % 1 - 0.5) * 2
    height = np.concatenate([[0], bounds])[band]
    share = (y - height) / (np.concatenate([bounds, [size]])[band] - height + 1)
    lozenge = np.abs(share - 0.5) * 2 + phase
    mask = np.where((rng.random(bands + 1) < 0.6)[band], np.abs(lozenge - 0.75) < 0.28, np.abs(share - phase) < 0.22)
    weave = 0.85 + 0.3 * clouds(size, seed + 4, 0.6, stretch=4.0)[..., None]
    return finish(np.clip(np.where(mask[..., None], figure, ground) * weave, 0, 1), seed, 0.4)


def paint(size: int, seed: int, colors: Sequence[Color]) -> Picture:
    """Almost plain: what low-texture walls look like."""
    return ramp(0.5 + 0.10 * (clouds(size, seed, 1.8) - 0.5), colors)


KINDS: dict[str, Callable[[int, int, Sequence[Color]], Picture]] = {
    "plaster": plaster,
    "stones": stones,
    "bricks": bricks,
    "planks": planks,
    "poster": poster,
    "earth": earth,
    "stripes": stripes,
    "kilim": kilim,
    "paint": paint,
}
