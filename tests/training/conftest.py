"""What several tests of training need: the smallest run, two processes of one, and gradients by finite differences."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Nothing here is large enough for two: they would mostly wait for each other, on a busy machine very long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny_run() -> str:
    """The beginning of a config: the smallest network, pictures and scenes."""
    return """
[model]
architecture = "vggt-tiny"
[data]
images_per_batch = 4
frames = [2]
sizes = [[28, 42]]
[scenes]
supersample = 1
shadows = false
candidates = 1
"""


@pytest.fixture
def run_in_two(programs: Any) -> Callable[..., None]:
    """Run a script in two processes that train one network."""

    def run(script: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        programs.run([*command, script, *arguments], env=environment).check_returncode()

    return run


@pytest.fixture
def assert_gradient() -> Callable[..., None]:
    """The gradient of `loss` at `values`, in a direction that `generator` draws, is the slope over a small step."""

    def check(
        loss: Callable[[torch.Tensor], torch.Tensor],
        values: torch.Tensor,
        generator: torch.Generator,
        *,
        rel: float,
        least: float,
    ) -> None:
        start = values.clone().requires_grad_()
        loss(start).backward()
        direction = torch.randn(values.shape, generator=generator)
        direction = direction / direction.norm()
        step = 1e-2
        slope = (float(loss(values + step * direction)) - float(loss(values - step * direction))) / (2 * step)
        assert float((start.grad * direction).sum()) == pytest.approx(slope, rel=rel, abs=least)

    return check
