"""What outlives a run: the full state for going on to the last bit, and weights in 16 bit and small files.

The state holds weights, moments, the moving average and the position in the schedule, and stays on the machine.
The export is what travels: safetensors shards of the raw weights (``weights-*``) and of their moving average
(``average-*``), with ``training.json`` beside them saying how far the training was, and ``matching.safetensors``, which
only the training needs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..exchange.messages import JobError
from ..inference.checkpoints import read_tensors, save
from ..model import VGGTConfig

STATE = "state.pt"
POSITION = "training.json"
MATCHING = "matching.safetensors"


@dataclass
class Position:
    """How far a training is: steps, seconds and pictures in all, and steps since the moments were fresh."""

    step: int = 0
    seconds: float = 0.0
    images: int = 0
    since_fresh: int = 0


class MovingAverage:
    """An exponential moving average of a model's parameters, in float32."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._values = model.state_dict()  # the parameters' own memory: it shows what they are now
        self.shadow = {name: value.detach().float().clone() for name, value in self._values.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Move towards the model; faster at the start, so that the average is not one of random weights."""
        weight = 1 - min(self.decay, (1 + steps) / (10 + steps))
        now = [self._values[name].float() for name in self.shadow]
        torch._foreach_lerp_(list(self.shadow.values()), now, weight)


def save_state(path: Path, content: Mapping[str, Any]) -> None:
    """Write everything, so that `path` is either the old state or the new one, whole."""
    partial = path.with_suffix(".partial")
    torch.save(dict(content), partial)
    partial.replace(path)


def load_state(path: Path) -> dict[str, Any]:
    """The content of a state file, on the CPU. Raises `JobError` for one that cannot be read."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as failure:  # a damaged archive raises whatever its damaged part raises
        raise JobError(
            "broken", f"The training state '{path}' cannot be read: delete it to start anew.", str(failure)
        ) from None


def export(
    folder: Path,
    weights: Mapping[str, Tensor],
    average: Mapping[str, Tensor],
    config: VGGTConfig,
    position: Position,
    shard_bytes: int,
    matching: Mapping[str, Tensor],
) -> list[Path]:
    """Write both sets of weights as float16 shards, the position, and the `matching` loss's own layer if there is one.

    Returns the files. All are written before the first replaces an older one, and what is not of them goes last.
    """
    staging = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    files = []
    for stem, tensors in (("weights", weights), ("average", average)):
        half = {name: value.detach().to("cpu", torch.float16) for name, value in tensors.items()}
        # Half a shard of room for the header, which the limit must hold too.
        files += save(half, config, staging / f"{stem}.safetensors", shard_bytes=shard_bytes - 200_000)
    if matching:
        files.append(staging / MATCHING)
        save_file({name: value.detach().cpu().contiguous() for name, value in matching.items()}, files[-1])
    document = staging / POSITION
    document.write_text(json.dumps(asdict(position) | {"config": config.to_dict()}, indent=1), encoding="utf-8")
    return _moved([*files, document], folder)


def keep(exported: Path, folder: Path, more: Sequence[Path]) -> None:
    """Copy an export and `more` files into `folder`, whole or not at all each; shards of other counts go last."""
    staging = folder / ".partial"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    copies = [Path(shutil.copy2(path, staging / path.name)) for path in (*sorted(exported.iterdir()), *more)]
    _moved(copies, folder)


def _moved(files: Sequence[Path], folder: Path) -> list[Path]:
    """The files of a staging folder, in their place; that folder and shards that are not of them are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    there = [path.replace(folder / path.name) for path in files]
    for old in {*folder.glob("weights*.safetensors"), *folder.glob("average*.safetensors")} - set(there):
        old.unlink()
    files[0].parent.rmdir()
    return there


def read_matching(checkpoint: Path, layer: nn.Module) -> None:
    """Into `layer` what the run that wrote the `checkpoint` had learned for its own, where that lies beside it."""
    path = checkpoint.with_name(MATCHING)
    if path.is_file():
        try:
            layer.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError) as failure:
            raise JobError("broken", f"'{path}' does not fit this network: delete it.", str(failure)) from None


def read_export(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Tensor] | None, VGGTConfig, Position]:
    """Weights in float32, their moving average where it lies beside them, the architecture and the position.

    `checkpoint`: any one file of an export, or of any other checkpoint that `inference.checkpoints` reads.
    """
    weights, config = read_tensors(checkpoint)
    beside = checkpoint.with_name(checkpoint.name.replace("weights", "average", 1))
    average = None
    if checkpoint.name.startswith("weights") and beside.is_file():
        average = {name: value.float() for name, value in read_tensors(beside)[0].items()}
    position = Position()
    document = checkpoint.with_name(POSITION)
    if document.is_file():
        entries = json.loads(document.read_text(encoding="utf-8"))
        position = Position(int(entries["step"]), float(entries["seconds"]), int(entries["images"]))
    return {name: value.float() for name, value in weights.items()}, average, config, position
