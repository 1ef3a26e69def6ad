"""Which Python the backend gets, and in what surroundings."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from vggt_blender.backend.environment import (
    VARIABLE,
    find_interpreter,
    interpreter_in,
    process_environment,
    record_interpreter,
)
from vggt_blender.exchange.messages import JobError


@pytest.fixture(autouse=True)
def nothing_set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_order_is_preference_variable_set_up_clone_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "clone"
    root.mkdir()
    with pytest.raises(JobError, match="not set up") as caught:
        find_interpreter(root)
    assert caught.value.code == "no_backend"

    recorded = program(tmp_path / "recorded" / "python")
    record_interpreter(recorded)
    assert find_interpreter(root) == recorded
    made = program(interpreter_in(root / ".venv"))
    assert find_interpreter(root) == made
    assert find_interpreter(root, set_up=tmp_path / "not there") == made
    set_up = program(tmp_path / "set up" / "python")
    assert find_interpreter(root, set_up=set_up) == set_up
    named = program(tmp_path / "named")
    monkeypatch.setenv(VARIABLE, str(named))
    assert find_interpreter(root, set_up=set_up) == named
    chosen = program(tmp_path / "chosen")
    assert find_interpreter(root, str(chosen)) == chosen


def test_an_extension_linked_into_blender_finds_the_clone(tmp_path: Path) -> None:
    clone, link = tmp_path / "clone", tmp_path / "extensions" / "vggt_matchmove"
    made = program(interpreter_in(clone / ".venv"))
    link.parent.mkdir()
    link.symlink_to(clone, target_is_directory=True)
    assert find_interpreter(link) == made


def test_a_wrong_choice_is_told_rather_than_replaced(tmp_path: Path) -> None:
    program(interpreter_in(tmp_path / ".venv"))
    with pytest.raises(JobError, match="preferences is not a program"):
        find_interpreter(tmp_path, str(tmp_path / "missing"))


def test_a_recorded_environment_that_was_deleted_is_not_used(tmp_path: Path) -> None:
    recorded = program(tmp_path / "recorded" / "python")
    record_interpreter(recorded)
    recorded.unlink()
    with pytest.raises(JobError):
        find_interpreter(tmp_path)


def test_blenders_own_python_does_not_leak_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONHOME", sys.prefix)
    monkeypatch.setenv("PYTHONPATH", "/blender/scripts")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    variables = process_environment(tmp_path)
    assert "PYTHONHOME" not in variables
    assert variables["PYTHONPATH"] == str(tmp_path)
    assert variables["CUDA_VISIBLE_DEVICES"] == "1"
    assert os.environ["PYTHONPATH"] == "/blender/scripts"
