"""What a run does when something is wrong: labels, folders, validation, the compiler, or the clock of one process."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from vggt_blender.exchange.messages import JobError
from vggt_blender.inference.checkpoints import save
from vggt_blender.model import VGGT, decode_pose, encode_pose
from vggt_blender.model.config import EncoderConfig
from vggt_blender.training import Trainer, TrainingConfig
from vggt_blender.training.checks import check_projection, rounded_products
from vggt_blender.training.config import DataSection, LossSection, ModelSection, RunSection, ValidationSection
from vggt_blender.training.keeping import read_export
from vggt_blender.training.losses import normalize_scene
from vggt_blender.training.losses.normalization import compose_with_inverse
from vggt_blender.training.processes import Processes
from vggt_blender.training.scenes import SceneConfig, SceneGenerator
from vggt_blender.training.sources import load_architecture, start_model
from vggt_blender.training.validation import Answer, answer, folder_batch, folder_names, measure

ROOT = Path(__file__).parents[2]
ALONE = Processes(0, 1, torch.device("cpu"))
MORE = LossSection(
    point=0.0,
    matching=1.0,
    displacement=1.0,
    seen=1.0,
    pair_rotation=1.0,
    pair_direction=1.0,
    baseline=1.0,
    log_depth=1.0,
)


def config_for(output: Path, **run: object) -> TrainingConfig:
    return TrainingConfig(
        model=ModelSection(architecture="vggt-tiny"),
        data=DataSection(images_per_batch=6, frames=[3], sizes=[[28, 42]], dense_frames=1),
        scenes=SceneConfig(supersample=1, shadows=False, candidates=1),
        loss=MORE,
        run=replace(RunSection(str(output), steps=4, device="cpu", precision="float32", log_every=1), **run),
        validation=ValidationSection(every=1000, scenes=2, frames=2, size=[28, 42], pictures=False),
    )


def ten_bits(values: torch.Tensor) -> torch.Tensor:
    """As TF32 rounds the factors of a product."""
    bits = values.contiguous().view(torch.int32)
    return ((bits + 0x0FFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def test_labels_of_rounded_products_are_refused():
    batch = SceneGenerator(SceneConfig(supersample=1, shadows=False), seed=3).batch(0, 4, 2, 28, 42)
    check_projection(batch)
    with pytest.raises(JobError, match=r"pixels beside their own.*Nothing was trained"):
        check_projection(batch | {"world_points": ten_bits(batch["world_points"])})


def test_only_the_network_may_round_its_products():
    before = torch.get_float32_matmul_precision()
    with rounded_products(torch.device("cuda")):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before
    with rounded_products(torch.device("cpu")):
        assert torch.get_float32_matmul_precision() == before


def test_all_losses_train_and_the_export_stays_official(tmp_path):
    first = Trainer(config_for(tmp_path / "a", keep=str(tmp_path / "kept")), ALONE)
    untrained = first.learner.readings.weight.detach().clone()
    first.run()
    assert not torch.equal(first.learner.readings.weight, untrained)
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert kept == ["average.safetensors", "log.jsonl", "matching.safetensors", "training.json", "weights.safetensors"]
    stored = load_file(tmp_path / "kept" / "weights.safetensors")
    assert stored.keys() == first.model.state_dict().keys()
    # Both ways of going on have the layer that reads displacements: from the state, and elsewhere from what was kept.
    again = Trainer(config_for(tmp_path / "a", steps=6), ALONE)
    assert torch.equal(again.learner.readings.weight, first.learner.readings.weight)
    onward = replace(
        config_for(tmp_path / "b"), model=ModelSection(checkpoint=str(tmp_path / "kept/weights.safetensors"))
    )
    assert torch.equal(Trainer(onward, ALONE).learner.readings.weight, first.learner.readings.weight)


def test_a_run_that_dies_leaves_what_it_had(tmp_path):
    trainer = Trainer(config_for(tmp_path / "run", keep=str(tmp_path / "kept"), save_every=2), ALONE)
    make = trainer.make_batch

    def dying(step: int, micro: int) -> dict[str, torch.Tensor]:
        if step == 3:
            raise KeyboardInterrupt
        return make(step, micro)

    trainer.make_batch = dying
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    _, average, _, position = read_export(tmp_path / "kept" / "weights.safetensors")
    assert position.step == 2
    assert average is not None


def test_a_schedule_may_end_with_the_call(tmp_path):
    """Whatever went before, the rate has fallen to its floor when the minutes of a call without a length are over."""
    Trainer(config_for(tmp_path / "run"), ALONE).run()
    config = config_for(tmp_path / "run", steps=0, minutes=0.03, log_every=1000)
    trainer = Trainer(config, ALONE)
    trainer.run()
    assert trainer.position.step > 4
    assert trainer.progress() > 0.9
    assert trainer.rate() < 0.1 * config.optimizer.rate


def test_shards_of_another_count_do_not_stay_behind(tmp_path):
    for size in (0.3, 15.5):
        trainer = Trainer(config_for(tmp_path / "run", keep=str(tmp_path / "kept"), shard_megabytes=size), ALONE)
        trainer.save()
        for folder in (tmp_path / "run" / "export", tmp_path / "kept"):
            names = [path.name for path in folder.iterdir()]
            assert ("weights.safetensors" in names) == (size > 1)
            assert any(name.startswith("weights-00002") for name in names) == (size < 1)
            assert not any("partial" in name for name in names)
    read_export(tmp_path / "kept" / "weights.safetensors")


def test_a_missing_validation_folder_is_named_before_the_first_step(tmp_path):
    config = config_for(tmp_path / "run")
    config = replace(config, validation=replace(config.validation, folders=[str(tmp_path / "nowhere")]))
    with pytest.raises(JobError, match="nowhere"):
        Trainer(config, ALONE)


def test_validation_folders_of_one_name_are_told_apart():
    assert folder_names(["shots/010", "shots/020"]) == ["010", "020"]
    assert folder_names(["shots/010/solve", "/shots/020/solve"]) == ["010_solve", "020_solve"]
    assert folder_names([]) == []


def test_a_validation_that_fails_costs_no_training(tmp_path):
    trainer = Trainer(config_for(tmp_path / "run"), ALONE)
    (tmp_path / "run" / "validation_generated.jpg").mkdir()
    trainer.config = replace(trainer.config, validation=replace(trainer.config.validation, pictures=True, every=2))
    with pytest.warns(UserWarning, match="Validation failed, training goes on"):
        trainer.run()
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["position"]["step"] == 4


def test_blocks_that_cannot_be_compiled_run_as_they_are(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> object:
        def call(*_: object) -> object:
            raise RuntimeError("no compiler here")

        return call

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.warns(UserWarning, match="Block runs uncompiled.*no compiler here"):
        Trainer(config_for(tmp_path / "fused", compile=True), ALONE).run()
    Trainer(config_for(tmp_path / "plain"), ALONE).run()
    fused, plain = (torch.load(tmp_path / name / "state.pt", weights_only=True)["model"] for name in ("fused", "plain"))
    assert all(torch.equal(fused[name], plain[name]) for name in plain)


def test_a_start_from_nothing_is_as_the_config_says():
    section = ModelSection("vggt-tiny", camera_layer_scale=0.3, token_std=0.02)
    torch.manual_seed(0)
    model, _, _ = start_model(TrainingConfig(model=section))
    assert (model.camera_head.trunk[0].ls1.gamma == 0.3).all()
    assert 0.01 < model.aggregator.camera_token.std() < 0.03
    plain: VGGT = start_model(TrainingConfig(model=ModelSection("vggt-tiny")))[0]
    assert (plain.camera_head.trunk[0].ls1.gamma == 0.01).all()
    assert plain.aggregator.camera_token.std() < 1e-5


def test_a_grown_network_sees_in_twice_the_size_what_it_saw_before(tmp_path):
    torch.manual_seed(0)
    tiny = load_architecture("vggt-tiny")
    sizes = replace(tiny, patch_size=7, encoder=EncoderConfig(42, tiny.aggregator.embed_dim, 1, 2, stem=8))
    model = VGGT(sizes)
    path = tmp_path / "weights.safetensors"
    save(model.state_dict(), sizes, path)
    images = torch.rand(1, 2, 3, 56, 84)
    before = model.eval()(torch.nn.functional.avg_pool2d(images.flatten(0, 1), 2)[None])
    grown, _, _ = start_model(TrainingConfig(model=ModelSection(checkpoint=str(path), grow=True)))
    assert (grown.config.patch_size, grown.config.encoder.img_size) == (14, 84)
    after = grown.eval()(images)
    torch.testing.assert_close(after["pose_enc"], before["pose_enc"], rtol=1e-4, atol=1e-5)
    assert after["depth"].shape == (1, 2, 56, 84, 1)
    path = tmp_path / "even.safetensors"
    save(grown.state_dict(), grown.config, path)
    with pytest.raises(JobError, match="patches of an odd size"):
        start_model(TrainingConfig(model=ModelSection(checkpoint=str(path), grow=True)))


def test_a_camera_that_only_turns_is_not_asked_where_it_went():
    batch = SceneGenerator(SceneConfig(supersample=1, shadows=False, terrain=0.0), seed=3).batch(0, 4, 3, 28, 42)
    batch["extrinsics"][..., 3] = 0.0
    truth = normalize_scene(batch)
    pose = encode_pose(truth["extrinsics"], truth["intrinsics"], (28, 42))
    pose[..., :3] = 1e-5 * torch.randn(pose[..., :3].shape, generator=torch.Generator().manual_seed(0))
    numbers = measure(Answer(pose, truth["depths"]), batch)
    assert numbers["auc30"] > 0.999
    assert "rta15" not in numbers


def test_validation_gives_the_network_the_frame_that_it_wants_first():
    """And tells of the shot's own frames: the depth of each, and cameras relative to the first of them."""
    model = VGGT(load_architecture("vggt-tiny")).eval()
    wanting = VGGT(replace(model.config, middle_first=True)).eval()
    wanting.load_state_dict(model.state_dict())
    batch = SceneGenerator(SceneConfig(supersample=1, shadows=False, terrain=0.0), seed=3).batch(0, 1, 3, 28, 42)
    turned = {name: value[:, [1, 0, 2]] for name, value in batch.items()}
    given, expected = answer(wanting, batch, torch.float32), answer(model, turned, torch.float32)
    torch.testing.assert_close(given.depth[:, [1, 0, 2]], expected.depth)
    first, second = (decode_pose(pose.double(), (28, 42))[0] for pose in (given.pose, expected.pose[:, [1, 0, 2]]))
    torch.testing.assert_close(first[:, 0], torch.eye(3, 4, dtype=torch.float64)[None], atol=1e-5, rtol=0)
    torch.testing.assert_close(first, compose_with_inverse(second, second[:, 0]), atol=1e-5, rtol=0)


def test_a_portrait_shot_is_validated_whole(tmp_path):
    frames = []
    for index in range(2):
        Image.fromarray(np.full((160, 90, 3), 99, np.uint8)).save(tmp_path / f"{index}.png")
        pose = [[1, 0, 0, index], [0, 1, 0, 0], [0, 0, 1, 0]]
        frames.append({"name": f"{index}.png", "camera_from_world": pose, "fx": 90, "fy": 90, "cx": 45, "cy": 80})
    (tmp_path / "truth.json").write_text(json.dumps({"width": 90, "height": 160, "frames": frames}))
    batch = folder_batch(tmp_path, 8, 224)
    assert batch["images"].shape == (1, 2, 3, 224, 126)
    assert float(batch["intrinsics"][0, 0, 0, 0]) == pytest.approx(90 * 224 / 160)


GO = """
import os, sys, time
real = time.monotonic
if os.environ["RANK"] == "1":
    time.monotonic = lambda: 100 * real()
from pathlib import Path
from vggt_blender.training import train
train(Path(sys.argv[1]))
"""
TOML = """
[run]
output = "{output}"
total_minutes = 2.0
device = "cpu"
precision = "float32"
[validation]
scenes = 0
"""


@pytest.mark.slow
def test_processes_whose_clocks_differ_end_together(tmp_path, tiny_run, run_in_two):
    (tmp_path / "run.toml").write_text(tiny_run + TOML.format(output=(tmp_path / "run").as_posix()))
    (tmp_path / "go.py").write_text(GO)
    run_in_two(tmp_path / "go.py", str(tmp_path / "run.toml"))
    position = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["position"]
    assert position["seconds"] >= 120
