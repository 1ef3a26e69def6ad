"""Checkpoint files: what goes in comes out, and what is wrong with a file is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vggt_blender.exchange.messages import JobError  # noqa: E402
from vggt_blender.inference.checkpoints import convert, load_model, read_tensors, save  # noqa: E402
from vggt_blender.model import VGGT, VGGTConfig  # noqa: E402

DATA = Path(__file__).parents[1] / "data" / "vggt"


@pytest.fixture(scope="module")
def model() -> VGGT:
    torch.manual_seed(0)
    config = VGGTConfig.from_dict(json.loads((DATA / "model_conv.json").read_text()))
    return VGGT(config).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((2, 3, 70, 98), np.float32))


def test_config_survives_a_round_trip(model: VGGT) -> None:
    for config in (VGGTConfig(), model.config, replace(model.config, track=None, point=None)):
        assert VGGTConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("shard_bytes", [None, 4_000_000])
def test_safetensors_round_trip(model: VGGT, images: torch.Tensor, tmp_path: Path, shard_bytes: int | None) -> None:
    files = save(model.state_dict(), model.config, tmp_path / "small.safetensors", shard_bytes=shard_bytes)
    assert (len(files) > 1) == (shard_bytes is not None)
    loaded = load_model(files[-1])
    assert loaded.config == model.config
    with torch.inference_mode():
        expected, found = model(images), loaded(images)
    for name in ("pose_enc", "depth", "world_points"):
        assert torch.equal(expected[name], found[name])


def test_only_wanted_heads_are_loaded(model: VGGT, images: torch.Tensor, tmp_path: Path) -> None:
    [file] = save(model.state_dict(), model.config, tmp_path / "small.safetensors")
    loaded = load_model(file, heads=("camera", "depth"))
    assert loaded.point_head is None
    assert loaded.track_head is None
    with torch.inference_mode():
        assert torch.equal(loaded(images)["depth"], model(images)["depth"])


def test_half_precision_is_stored_where_it_is_computed(model: VGGT, images: torch.Tensor, tmp_path: Path) -> None:
    [file] = save(model.state_dict(), model.config, tmp_path / "small.safetensors")
    loaded = load_model(file, half=torch.bfloat16)
    stored = loaded.state_dict()
    assert stored["aggregator.frame_blocks.0.attn.qkv.weight"].dtype == torch.bfloat16
    assert stored["aggregator.frame_blocks.0.norm1.weight"].dtype == torch.float32
    assert stored["depth_head.projects.0.weight"].dtype == torch.float32
    with torch.inference_mode():
        depth, exact = loaded(images)["depth"], model(images)["depth"]
    error = ((depth - exact).abs() / exact).median()
    assert 0 < error < 0.05


def test_torch_checkpoints_nested_as_training_programs_save_them(model: VGGT, tmp_path: Path) -> None:
    file = tmp_path / "training.pt"
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("track_head")}
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}, file)
    tensors, _ = read_tensors(file)
    assert set(tensors) == set(state)


class Harmful:
    def __reduce__(self) -> tuple:
        return (print, ("code ran",))


def test_pickled_code_never_runs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "harmful.pt"
    torch.save({"weights": Harmful()}, file)
    with pytest.raises(JobError, match="not a checkpoint"):
        load_model(file)
    assert "code ran" not in capfd.readouterr().out


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_file_is_refused(model: VGGT, tmp_path: Path, suffix: str, share: float) -> None:
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".pt":
        torch.save(model.state_dict(), whole)
    else:
        save(model.state_dict(), model.config, whole)
    content = whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(JobError, match="damaged") as refused:
        load_model(cut)
    assert "\n" not in refused.value.message


def test_missing_shard_is_named(model: VGGT, tmp_path: Path) -> None:
    files = save(model.state_dict(), model.config, tmp_path / "small.safetensors", shard_bytes=4_000_000)
    files[1].unlink()
    with pytest.raises(JobError, match=files[1].name):
        load_model(files[0])


def test_wrong_tensors_are_named(model: VGGT, tmp_path: Path) -> None:
    state = dict(model.state_dict())
    state["aggregator.camera_token"] = torch.zeros(1, 2, 1, 7)
    del state["camera_head.token_norm.weight"]
    state["somebody.elses.weight"] = torch.zeros(3)
    [file] = save(state, model.config, tmp_path / "wrong.safetensors")
    with pytest.raises(JobError) as refused:
        load_model(file)
    for expected in ("1 missing", "camera_head.token_norm.weight", "is (1, 2, 1, 7), not (1, 2, 1, 128)", "somebody"):
        assert expected in refused.value.message


def test_checkpoint_of_another_size_is_refused(model: VGGT, tmp_path: Path) -> None:
    file = tmp_path / "small.pt"
    torch.save(model.state_dict(), file)
    with pytest.raises(JobError, match="missing"):
        load_model(file)


def test_conversion_needs_a_whole_model(tmp_path: Path) -> None:
    file = tmp_path / "some.pt"
    torch.save({"weight": torch.zeros(2)}, file)
    with pytest.raises(JobError, match="not a checkpoint of this model"):
        convert(file, tmp_path / "some.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["some.pt"]


def test_conversion_keeps_every_number(model: VGGT, images: torch.Tensor, tmp_path: Path) -> None:
    parts = save(model.state_dict(), model.config, tmp_path / "parts.safetensors", shard_bytes=4_000_000)
    convert(parts[0], tmp_path / "whole.safetensors")
    (loaded, config), (expected, _) = read_tensors(tmp_path / "whole.safetensors"), read_tensors(parts[0])
    assert config == model.config
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert not list(tmp_path.glob(".*")), "the unfinished file is gone"
