"""Setting up the backend offline, with the real installer and small stand-in packages of the pinned versions."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vggt_blender.backend import setup
from vggt_blender.backend.environment import interpreter_in
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reporter import SILENCE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run_setup(programs: Any) -> Callable[..., tuple[int, list[dict]]]:
    """Status and messages of a set-up in a folder, from a folder of wheels, with options."""

    def run(folder: Path, wheels: Path, *options: str) -> tuple[int, list[dict]]:
        command = [sys.executable, "-m", "vggt_blender.backend.setup", folder, "--find-links", wheels, *options]
        done = programs.run(command, cwd=ROOT)
        assert done.stderr == ""
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    return run


def version_of(interpreter: Path, module: str) -> str:
    command = [str(interpreter), "-c", f"import {module}; print({module}.__version__)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_environment_is_made_offline_with_the_pinned_packages(run_setup: Any, wheels: Path, tmp_path: Path) -> None:
    status, lines = run_setup(tmp_path / "backend", wheels)
    assert status == 0
    assert lines[-1]["type"] == "done"
    interpreter = Path(lines[-1]["path"])
    assert interpreter == interpreter_in(setup.environment_in(tmp_path / "backend"))
    assert version_of(interpreter, "torch") == "2.13.0"
    assert version_of(interpreter, "pycolmap") == "4.2.1"

    setup.remove(tmp_path / "backend")
    assert not (tmp_path / "backend").exists()


def test_progress_is_told_by_what_is_on_disk(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second try, after one that got as far as 60 MB: uv takes longer than the first look, whatever the machine."""
    cache = tmp_path / "backend" / "cache"
    cache.mkdir(parents=True)
    (cache.parent / setup.MARKER).touch()
    with (cache / "fetched").open("wb") as file:
        file.truncate(60_000_000)
    monkeypatch.setattr(setup, "LOOK_S", 1e-4)
    seen: list[tuple[str, int, int]] = []

    class Report:
        def progress(self, *news: object) -> None:
            seen.append(news)

        def status(self, message: str) -> None: ...

    setup.install(setup.Plan(tmp_path / "backend", Path(sys.executable), torch_backend="cpu", wheels=wheels), Report())
    assert {(stage, total) for stage, _, total in seen} == {("Installing packages", 1400)}
    sizes = [done for _, done, _ in seen]
    assert sizes[0] == 60
    assert 60 <= max(sizes) < 70, "what uv adds is small here"


def test_missing_wheel_is_named_and_the_second_try_works(run_setup: Any, wheels: Path, tmp_path: Path) -> None:
    [missing] = wheels.glob("trimesh-*")
    missing.rename(tmp_path / missing.name)
    status, lines = run_setup(tmp_path / "backend", wheels, "--without-vggt")
    assert status == 1
    assert lines[-1]["type"] == "error"
    assert "trimesh" in lines[-1]["message"]
    assert "\n" not in lines[-1]["message"]
    (tmp_path / missing.name).rename(missing)
    assert run_setup(tmp_path / "backend", wheels, "--without-vggt")[0] == 0


def test_failed_update_keeps_the_environment_that_worked(run_setup: Any, wheels: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backend"
    assert run_setup(folder, wheels)[0] == 0
    for file in wheels.glob("numpy-*"):
        file.unlink()
    shutil.rmtree(folder / "cache")
    assert run_setup(folder, wheels)[0] == 1
    assert version_of(interpreter_in(setup.environment_in(folder)), "torch") == "2.13.0"


@pytest.mark.parametrize("held", ["environment", "environment.partial"])
def test_environment_in_use_is_kept_whole(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """As on Windows, which does not move a folder while a file in it is open."""
    folder = tmp_path / "backend"
    plan = setup.Plan(folder, Path(sys.executable), with_vggt=False, wheels=wheels)
    interpreter = setup.install(plan, SILENCE)
    (folder / "environment" / "first").touch()
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self.name == held:
            raise PermissionError(13, "in use")
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        with pytest.raises(JobError, match="is in use"):
            setup.install(plan, SILENCE)
    assert (folder / "environment" / "first").is_file()
    assert version_of(interpreter, "pycolmap") == "4.2.1"
    setup.install(plan, SILENCE)
    assert not (folder / "environment" / "first").exists()
    assert not (folder / "environment.old").exists()


def test_package_that_does_not_import_is_a_failure(
    run_setup: Any, wheels: Path, make_wheel: Callable[..., None], tmp_path: Path
) -> None:
    assert run_setup(tmp_path / "backend", wheels, "--without-vggt")[0] == 0
    shutil.rmtree(tmp_path / "backend" / "cache")
    make_wheel(wheels, "pycolmap", "4.2.1", "raise ImportError('libfoo.so is missing')\n")
    status, lines = run_setup(tmp_path / "backend", wheels)
    assert status == 1
    assert "libfoo.so is missing" in lines[-1]["message"]
    assert version_of(interpreter_in(setup.environment_in(tmp_path / "backend")), "pycolmap") == "4.2.1"


def test_installer_that_is_not_the_pinned_one_never_runs(run_setup: Any, wheels: Path, tmp_path: Path) -> None:
    [file] = wheels.glob("uv-*")
    file.chmod(0o644)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("added.txt", "tampered with")
    status, lines = run_setup(tmp_path / "backend", wheels)
    assert status == 1
    assert "not the published file" in lines[-1]["message"]
    assert not list((tmp_path / "backend").glob("uv/uv*"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_cancel_and_a_vanished_parent_stop_it(wheels: Path, programs: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vggt_blender.backend.setup", str(tmp_path / "backend")]
    command += ["--find-links", str(wheels), "--end-with-input"]
    for stop in (lambda process: process.send_signal(signal.SIGTERM), lambda process: process.stdin.close()):
        process = programs.start(command, cwd=ROOT)
        process.stdout.readline()
        if sys.platform == "linux":
            assert Path(f"/proc/{process.pid}/fd/0").readlink() == Path(os.devnull), "children must not wait for it"
        stop(process)
        lines = [json.loads(line) for line in process.stdout]
        assert process.wait() == 130
        assert lines[-1]["code"] == "cancelled"


def test_somebody_elses_folder_is_neither_used_nor_removed(run_setup: Any, wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "work.txt").write_text("mine")
    status, lines = run_setup(tmp_path / "precious", wheels)
    assert status == 1
    assert "already holds other files" in lines[-1]["message"]
    with pytest.raises(JobError, match="not made by this add-on"):
        setup.remove(tmp_path / "precious")
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["work.txt"]


def test_removal_takes_what_was_made_and_leaves_what_was_added(run_setup: Any, wheels: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backend"
    assert run_setup(folder, wheels, "--without-vggt")[0] == 0
    (folder / "notes.txt").write_text("mine")
    status, lines = run_setup(folder, wheels, "--remove")
    assert (status, lines[-1]["type"]) == (0, "done")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    status, lines = run_setup(folder, wheels, "--remove")
    assert (status, lines[-1]["type"]) == (1, "error")
