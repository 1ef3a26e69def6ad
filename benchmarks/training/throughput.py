"""How many pictures a second: the scene generator and the training step, plain and fused, on this machine.

    python benchmarks/training/throughput.py CONFIG [--seconds 5] [--plain]

CONFIG is a training config (benchmarks/training/vggt_mini.toml); nothing is written but the table, and compiled kernels
where `benchmarks/train_mini.sh` looks for them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from vggt_blender.training import Trainer, TrainingConfig, load_config
from vggt_blender.training.processes import Processes, choose_device
from vggt_blender.training.scenes import SceneGenerator

ROOT = Path(__file__).resolve().parents[2]


def rate(work: Callable[[int], int], device: torch.device, seconds: float) -> tuple[float, float]:
    """Pictures a second of `work` (which returns how many it made), and the seconds of its first call."""

    def finish() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    start = finish()
    work(0)
    first = finish() - start
    start, made, calls = finish(), 0, 1
    while time.perf_counter() - start < seconds:
        made += work(calls)
        calls += 1
        finish()
    return made / (finish() - start), first


def measure(config: TrainingConfig, device: torch.device, seconds: float) -> list[tuple[str, float, float]]:
    """Rows of name, pictures a second, and seconds until the first batch. Steps get one batch, made once."""
    data, frames = config.data, config.data.frames[-1]
    height, width = max(data.sizes)
    generator = SceneGenerator(config.scenes, device, seed=1)

    def generate(index: int) -> int:
        return generator.batch(index, data.images_per_batch // frames, frames, height, width)["depths"][
            :, :, 0, 0
        ].numel()

    name = "replayed" if config.run.replay else "fused" if config.run.compile else "plain"
    rows = [(f"scenes, {'fused' if config.scenes.compile else 'plain'}", *rate(generate, device, seconds))]
    one = replace(data, frames=[frames], sizes=[[height, width]])
    with tempfile.TemporaryDirectory() as folder:
        run = replace(config.run, output=folder, keep="")
        trainer = Trainer(replace(config, data=one, run=run), Processes(0, 1, device))
        fixed = trainer.make_batch(0, 0)
        trainer.make_batch = lambda step, micro: fixed  # type: ignore[method-assign]
        start = time.perf_counter()
        trainer.prepare()
        prepared = time.perf_counter() - start
        speed, first = rate(lambda _: trainer.step()[1], device, seconds)
        rows.append((f"training step, {name}", speed, prepared + first))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--plain", action="store_true", help="leave out the fused variants")
    arguments = parser.parse_args()
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(ROOT / "runs" / "compiled"))
    config = load_config(arguments.config)
    device = choose_device(config.run.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    data = config.data
    print(f"{name}; batches of {data.images_per_batch} pictures, {max(data.sizes)[0]} x {max(data.sizes)[1]}")
    for fused in (False,) if arguments.plain else (False, True):
        replay = fused and config.run.replay and device.type == "cuda"
        run = replace(config.run, compile=fused and (config.run.compile or not replay), replay=replay)
        variant = replace(config, scenes=replace(config.scenes, compile=fused), run=run)
        for label, speed, first in measure(variant, device, arguments.seconds):
            print(f"{label:24s} {speed:9.1f} pictures/s   first batch after {first:6.1f} s", flush=True)
        if device.type == "cuda":
            print(f"{'peak memory':24s} {torch.cuda.max_memory_allocated(device) / 2**30:9.1f} GiB")


if __name__ == "__main__":
    main()
