"""The run's diary: one JSON object a line, curves in TensorBoard where wanted, pictures beside them."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..exchange.messages import JobError

LOG = "log.jsonl"


class Logbook:
    """Writes into `folder`; one that is not `active` (every process but the first) writes nothing."""

    def __init__(self, folder: Path, *, active: bool, tensorboard: bool) -> None:
        self.folder, self.active = folder, active
        self.curves: Any = None
        if active and tensorboard:
            if find_spec("tensorboard") is None:
                raise JobError(
                    "missing", "run.tensorboard needs the package 'tensorboard': install it or switch it off."
                )
            from torch.utils.tensorboard import SummaryWriter

            self.curves = SummaryWriter(str(folder / "tensorboard"))

    def write(self, kind: str, step: int, numbers: dict[str, float]) -> None:
        """Append a line of `kind` and echo it on stderr."""
        if not self.active:
            return
        rounded = {name: float(f"{value:.6g}") for name, value in numbers.items()}
        line = json.dumps({"kind": kind, "step": step} | rounded)
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, file=sys.stderr, flush=True)
        if self.curves is not None:
            for name, value in numbers.items():
                self.curves.add_scalar(f"{kind}/{name}", value, step)

    def show(self, name: str, pixels: np.ndarray) -> None:
        """Keep a picture (H, W, 3) uint8 as `name`.jpg."""
        if self.active:
            Image.fromarray(pixels).save(self.folder / f"{name}.jpg", quality=85)

    def close(self) -> None:
        """Flush what is buffered."""
        if self.curves is not None:
            self.curves.close()
