"""The picture in docs/training.md: generated scenes, three frames each, and the depth of the first.

python benchmarks/training/contact_sheet.py docs/training_scenes.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vggt_blender.training.scenes import SceneConfig, SceneGenerator

HEIGHT, WIDTH = 98, 126
"""Of each picture, in pixels."""


def shade(depth: torch.Tensor) -> torch.Tensor:
    """Near bright, far dark, sky black, (H, W, 3)."""
    known = depth[depth > 0]
    near = torch.quantile(known, 0.02) if len(known) else torch.tensor(1.0)
    value = torch.where(depth > 0, near / depth.clamp(min=1e-6), 0.0).clamp(0, 1) ** 0.7
    return value[..., None].expand(-1, -1, 3)


def contact_sheet(rows: int, columns: int, seed: int) -> np.ndarray:
    """(rows * H, columns * 4 * W, 3) uint8; one scene in each cell: three frames and a depth map."""
    generator = SceneGenerator(SceneConfig(supersample=4, images_per_chunk=3), seed=seed)
    cells = []
    for index in range(rows * columns):
        batch = generator.batch(index, 1, 3, HEIGHT, WIDTH)
        frames = batch["images"][0].permute(0, 2, 3, 1)
        cells.append(torch.cat([*frames, shade(batch["depths"][0, 0])], dim=1))
    lines = [torch.cat(cells[row * columns : (row + 1) * columns], dim=1) for row in range(rows)]
    return (torch.cat(lines) * 255).byte().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--columns", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sheet = contact_sheet(arguments.rows, arguments.columns, arguments.seed)
    # A palette and no grain between its colors: a third of the size, and nothing lost that matters here.
    small = Image.fromarray(sheet).quantize(256, dither=Image.Dither.NONE)
    small.save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()
