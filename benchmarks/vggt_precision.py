"""How far VGGT in half precision is from VGGT in float32 on the processor, head by head.

    python benchmarks/vggt_precision.py --device cuda --checkpoint model.safetensors PICTURE...
    python benchmarks/vggt_precision.py --device cpu          # random weights, random pictures

The same network, the same pictures, twice: in float32 on the CPU, and as a reconstruction runs on `--device`. Per
result the largest and the median difference, and both over the median size of the float32 values. TF32 is off, so that
convolutions in float32 are. Prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file
from torch import Tensor

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from vggt_cost import ALL_HEADS, CUDA_SIZE, random_weights  # noqa: E402

from vggt_blender.inference.checkpoints import load_model  # noqa: E402
from vggt_blender.inference.devices import choose_device  # noqa: E402
from vggt_blender.inference.preprocessing import pad_to_common_size, prepare  # noqa: E402

RESULTS = ("pose_enc", "depth", "depth_conf", "world_points", "world_points_conf")


def read(pictures: list[Path]) -> Tensor:
    """Pictures (S, 3, H, W) in 0..1 at the network's size; without any, four of noise."""
    if not pictures:
        return torch.rand(4, 3, *CUDA_SIZE, generator=torch.Generator().manual_seed(1))
    prepared = pad_to_common_size([prepare(ImageOps.exif_transpose(Image.open(path))) for path in pictures])
    return torch.stack([torch.from_numpy(each.pixels.copy()) for each in prepared]).permute(0, 3, 1, 2) / 255


def results(checkpoint: Path, images: Tensor, device: str, half: torch.dtype | None) -> dict[str, Tensor]:
    """The dense results and the poses, in float32 on the CPU."""
    model = load_model(checkpoint, heads=ALL_HEADS, half=half).to(device)
    with torch.inference_mode():
        found = model(images)
    return {name: found[name].float().cpu() for name in RESULTS if name in found}


def rows(exact: dict[str, Tensor], ours: dict[str, Tensor]) -> Iterator[str]:
    """The table's lines."""
    yield "| result | largest difference | median difference | largest, relative | median, relative |"
    yield "| --- | --- | --- | --- | --- |"
    for name, truth in exact.items():
        apart, size = (ours[name] - truth).abs(), truth.abs().median()
        largest, middle = apart.max(), apart.median()
        yield f"| {name} | {largest:.2e} | {middle:.2e} | {largest / size:.2e} | {middle / size:.2e} |"


def main() -> None:
    """Run both and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--checkpoint", type=Path, help="a VGGT checkpoint; without it a random one is made")
    parser.add_argument("pictures", type=Path, nargs="*")
    options = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = False
    device, images = choose_device(options.device), read(options.pictures)
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".cache-") as folder:
        checkpoint = options.checkpoint or Path(folder) / "random.safetensors"
        if not options.checkpoint:
            save_file(random_weights(), checkpoint)
        exact = results(checkpoint, images, "cpu", None)
        ours = results(checkpoint, images, device.kind, device.half)
    shape = f"{len(images)} frames of {images.shape[-1]}x{images.shape[-2]}"
    print(f"{device.name}, {device.half or torch.float32}, {shape}, torch {torch.__version__}\n")
    for line in rows(exact, ours):
        print(line)


if __name__ == "__main__":
    main()
