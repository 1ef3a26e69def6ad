"""What may be recorded and played again: a step that does the same whatever it sees. (A GPU plays it; none is here.)"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from vggt_blender.exchange.messages import JobError  # noqa: E402
from vggt_blender.training.config import (  # noqa: E402
    DataSection,
    LossSection,
    ModelSection,
    RunSection,
    TrainingConfig,
    ValidationSection,
    load_config,
)
from vggt_blender.training.processes import Processes  # noqa: E402
from vggt_blender.training.scenes import SceneConfig  # noqa: E402
from vggt_blender.training.trainer import Trainer  # noqa: E402

ALONE = Processes(0, 1, torch.device("cpu"))
LOOKS = {"_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "index", "index_put_", "lift_fresh", "equal"}
"""Operations that on a GPU read values back, or bring new ones from the CPU."""


class Watch(TorchDispatchMode):
    """The names of all operations inside."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function._overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    """All losses that a small network starts with, and one dense map a scene."""
    losses = LossSection(
        point=0.0, valid_range=-1.0, matching=1.0, displacement=1.0, seen=1.0, pair_rotation=1.0, pair_direction=1.0,
        baseline=1.0, log_depth=1.0,
    )  # fmt: skip
    config = TrainingConfig(
        model=ModelSection(architecture="vggt-mini"),
        data=DataSection(images_per_batch=8, frames=[4], sizes=[[28, 42]], dense_frames=1),
        scenes=SceneConfig(supersample=1, shadows=False, candidates=1),
        loss=losses,
        run=RunSection(str(tmp_path), steps=4, device="cpu", precision="bfloat16"),
        validation=ValidationSection(scenes=2, size=[28, 42]),
    )
    return Trainer(config, ALONE)


def test_a_step_does_not_look_at_values(trainer: Trainer) -> None:
    batch = trainer.make_batch(0, 0)
    draw = trainer._draw(4)
    trainer._add_gradient(batch, draw)  # tables are made
    with Watch() as watch:
        trainer._add_gradient(batch, draw)
    assert len(watch.names) > 1000
    assert not LOOKS & set(watch.names)


def test_replay_wants_a_gpu_and_a_plain_step(trainer: Trainer, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"run\.replay is for one NVIDIA GPU"):
        Trainer(replace(trainer.config, run=replace(trainer.config.run, replay=True)), ALONE)
    path = tmp_path / "run.toml"
    path.write_text("[optimizer]\naccumulate = 2\n[run]\nsteps = 1\nreplay = true\n", encoding="utf-8")
    with pytest.raises(JobError, match=r"run\.replay goes with neither"):
        load_config(path)
