"""The programs around the training of vggt-mini: one call after another, and the validation shots that travel."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vggt_blender.training.config import load_config
from vggt_blender.training.validation import folder_batch

ROOT = Path(__file__).parents[2]


def write_portrait_shot(folder: Path) -> None:
    """Five frames of noise, twice as large as they will be packed, with depth."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    frames = []
    for index in range(5):
        noise = Image.fromarray(rng.integers(0, 255, (14, 8, 3), np.uint8)).resize((126, 224), Image.Resampling.BICUBIC)
        noise.save(folder / f"shot.{index}.png")
        depth = rng.uniform(1, 60, (224, 126)).astype(np.float32)
        depth[:50] = np.nan
        np.save(folder / f"{index}.npy", depth)
        pose = [[1, 0, 0, 0.3 * index], [0, 1, 0, 0], [0, 0, 1, 0.1 * index]]
        lens = {"fx": 200.0, "fy": 201.0, "cx": 63.0, "cy": 112.0}
        frames.append({"name": f"shot.{index}.png", "camera_from_world": pose, "depth": f"{index}.npy"} | lens)
    (folder / "truth.json").write_text(json.dumps({"width": 126, "height": 224, "frames": frames}))


def test_a_packed_shot_validates_as_the_shot_itself(tmp_path):
    spec = importlib.util.spec_from_file_location("packing", ROOT / "benchmarks" / "training" / "pack_validation.py")
    packing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(packing)
    write_portrait_shot(tmp_path / "shot")
    size = packing.pack(tmp_path / "shot", tmp_path / "packed", 3, 112)
    assert size < 200_000
    shot, packed = (folder_batch(tmp_path / name, 3, 112) for name in ("shot", "packed"))
    assert packed["images"].shape == (1, 3, 3, 112, 56)
    torch.testing.assert_close(packed["images"], shot["images"], atol=0.6 / 255, rtol=0)
    torch.testing.assert_close(packed["depths"], shot["depths"], atol=0, rtol=1e-3)
    torch.testing.assert_close(packed["extrinsics"], shot["extrinsics"])
    torch.testing.assert_close(packed["intrinsics"], shot["intrinsics"])


def test_the_configs_in_the_repository_are_valid():
    for path in (ROOT / "benchmarks" / "training").glob("*.toml"):
        load_config(path)


CONFIG = """
[loss]
point = 0.0
matching = 1.0
displacement = 1.0
[run]
output = "runs/vggt-mini"
total_minutes = 9.0
minutes = 9.0
device = "cpu"
precision = "float32"
[validation]
scenes = 2
frames = 2
size = [28, 42]
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_one_call_after_another_on_fresh_machines(tmp_path, tiny_run, programs):
    for name in ("a", "b"):
        write_portrait_shot(tmp_path / "shots" / name)
    (tmp_path / "tiny.toml").write_text(tiny_run + CONFIG)
    kept, checkpoint, steps = tmp_path / "kept", [], []
    for call in range(2):
        machine = tmp_path / f"machine {call}"
        (machine / "benchmarks").mkdir(parents=True)
        shutil.copy(ROOT / "benchmarks" / "train_mini.sh", machine / "benchmarks")
        environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        environment |= {"CONFIG": str(tmp_path / "tiny.toml"), "MINUTES": "0.02", "VALIDATE": f"{tmp_path}/shots/*"}
        script = ["sh", str(machine / "benchmarks" / "train_mini.sh"), str(kept), *checkpoint]
        programs.run(script, env=environment).check_returncode()
        names = {path.name for path in kept.iterdir()}
        assert {"weights.safetensors", "average.safetensors", "matching.safetensors", "training.json"} < names
        assert len(names) <= 8
        checkpoint = [str(kept / "weights.safetensors")]
        steps.append(json.loads((kept / "training.json").read_text())["step"])
        lines = [json.loads(line) for line in (kept / "log.jsonl").read_text().splitlines()]
        depth = {line["kind"].removeprefix("validation_"): line.get("depth_absrel") for line in lines}
        assert depth["shots"] == pytest.approx((depth["a"] + depth["b"]) / 2, rel=1e-4)
        assert {"shots_mean_guess", "generated_mean_guess"} < depth.keys()
    assert 0 < steps[0] < steps[1]
