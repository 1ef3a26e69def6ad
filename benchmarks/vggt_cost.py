"""What VGGT costs: time and memory of the full-size network, with random weights, which cost the same as real ones.

    python benchmarks/vggt_cost.py                  # this processor: plain float32 against our normal path
    python benchmarks/vggt_cost.py --device cuda    # this GPU: frames against time and memory

On a processor each row is measured in processes of its own, one side after the other in the same run, from a
checkpoint in the page cache: *plain* builds the network, loads it in float32, takes all frames at once and keeps every
layer's output by hooks, as the first official code did; *ours* is what a reconstruction runs. Peak memory is
anonymous (RssAnon, sampled every 5 ms): pages of the memory-mapped checkpoint can be dropped and do not count.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from vggt_blender.inference import memory  # noqa: E402
from vggt_blender.inference.checkpoints import load_model  # noqa: E402
from vggt_blender.inference.devices import choose_device  # noqa: E402
from vggt_blender.model import VGGT, Chunks, linear  # noqa: E402

SIDES = ("plain", "ours", "ours-fp32")
CPU_SIZE, CUDA_SIZE = (350, 518), (336, 518)
CPU_FRAMES, CUDA_FRAMES = (1, 2, 4, 8), (1, 10, 50, 100, 200, 500)
ALL_HEADS = ("camera", "depth", "point")
BLOCK = 1 << 20


def random_weights(dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
    """A state dict of VGGT-1B, quickly: weights of the usual scale, one random block repeated.

    `dtype` is that of the aggregator's linear layers where it is not float32.
    """
    with torch.device("meta"):
        model = VGGT()
    halved = model.half_precision_keys() if dtype else frozenset()
    noise = torch.randn(BLOCK, generator=torch.Generator().manual_seed(0))
    weights = {}
    for name, like in model.state_dict().items():
        if name.endswith((".bias", ".gamma")) or like.dim() == 1:
            values = torch.full((like.numel(),), 0.0 if name.endswith("bias") else 0.1 if "gamma" in name else 1.0)
        else:
            scale = (like.numel() / like.shape[0]) ** -0.5 if like.dim() > 1 else 0.5
            values = (scale * noise).repeat(-(-like.numel() // BLOCK))[: like.numel()]
        weights[name] = values.view(like.shape).to(dtype if name in halved and dtype else torch.float32)
    return weights


class PeakMemory:
    """Samples this process's anonymous memory until `stop`."""

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.peak = max(self.peak, anonymous_bytes())

    def stop(self) -> int:
        """The largest value seen, in bytes."""
        self._done.set()
        self._thread.join()
        return self.peak


def anonymous_bytes() -> int:
    """RssAnon of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell a process's anonymous memory (Linux does)")


def plain_model(checkpoint: Path) -> VGGT:
    """The network as the official code makes it: built, initialised, then filled from the file, all in float32."""
    model = VGGT()
    model.load_state_dict(load_file(checkpoint))
    return model.eval()


def never(_x: torch.Tensor) -> bool:
    """Stands in for the choice of oneDNN; a Mock would keep every tensor that it is asked about."""
    return False


def run_plain(model: VGGT, images: torch.Tensor, heads: tuple[str, ...]) -> None:
    """All frames at once, every layer's output kept, products as PyTorch makes them."""
    kept: list[torch.Tensor] = []
    blocks = [*model.aggregator.frame_blocks, *model.aggregator.global_blocks]
    hooks = [block.register_forward_hook(lambda _block, _inputs, out: kept.append(out)) for block in blocks]
    with torch.no_grad(), mock.patch.object(linear, "one_dnn_is_faster", never):
        model(images, heads=heads, chunks=Chunks(frames=len(images), maps=8))
    for hook in hooks:
        hook.remove()


def run_ours(model: VGGT, images: torch.Tensor, heads: tuple[str, ...]) -> None:
    """Our path with its default chunks."""
    with torch.inference_mode():
        model(images, heads=heads)


def measure_side(side: str, checkpoint: Path, frames: int, heads: tuple[str, ...], started: float) -> dict[str, float]:
    """One cold run in this process, which was `started` (Unix time): seconds and bytes."""
    sampler = PeakMemory()
    if side == "plain":
        model = plain_model(checkpoint)
    else:
        half = choose_device("cpu").half if side == "ours" else None
        model = load_model(checkpoint, heads=heads, half=half)
    first_layer: list[float] = []
    watch = model.aggregator.patch_embed.register_forward_pre_hook(lambda *_: first_layer.append(time.time()))
    images = torch.rand(frames, 3, *CPU_SIZE, generator=torch.Generator().manual_seed(1))
    before = time.time()
    (run_plain if side == "plain" else run_ours)(model, images, heads)
    after = time.time()
    watch.remove()
    return {
        "to_first_layer": first_layer[0] - started,
        "per_frame": (after - before) / frames,
        "total": after - started,
        "peak": sampler.stop(),
    }


def child(*arguments: str) -> dict[str, float]:
    """Run this file again with `arguments`; returns what it printed."""
    command = [sys.executable, str(Path(__file__)), *arguments, "--started", str(time.time())]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def warm(checkpoint: Path) -> None:
    """Read the file once, so that every side finds it in the page cache."""
    with checkpoint.open("rb") as file:
        while file.read(1 << 24):
            pass


def cpu_rows(checkpoint: Path, options: argparse.Namespace) -> Iterator[str]:
    """The table's lines, one per number of frames and side, as they are measured."""
    yield "| frames | side | s to first layer | s a frame | faster | s from start to end | faster | peak GB |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for frames in options.frames or CPU_FRAMES:
        plain: dict[str, float] = {}
        for side in options.sides:
            warm(checkpoint)
            found = child("--side", side, "--frames", str(frames), "--checkpoint", str(checkpoint), *heads_of(options))
            plain = plain or found
            pace, whole = plain["per_frame"] / found["per_frame"], plain["total"] / found["total"]
            yield (
                f"| {frames} | {side} | {found['to_first_layer']:.1f} | {found['per_frame']:.2f} | {pace:.2f}x "
                f"| {found['total']:.1f} | {whole:.2f}x | {found['peak'] / 1e9:.2f} |"
            )


def measure_cuda(frames: int, heads: tuple[str, ...]) -> dict[str, float]:
    """One run on the GPU, warmed up by a chunk of frames: seconds of the aggregator with the cameras and of everything;
    peak bytes. The chunks are those that a reconstruction would plan."""
    device = choose_device("cuda")
    with torch.device("meta"):
        model = VGGT()
    model.load_state_dict(random_weights(device.half), assign=True)
    model = model.eval().requires_grad_(False)
    for head in {"camera", "depth", "point", "track"} - set(heads):
        setattr(model, f"{head}_head", None)
    model = model.to("cuda")
    run = memory.Run(model.config, frames, CUDA_SIZE, heads, device.half)
    chunks = memory.plan(run, "cuda", device.free_bytes())
    found = {}
    for images in (torch.rand(min(frames, 2 * (chunks.frames or 1)), 3, *CUDA_SIZE), torch.rand(frames, 3, *CUDA_SIZE)):
        torch.cuda.reset_peak_memory_stats()
        with torch.inference_mode():
            began = time.perf_counter()
            features = model.features(images, heads, chunks)
            model.poses(features)
            torch.cuda.synchronize()
            found["features"] = time.perf_counter() - began
            for head in set(heads) & {"depth", "point"}:
                for _frames, values, confidence in model.maps(features, head):
                    values.cpu(), confidence.cpu()
            found["total"] = time.perf_counter() - began
        found["peak"] = torch.cuda.max_memory_allocated()
        del features
    return found


def cuda_rows(options: argparse.Namespace) -> Iterator[str]:
    """The GPU's table."""
    yield f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n"
    yield "| frames | s aggregator and cameras | s with maps | s a frame | peak GB |"
    yield "| --- | --- | --- | --- | --- |"
    for frames in options.frames or CUDA_FRAMES:
        try:
            found = child("--side", "cuda", "--frames", str(frames), *heads_of(options))
        except subprocess.CalledProcessError:
            yield f"| {frames} | did not run: see above | | | |"
            continue
        yield (
            f"| {frames} | {found['features']:.2f} | {found['total']:.2f} | {found['total'] / frames:.3f} "
            f"| {found['peak'] / 1e9:.2f} |"
        )


def heads_of(options: argparse.Namespace) -> list[str]:
    """The option that hands the chosen heads to a child."""
    return ["--heads", *options.heads]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--frames", type=int, nargs="+", help="numbers of frames")
    parser.add_argument("--heads", nargs="+", choices=ALL_HEADS, default=["camera", "depth"])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--checkpoint", type=Path, help="a VGGT-1B safetensors file; without it a random one is made")
    parser.add_argument("--side", choices=(*SIDES, "cuda"), help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure, or be one of the processes that do."""
    options = arguments()
    if options.side:
        frames, heads = options.frames[0], tuple(options.heads)
        found: dict[str, Any] = (
            measure_cuda(frames, heads)
            if options.side == "cuda"
            else measure_side(options.side, options.checkpoint, frames, heads, options.started)
        )
        print(json.dumps(found))
    elif options.device == "cuda":
        for line in cuda_rows(options):
            print(line, flush=True)
    else:
        print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, heads: {', '.join(options.heads)}")
        print(f"Load of the machine before: {os.getloadavg()[0]:.1f} (above 0.5, other programs slowed both sides)\n")
        with tempfile.TemporaryDirectory(dir=ROOT, prefix=".cache-") as folder:
            checkpoint = options.checkpoint or Path(folder) / "random.safetensors"
            if not options.checkpoint:
                save_file(random_weights(), checkpoint)
            for line in cpu_rows(checkpoint, options):
                print(line, flush=True)


if __name__ == "__main__":
    main()
