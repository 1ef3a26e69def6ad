"""How the sample shot was made: ``python samples/render.py`` renders it and packs it into ``samples/courtyard``.

The scene is ``benchmarks/truth/scenes/courtyard.py``. The frames become JPEGs; of the depth, every seventh frame and
every fifth pixel is kept, whose centres are centres of the smaller map's pixels too, so that no value is resampled.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SHOT = ROOT / "samples" / "courtyard"
QUALITY = 70
KEPT_DEPTH = slice(1, None, 7)
STEP = 5


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from benchmarks.truth.__main__ import CACHE, render

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the full-quality frames are kept")
    options = parser.parse_args()
    pack(render("sample", options.cache))


def pack(rendered: Path) -> None:
    """Write ``samples/courtyard`` from a rendered shot."""
    (SHOT / "depth").mkdir(parents=True, exist_ok=True)
    truth = json.loads((rendered / "truth.json").read_text(encoding="utf-8"))
    keep = set(range(len(truth["frames"]))[KEPT_DEPTH])
    for k, frame in enumerate(truth["frames"]):
        source, name = rendered / frame["name"], Path(frame["name"]).with_suffix(".jpg").name
        Image.open(source).save(SHOT / name, quality=QUALITY, optimize=True, progressive=True)
        frame["name"] = name
        depth = np.load(rendered / frame.pop("depth"))
        if k in keep:
            frame["depth"] = f"depth/{Path(name).stem}.npy"
            np.save(SHOT / frame["depth"], np.ascontiguousarray(depth[STEP // 2 :: STEP, STEP // 2 :: STEP]))
    (SHOT / "truth.json").write_text(json.dumps(truth, indent=1), encoding="utf-8")
    print(f"{SHOT}: {sum(path.stat().st_size for path in SHOT.rglob('*.*')) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
