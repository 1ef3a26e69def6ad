"""Exit status and the one clear line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vggt_blender.cli import _parser, main


def paint(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["reconstruct", "a.png"],
        ["reconstruct", "a.png", "--output", "o", "--as", "film"],
        ["reconstruct", "a.png", "--output", "o", "--engine", "magic"],
        ["reconstruct", "a.png", "--output", "o", "--device", "tpu"],
        ["export", "d", "--to", "fbx", "--output", "o"],
        ["evaluate", "d"],
        ["resolve", "d"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert capsys.readouterr().err


def test_every_frozen_option_is_understood_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["reconstruct", "--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    for option in ("output", "as", "engine", "model", "device", "frames", "mask", "refine", "overwrite", "messages"):
        assert re.search(rf"--{option}\b", shown)


def test_the_table_of_the_design_names_every_option() -> None:
    rows = (Path(__file__).parents[2] / "docs" / "design.md").read_text(encoding="utf-8").splitlines()
    (verbs,) = (action.choices for action in _parser()._actions if action.dest == "verb")
    for verb in set(verbs) - {"worker"}:
        row = next(row for row in rows if row.startswith(f"| `{verb}"))
        options = {option for action in verbs[verb]._actions for option in action.option_strings} - {"-h", "--help"}
        assert {option for option in options if not re.search(rf"{option}\b(?!-)", row)} == set(), verb


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nothere"], 1, "no file or folder"),
        (["empty"], 1, "no pictures"),
        (["one"], 1, "at least two"),
        (["one", "--frames", "5"], 2, "START:STOP:STEP"),
        (["one", "--frames", "9:"], 1, "leaves none"),
        (["one", "--as", "video"], 2, "folder"),
        (["one", "one"], 2, "one folder"),
        (["one", "--mask", "nothere.png"], 1, "no mask"),
        (["broken"], 1, "can be read as a picture"),
        (["one", "--output", "done"], 1, "already holds a result"),
        (["~old plates/shot"], 1, "no file or folder"),
        (["one", "--output", "one/a.png/out"], 1, "one/a.png' is a file, not a folder: choose another"),
    ],
)
def test_what_fails_says_so_in_one_line_and_leaves_nothing(
    shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "one/a.png")
    for folder in ("empty", "broken", "done"):
        (tmp_path / folder).mkdir()
    (tmp_path / "broken/a.jpg").write_text("no picture")
    (tmp_path / "done/reconstruction.json").write_text("{}")
    output = [] if "--output" in arguments else ["--output", "out/deep"]
    code, printed, errors = shell.run("reconstruct", *arguments, *output, "--engine", "colmap")
    lines = [line for line in errors.splitlines() if line.startswith("Error: ")]
    assert (code, printed) == (status, "")
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "done/reconstruction.json").read_text() == "{}"


def test_the_same_failure_as_messages(shell: Any, tmp_path: Path) -> None:
    code, printed, _ = shell.run("reconstruct", tmp_path / "no", "--output", tmp_path / "out", "--messages", "json")
    (message,) = [json.loads(line) for line in printed.splitlines()]
    assert (code, message["type"], message["code"]) == (1, "error", "not_found")
    code, printed, _ = shell.run("reconstruct", "a", "--output", "o", "--frames", "x", "--messages", "json")
    (message,) = [json.loads(line) for line in printed.splitlines()]
    assert (code, message["code"]) == (2, "usage")


def test_options_that_an_engine_cannot_use_are_never_silent(shell: Any, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        paint(tmp_path / "in" / name)
    options = ["--model", "VGGT-1B", "--device", "cuda", "--refine", "--tracks", "5", "--point-head"]
    _, _, errors = shell.run("reconstruct", tmp_path / "in", "--output", tmp_path / "o", "--engine", "colmap", *options)
    for option in ("a model", "the device 'cuda'", "tracks", "the point head"):
        assert re.search(rf"Warning: .*{option}.*no effect", errors), option


def test_doctor_names_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["libraries"]["numpy"] == np.__version__
    assert set(report["engines"]) == {"colmap", "vggt"}
    assert report["engines"]["colmap"] is None
    assert main(["doctor"]) == 0
    assert np.__version__ in capsys.readouterr().out


def test_models_are_listed_with_licence_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("huggingface_hub")
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert "VGGT-1B-Commercial" in shown
    assert "non-commercial" in shown
    assert "5.0 GB" in shown
    assert "vggt-mini  (29 MB)" in shown
    assert main(["models", "download"]) == 2
    assert main(["models", "download", "nothing"]) == 2


def test_a_folder_without_a_result_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path)
    for arguments in (
        ["export", folder, "--to", "ply", "--output", str(tmp_path / "a.ply")],
        ["evaluate", folder, "--truth", "truth.json"],
        ["blend", folder, "--output", str(tmp_path / "a.blend")],
    ):
        assert main(arguments) == 1
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["resolve", "nothere", "--frames", "1:2"], 1, "no finished reconstruction in 'nothere'"),
        (["reconstruct", "one", "--output", "o", "--hand-tracks", "none.json"], 1, "no file 'none.json'"),
        (["reconstruct", "one", "--output", "o", "--hand-tracks", "bad.json"], 2, "begin with"),
        (["reconstruct", "one", "--output", "o", "--smooth-budget", "0.2"], 2, "--smooth"),
    ],
)
def test_constraints_that_cannot_be_used_are_one_line(
    arguments: list[str],
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "one" / "a.png")
    (tmp_path / "bad.json").write_text("{}")
    assert main(arguments) == status
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()
