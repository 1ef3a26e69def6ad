"""Render the shots with known truth: ``python -m benchmarks.truth --shots exterior,portrait --output DIR``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from .record import Place
from .render import render_shot
from .shots import SHOTS

CACHE = Path.home() / ".cache" / "vggt_matchmove" / "truth"


def render(name: str, output: Path, *, samples: int | None = None, longer_side: int | None = None) -> Path:
    """Render what `output` does not hold yet of shot `name`. Returns the shot's folder."""
    shot = SHOTS[name]
    samples = samples or shot.samples
    ratio = 1.0 if longer_side is None else longer_side / max(shot.size)
    size = (round(shot.size[0] * ratio), round(shot.size[1] * ratio))
    place = Place(output / name, shot, size)
    place.prepare({"size": size, "samples": samples, "seed": shot.seed, "frames": shot.frames})
    render_shot(shot, place, samples, lambda line: print(line, flush=True))
    return place.folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth", description=__doc__)
    full = ",".join(name for name, shot in SHOTS.items() if not shot.compact)
    parser.add_argument("--shots", default=full, help=f"names, separated by commas (default {full})")
    parser.add_argument("--output", type=Path, default=CACHE, help=f"where they go, and are kept (default {CACHE})")
    parser.add_argument("--size", type=int, help="longer side in pixels, instead of each shot's own")
    parser.add_argument("--samples", type=int, help="light samples a pixel, instead of each shot's own")
    options = parser.parse_args()
    unknown = sorted(set(options.shots.split(",")) - set(SHOTS))
    if unknown:
        parser.error(f"there is no shot {', '.join(unknown)}; there are {', '.join(SHOTS)}")
    for name in options.shots.split(","):
        started = time.monotonic()
        folder = render(name, options.output, samples=options.samples, longer_side=options.size)
        print(f"{name}: {folder} ({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
