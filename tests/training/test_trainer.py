"""The loop: it learns, goes on after a kill to the last bit, travels in small files, and refuses nonsense clearly."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from vggt_blender.exchange.messages import JobError
from vggt_blender.model import encode_pose
from vggt_blender.training import Trainer, TrainingConfig, load_config, train
from vggt_blender.training.config import (
    DataSection,
    LossSection,
    ModelSection,
    OptimizerSection,
    RunSection,
    ValidationSection,
)
from vggt_blender.training.folders import batch_of, load_shot
from vggt_blender.training.losses import normalize_scene
from vggt_blender.training.processes import Processes
from vggt_blender.training.scenes import SceneConfig, SceneGenerator, pool
from vggt_blender.training.scenes.views import project
from vggt_blender.training.validation import Answer, mean_guess, measure

ROOT = Path(__file__).parents[2]
ALONE = Processes(0, 1, torch.device("cpu"))


def config_for(output: Path, **run: object) -> TrainingConfig:
    return TrainingConfig(
        model=ModelSection(architecture="vggt-tiny"),
        data=DataSection(images_per_batch=4, frames=[2], sizes=[[28, 42]]),
        scenes=SceneConfig(supersample=1, shadows=False, candidates=1),
        loss=LossSection(point=0.0),
        optimizer=OptimizerSection(warmup=2, ema=0.9),
        run=replace(RunSection(str(output), steps=6, device="cpu", precision="float32", log_every=1), **run),
        validation=ValidationSection(every=1000, scenes=2, frames=2, size=[28, 42], pictures=False),
    )


def log_lines(output: Path, kind: str) -> list[dict]:
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_the_loss_of_one_batch_falls_to_a_tenth(tmp_path):
    config = config_for(tmp_path, steps=1000, seed=44)
    config = replace(config, optimizer=OptimizerSection(rate=3e-3, warmup=10, weight_decay=0.0))
    trainer = Trainer(config, ALONE)
    fixed = trainer.batch()
    trainer.batch = lambda micro=0: fixed
    first = float(trainer.step()[0]["loss"])
    for _ in range(250):
        last = float(trainer.step()[0]["loss"])
        if last <= first / 10:
            break
    assert last <= first / 10


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_resuming_gives_the_same_numbers_as_never_stopping(kind, tmp_path):
    whole, parts = (
        replace(config_for(tmp_path / name), optimizer=OptimizerSection(kind=kind, warmup=2, ema=0.9))
        for name in ("whole", "parts")
    )
    Trainer(whole, ALONE).run()
    first = Trainer(parts, ALONE)
    for _ in range(3):
        first.step()
    first.save()
    Trainer(parts, ALONE).run()
    whole, parts = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "parts"))
    assert whole["position"]["step"] == parts["position"]["step"] == 6
    for section in ("model", "average"):
        assert all(torch.equal(whole[section][name], parts[section][name]) for name in whole[section])
    losses = [line["loss"] for line in log_lines(tmp_path / "whole", "train")]
    assert [line["loss"] for line in log_lines(tmp_path / "parts", "train")] == losses[3:]


def test_batches_prepared_ahead_are_the_same(tmp_path):
    plain, ahead = (Trainer(config_for(tmp_path / name), ALONE) for name in ("a", "b"))
    ahead.prefetch = True
    for _ in range(3):
        assert float(plain.step()[0]["loss"]) == float(ahead.step()[0]["loss"])
    assert list(ahead._prepared) == [(3, 0)]


def test_the_export_is_small_and_training_goes_on_from_it(tmp_path):
    config = config_for(tmp_path / "first", shard_megabytes=0.5)
    trainer = Trainer(config, ALONE)
    trainer.run()
    files = sorted((tmp_path / "first" / "export").iterdir())
    assert all(file.stat().st_size <= 500_000 for file in files)
    shards = [file for file in files if file.name.startswith("weights-")]
    assert len(shards) > 1
    stored = {name: value for shard in shards for name, value in load_file(shard).items()}
    assert {value.dtype for value in stored.values()} == {torch.float16}
    for name, value in trainer.model.state_dict().items():
        torch.testing.assert_close(stored[name].float(), value, rtol=1e-3, atol=1e-6)

    onward = config_for(tmp_path / "second", steps=8)
    onward = replace(onward, model=ModelSection(checkpoint=str(shards[0]), continue_schedule=True))
    second = Trainer(onward, ALONE)
    assert (second.position.step, second.position.images, second.position.since_fresh) == (6, 24, 0)
    for name, value in second.model.state_dict().items():
        torch.testing.assert_close(value, stored[name].float())
    difference = max(float((second.average.shadow[name] - trainer.average.shadow[name]).abs().max()) for name in stored)
    assert difference < 1e-3
    second.run()
    assert second.position.step == 8


def test_the_rate_warms_up_and_falls_to_its_floor(tmp_path):
    trainer = Trainer(config_for(tmp_path, steps=100), ALONE)
    rates = []
    for step in range(101):
        trainer.position.step = trainer.position.since_fresh = step
        rates.append(trainer.rate())
    assert rates[0] == pytest.approx(0.5 * rates[1], rel=0.01)
    assert rates[1] == pytest.approx(2e-4, rel=0.01)
    assert rates[50] == pytest.approx(1e-4, rel=0.03)
    assert rates[100] == pytest.approx(1e-6)
    assert all(a >= b for a, b in itertools.pairwise(rates[1:]))


def test_a_budget_of_minutes_ends_the_call_with_everything_saved(tmp_path):
    config = config_for(tmp_path, steps=100_000, minutes=1e-6)
    Trainer(config, ALONE).run()
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["position"]["step"] == 1
    assert (tmp_path / "export" / "training.json").is_file()
    assert len(log_lines(tmp_path, "validation_generated")) == 1


def test_cameras_alone_are_learned_and_validated_from_scenes_used_again(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "CHUNK", 2)
    config = config_for(tmp_path, steps=2)
    config = replace(config, loss=replace(config.loss, depth=0.0), data=replace(config.data, reuse=3))
    trainer = Trainer(config, ALONE)
    assert isinstance(trainer.source, pool.ScenePool)
    depth = trainer.model.depth_head.norm.weight.detach().clone()
    trainer.run()
    assert torch.equal(trainer.model.depth_head.norm.weight, depth)
    (line,) = log_lines(tmp_path, "validation_generated")
    assert line["rotation_degrees"] > 0
    assert "depth_absrel" not in line


def test_frozen_parts_stay_as_they_are(tmp_path):
    config = config_for(tmp_path)
    config = replace(config, model=ModelSection("vggt-tiny", frozen=["aggregator.patch_embed", "depth_head"]))
    trainer = Trainer(config, ALONE)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    for _ in range(2):
        trainer.step()
    moved = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("aggregator.patch_embed", "depth_head", "point_head")) for name in moved)
    assert any(name.startswith("aggregator.frame_blocks") for name in moved)
    assert any(name.startswith("camera_head") for name in moved)
    with pytest.raises(JobError, match=r"no parameter's name starts with 'agregator'"):
        Trainer(replace(config, model=ModelSection("vggt-tiny", frozen=["agregator"])), ALONE)


def test_checkpointing_and_accumulation_change_no_gradient(tmp_path):
    plain = Trainer(config_for(tmp_path / "a"), ALONE)
    thrifty = Trainer(config_for(tmp_path / "b", checkpointing=True), ALONE)
    plain.step()
    thrifty.step()
    for a, b in zip(plain.model.parameters(), thrifty.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    config = config_for(tmp_path / "c")
    twice = Trainer(replace(config, optimizer=OptimizerSection(warmup=2, accumulate=2)), ALONE)
    assert not torch.equal(twice.batch(0)["images"], twice.batch(1)["images"])
    assert twice.step()[1] == 8


def test_a_loss_that_is_not_finite_moves_nothing_and_ends_the_run_in_time(tmp_path):
    trainer = Trainer(config_for(tmp_path, steps=1000), ALONE)
    good = trainer.batch()
    trainer.batch = lambda micro=0: good | {"images": good["images"] * float("nan")}
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))
    with pytest.raises(JobError, match="No finite loss"):
        trainer.run()


def test_bfloat16_trains_too(tmp_path):
    trainer = Trainer(config_for(tmp_path, precision="bfloat16"), ALONE)
    parts, images = trainer.step()
    assert images == 4
    assert all(torch.isfinite(torch.as_tensor(value)) for value in parts.values())
    assert all(parameter.dtype == torch.float32 for parameter in trainer.model.parameters())


def write_shot(folder: Path) -> dict[str, torch.Tensor]:
    """Four generated frames as a folder with a truth.json."""
    folder.mkdir()
    batch = SceneGenerator(SceneConfig(supersample=1, shadows=False, outdoor=0.0, terrain=0.0), seed=8).batch(
        0, 1, 4, 56, 84
    )
    frames = []
    for index in range(4):
        name = f"shot.{1001 + index}.png"
        pixels = (batch["images"][0, index].permute(1, 2, 0) * 255).round().byte().numpy()
        Image.fromarray(pixels).save(folder / name)
        np.save(folder / f"{index}.npy", batch["depths"][0, index].numpy())
        lens = batch["intrinsics"][0, index]
        frames.append(
            {
                "name": name,
                "camera_from_world": batch["extrinsics"][0, index].tolist(),
                "fx": float(lens[0, 0]),
                "fy": float(lens[1, 1]),
                "cx": 42.0,
                "cy": 28.0,
                "depth": f"{index}.npy",
            }
        )
    (folder / "truth.json").write_text(json.dumps({"width": 84, "height": 56, "frames": frames}))
    return batch


def test_a_folder_with_truth_becomes_a_batch(tmp_path):
    made = write_shot(tmp_path / "shot")
    shot = load_shot(tmp_path / "shot")
    same = batch_of([shot], 56, 84)
    torch.testing.assert_close(same["depths"], made["depths"])
    torch.testing.assert_close(same["images"], made["images"], atol=0.5 / 255 + 1e-6, rtol=0)
    a, b = normalize_scene(same), normalize_scene(made)
    for name in ("extrinsics", "world_points"):
        torch.testing.assert_close(a[name], b[name], atol=2e-4, rtol=2e-4)
    # Another shape: resized to cover, cropped; the points still project onto their pixels' centres.
    small = batch_of([shot[:2]], 42, 42)
    points = small["world_points"][:, 1].flatten(1, 2)
    pixels, _ = project(points, small["extrinsics"][:, 1:], small["intrinsics"][:, 1:])
    rows, columns = torch.meshgrid(torch.arange(42.0), torch.arange(42.0), indexing="ij")
    centers = torch.stack([columns, rows], -1).reshape(-1, 2) + 0.5
    assert (pixels[0, 0] - centers)[small["point_masks"][0, 1].flatten()].abs().max() < 1e-2
    assert float(small["intrinsics"][0, 0, 0, 2]) == pytest.approx(21.0)


def test_fine_tuning_on_folders(tmp_path):
    write_shot(tmp_path / "shot")
    config = config_for(tmp_path / "run", steps=2)
    config = replace(
        config,
        data=replace(config.data, folders=[str(tmp_path / "shot")]),
        validation=replace(
            config.validation, scenes=0, folders=[str(tmp_path / "shot")], folder_frames=3, pictures=True
        ),
    )
    Trainer(config, ALONE).run()
    (line,) = log_lines(tmp_path / "run", "validation_shot")
    assert 0 <= line["auc30"] <= 1
    assert line["depth_absrel"] > 0
    assert (tmp_path / "run" / "validation_shot.jpg").is_file()


def test_a_perfect_answer_measures_perfect_and_the_mean_guess_does_not():
    batch = SceneGenerator(SceneConfig(supersample=1, shadows=False), seed=3).batch(0, 6, 3, 28, 42)
    truth = normalize_scene(batch)
    pose = encode_pose(truth["extrinsics"], truth["intrinsics"], (28, 42))
    numbers = measure(Answer(pose, truth["depths"] * 3.0), batch)
    assert numbers["auc30"] > 0.999
    assert numbers["depth_absrel"] < 1e-5
    assert numbers["fov_percent"] < 1e-3
    assert numbers["rotation_degrees"] < 0.1
    guess = measure(mean_guess(batch, batch), batch)
    assert guess["auc30"] < 0.6
    assert guess["depth_absrel"] > 0.1


TOML = """
[run]
output = "{output}"
steps = 2
device = "cpu"
precision = "float32"
[validation]
scenes = 1
frames = 2
size = [28, 42]
"""


def test_a_config_file_is_all_it_takes(tmp_path, tiny_run):
    path = tmp_path / "run.toml"
    path.write_text(tiny_run + TOML.format(output=(tmp_path / "run").as_posix()))
    train(path)
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["position"]["step"] == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("[run]\nsteps = 'ten'", "run.steps must be a int"),
        ("[run]\nstep = 10", "unknown entry run.step; known are"),
        ("[run]\noutput = 'x'", "must say how long"),
        ("[run]\nsteps = 1\n[data]\nsizes = [[100, 224]]", "data.sizes must hold"),
        ("[run]\nsteps = 1\n[data]\nframes = [9]\nimages_per_batch = 4", "must hold the longest scene"),
        ("[run]\nsteps = 1\n[loss]\ncamera_kind = 'huber'", "loss.camera_kind"),
        ("model = 3", "model must be a table"),
        ("[run", "not valid TOML"),
    ],
)
def test_mistakes_in_a_config_are_named(tmp_path, wrong, message):
    path = tmp_path / "run.toml"
    path.write_text(wrong)
    with pytest.raises(JobError, match=message) as failure:
        load_config(path)
    assert "\n" not in failure.value.message


def test_a_state_of_another_network_is_refused(tmp_path):
    Trainer(config_for(tmp_path, steps=1), ALONE).run()
    with pytest.raises(JobError, match="another network"):
        Trainer(replace(config_for(tmp_path), model=ModelSection("vggt-mini")), ALONE)


@pytest.mark.slow
def test_two_processes_train_one_network(tmp_path, tiny_run, run_in_two):
    path = tmp_path / "run.toml"
    path.write_text(tiny_run + TOML.format(output=(tmp_path / "run").as_posix()))
    script = f"from pathlib import Path; from vggt_blender.training import train; train(Path({str(path)!r}))"
    (tmp_path / "go.py").write_text(script)
    run_in_two(tmp_path / "go.py")
    position = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["position"]
    assert (position["step"], position["images"]) == (2, 2 * 2 * 4)
