"""The reference networks: weights rebuilt from their names, inputs and outputs of the official model."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vggt_blender.model import VGGT, VGGTConfig  # noqa: E402

DATA = Path(__file__).parents[1] / "data" / "vggt"


def weight(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The reference data's weight of that name (see their description): the name alone seeds it."""
    z = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)
    if name.endswith(".gamma"):
        z = 0.5 + 0.1 * z
    elif name.endswith("weight") and len(shape) == 1:
        z = 1 + 0.1 * z
    elif name.endswith("bias"):
        z = 0.05 * z
    elif name.endswith("weight"):
        z = z / np.sqrt(np.prod(shape[1:]))
    else:
        z = 0.5 * z
    if name.endswith("pose_branch.fc2.weight"):
        z = 0.1 * z
    if name.endswith("pose_branch.fc2.bias"):
        z = z + np.array([0, 0, 0, 0, 0, 0, 0.25, 0.2, 0.25])
    if name.endswith("flow_head.weight"):
        z = 0.03 * z
    return torch.from_numpy(z.astype(np.float32))


@dataclass(frozen=True)
class Reference:
    """One configuration of the official model."""

    description: Mapping[str, object]
    arrays: Mapping[str, np.ndarray]
    model: VGGT

    @property
    def images(self) -> torch.Tensor:
        return torch.from_numpy(self.arrays["images_u8"].astype(np.float32) / 255)

    @property
    def queries(self) -> torch.Tensor:
        return torch.from_numpy(self.arrays["query_points"])

    def __getitem__(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[name])


def load(name: str) -> Reference:
    description = json.loads((DATA / f"model_{name}.json").read_text())
    with np.load(DATA / f"model_{name}.npz") as file:
        arrays = dict(file)
    with torch.device("meta"):
        model = VGGT(VGGTConfig.from_dict(description))
    weights = {key: weight(key, tuple(shape)) for key, shape in description["state_dict"].items()}
    model.load_state_dict(weights, strict=True, assign=True)
    return Reference(description, arrays, model.eval())


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """These networks are so small that threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def references() -> dict[str, Reference]:
    return {name: load(name) for name in ("conv", "vit")}


@pytest.fixture(params=["conv", "vit"])
def reference(request: pytest.FixtureRequest, references: dict[str, Reference]) -> Reference:
    return references[request.param]


@pytest.fixture(scope="session")
def functional() -> dict[str, torch.Tensor]:
    """Inputs and outputs of single functions."""
    with np.load(DATA / "functional.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file}


@pytest.fixture(scope="session")
def weight_by_name() -> Callable[[str, tuple[int, ...]], torch.Tensor]:
    return weight


def assert_close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float | None = None) -> None:
    """Largest difference within `tolerance`; by default 1e-4 of the largest value."""
    assert ours.shape == theirs.shape
    allowed = 1e-4 * theirs.abs().max().item() if tolerance is None else tolerance
    worst = (ours.double() - theirs.double()).abs().max().item()
    assert worst <= allowed, f"differs by {worst:.2e}, allowed {allowed:.2e}"


@pytest.fixture(scope="session")
def close() -> Callable[..., None]:
    return assert_close
