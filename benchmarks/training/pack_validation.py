"""The truth shots as small folders that travel: what training is judged by on a machine that has nothing else of ours.

    python benchmarks/training/pack_validation.py [--truth FOLDER] [--output runs/validation] [--frames 8] [--side 224]

Every shot of FOLDER (where `python -m benchmarks.truth` renders to) without lens distortion becomes a folder with a
truth.json, evenly spaced frames as the network gets them, and their depth: just what validating on the shot itself
would read.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from vggt_blender.exchange.messages import JobError
from vggt_blender.training.folders import fitted
from vggt_blender.training.validation import evenly_spaced, fitted_size

TRUTH = Path.home() / ".cache" / "vggt_matchmove" / "truth"


def pack(shot: Path, output: Path, frames: int, side: int) -> int:
    """Write one shot to `output`. Returns its size in bytes; raises `JobError` for one that cannot be used."""
    chosen = evenly_spaced(shot, frames)
    height, width = fitted_size(chosen[0], side)
    output.mkdir(parents=True, exist_ok=True)
    entries = []
    for frame in chosen:
        image, depth, intrinsics = fitted(frame, height, width)
        name = f"{frame.picture.stem}.png"
        Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy()).save(output / name, optimize=True)
        entry = {"name": name, "camera_from_world": frame.pose.tolist()}
        entry |= {
            key: float(intrinsics[row, column])
            for key, row, column in (("fx", 0, 0), ("fy", 1, 1), ("cx", 0, 2), ("cy", 1, 2))
        }
        if frame.depth is not None:
            entry["depth"] = f"{frame.picture.stem}.npy"
            known = np.where(depth > 0, depth, np.nan)
            np.save(output / entry["depth"], known.astype(np.float16))
        entries.append(entry)
    document = {"width": width, "height": height, "frames": entries}
    (output / "truth.json").write_text(json.dumps(document), encoding="utf-8")
    return sum(path.stat().st_size for path in output.iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", type=Path, default=TRUTH)
    parser.add_argument("--output", type=Path, default=Path("runs/validation"))
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--side", type=int, default=224)
    arguments = parser.parse_args()
    total = 0
    for shot in sorted(path.parent for path in arguments.truth.glob("*/truth.json")):
        try:
            size = pack(shot, arguments.output / shot.name, arguments.frames, arguments.side)
        except JobError as failure:
            print(f"{shot.name:16s} left out: {failure.message}")
            continue
        total += size
        print(f"{shot.name:16s} {size / 1e6:5.2f} MB")
    print(f"{'in all':16s} {total / 1e6:5.2f} MB in {arguments.output}")


if __name__ == "__main__":
    main()
