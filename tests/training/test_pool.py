"""Scenes used more than once: still true in every cut and mirror, the same after a restart, and not for ever."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from vggt_blender.training.checks import check_projection  # noqa: E402
from vggt_blender.training.losses.matching import patch_targets  # noqa: E402
from vggt_blender.training.scenes import SceneConfig, SceneGenerator, pool  # noqa: E402

SIZE = (42, 56)


@pytest.fixture
def make(monkeypatch):
    """A pool of two chunks of eight scenes, and the numbers of the chunks that it made."""
    monkeypatch.setattr(pool, "CHUNK", 8)
    generator = SceneGenerator(SceneConfig(supersample=1, shadows=False, terrain=0.0), seed=4)

    def pooled(batches: int = 3) -> tuple[pool.ScenePool, list[int]]:
        numbers: list[int] = []

        def generate(number: int, *sizes: int) -> dict[str, torch.Tensor]:
            numbers.append(number)
            return generator.batch(number, *sizes)

        return pool.ScenePool(generate, frames=3, size=SIZE, batches=batches, seed=1, window=2), numbers

    return pooled


@pytest.mark.parametrize("size", [SIZE, (28, 56), (42, 28)])
def test_pictures_and_cameras_stay_of_one_scene(make, size):
    """What the cameras say a patch shows in the first frame has its color there; a pixel elsewhere has not."""
    scenes, _ = make()
    batch = scenes.batch(0, 24, 2, *size)
    assert batch["images"].shape == (24, 2, 3, *size)
    check_projection(batch)
    middle = batch["intrinsics"][..., :2, 2]
    assert torch.equal(middle, torch.tensor([size[1] / 2, size[0] / 2]).expand_as(middle))
    place, visible, _ = patch_targets(batch, 7, torch.tensor([1]))
    own = batch["images"][:, 1, :, 3::7, 3::7].flatten(2)
    x, y = (place[:, 0] * 7).long().unbind(dim=-1)
    colors = batch["images"][:, 0].flatten(2)
    there = colors.gather(2, (y * size[1] + x)[:, None].expand(-1, 3, -1))
    elsewhere = colors.gather(2, (y * size[1] + (size[1] - 1 - x))[:, None].expand(-1, 3, -1))
    seen = visible[:, 0]
    apart, far = ((own - other).abs().mean(dim=1)[seen].mean() for other in (there, elsewhere))
    assert apart < 0.5 * far


def test_half_of_the_scenes_are_mirrored(make):
    """The same scene and frame comes both ways round."""
    scenes, _ = make()
    batch = scenes.batch(0, 200, 1, *SIZE)
    pictures = batch["images"][:, 0]
    pairs = [(a, b) for a in range(200) for b in range(a) if torch.equal(pictures[a], pictures[b].flip(-1))]
    same = [(a, b) for a in range(200) for b in range(a) if torch.equal(pictures[a], pictures[b])]
    assert 0.5 < len(pairs) / len(same) < 2
    a, b = pairs[0]
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    first, second = batch["extrinsics"][a, 0], batch["extrinsics"][b, 0]
    torch.testing.assert_close(first[:, :3], mirror @ second[:, :3] @ mirror)
    torch.testing.assert_close(first[:, 3], mirror @ second[:, 3])


def test_a_restart_draws_the_same(make):
    through, _ = make()
    for index in range(8):
        expected = through.batch(index, 4, 2, *SIZE)
    again, made = make()
    found = again.batch(7, 4, 2, *SIZE)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert made == [2, 3], "a restart makes the window it needs and nothing of what came before"


def test_the_window_moves_on(make):
    scenes, made = make(batches=3)
    for index in range(7):
        scenes.batch(index, 2, 2, *SIZE)
    assert made == [0, 1, 2, 3]
