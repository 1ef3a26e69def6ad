"""The network that comes along: whole, small, found by its name, not preferred, and as good as its card says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from vggt_blender.engines.run import choose_engine  # noqa: E402
from vggt_blender.exchange.job import Job  # noqa: E402
from vggt_blender.exchange.messages import JobError  # noqa: E402
from vggt_blender.inference import catalog  # noqa: E402
from vggt_blender.inference.checkpoints import load_model, read_config  # noqa: E402
from vggt_blender.training.scenes import SceneConfig, SceneGenerator  # noqa: E402
from vggt_blender.training.sources import load_architecture  # noqa: E402
from vggt_blender.training.validation import answer, folder_batch, mean_guess, mean_numbers, measure  # noqa: E402

WEIGHTS = Path(catalog.__file__).parent / "weights"
CARD = (WEIGHTS / "README.md").read_text(encoding="utf-8")
TRUTH = Path.home() / ".cache" / "vggt_matchmove" / "truth"
"""Where `make truth` renders to."""


@pytest.fixture
def nothing_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "cached", lambda entry: None)


def stated(row: str) -> list[float]:
    """The numbers of a row of the card's tables."""
    match = re.search(rf"^\| {re.escape(row)} \|(.*)\|$", CARD, re.MULTILINE)
    assert match, row
    return [float(cell) for cell in match[1].split("|")]


def test_it_is_found_and_small() -> None:
    path = catalog.locate(catalog.OWN)
    assert read_config(path) == load_architecture("vggt-mini")
    sizes = [file.stat().st_size for file in WEIGHTS.glob("*.safetensors")]
    assert max(sizes) < 16e6
    assert sum(sizes) < 30e6
    [row] = [row for row in catalog.describe() if row["name"] == catalog.OWN]
    assert row["path"] == str(path)
    assert row["size"] == sum(sizes)


def test_it_serves_where_nothing_else_is_but_is_not_preferred(nothing_downloaded: None) -> None:
    assert catalog.locate(None) == catalog.locate(catalog.OWN)
    assert choose_engine(Job(inputs=("-",), output="-")) == "colmap"
    assert choose_engine(Job(inputs=("-",), output="-", model=catalog.OWN)) == "vggt"


def test_it_cannot_be_downloaded() -> None:
    with pytest.raises(JobError, match="nothing to download"):
        catalog.download(catalog.OWN, None)  # type: ignore[arg-type]


def test_a_copy_without_it_says_what_to_do(nothing_downloaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_WEIGHTS", WEIGHTS / "nowhere")
    with pytest.raises(JobError, match="run 'models'"):
        catalog.locate(None)
    assert catalog.OWN not in {row["name"] for row in catalog.describe()}


@pytest.mark.slow
def test_generated_scenes_give_what_its_card_says() -> None:
    """Scenes of a seed that its training did not draw from."""
    config = SceneConfig(supersample=1, shadows=False, terrain=0.0, candidates=2, images_per_chunk=8)
    batch = SceneGenerator(config, seed=20_261_126).batch(0, 16, 4, 126, 224)
    found = measure(answer(load_model(catalog.locate(catalog.OWN)), batch, torch.float32), batch)
    guess = measure(mean_guess(batch, batch), batch)
    for row, numbers in (("16 generated scenes", found), ("the mean of these scenes", guess)):
        auc, depth = stated(row)
        assert numbers["auc30"] == pytest.approx(auc, abs=0.02), row
        assert numbers["depth_absrel"] == pytest.approx(depth, abs=0.01), row


@pytest.mark.slow
@pytest.mark.skipif(not TRUTH.is_dir(), reason="'make truth' has not run here")
def test_rendered_shots_give_what_its_card_says() -> None:
    model = load_model(catalog.locate(catalog.OWN))
    names = re.findall(r"^\| `(\w+)` \|", CARD, re.MULTILINE)
    assert len(names) >= 12
    rows = []
    for name in names:
        batch = folder_batch(TRUTH / name, 8, model.config.picture_side)
        rows.append(measure(answer(model, batch, torch.float32), batch))
        auc, _, depth = stated(f"`{name}`")
        assert rows[-1]["auc30"] == pytest.approx(auc, abs=0.04), name  # rendered anew, its noise is another
        assert rows[-1]["depth_absrel"] == pytest.approx(depth, abs=0.02), name
    auc, _, depth = stated("mean")
    numbers = mean_numbers(rows)
    assert numbers["auc30"] == pytest.approx(auc, abs=0.015)
    assert numbers["depth_absrel"] == pytest.approx(depth, abs=0.01)
