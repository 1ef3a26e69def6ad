"""Putting a result in place, interrupted at every step: the earlier result or the new one, never neither."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vggt_blender.exchange import staging as rooms
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import Frame, Source
from vggt_blender.exchange.writer import ReconstructionWriter

EARLIER = {"reconstruction.json": "old", "depth.npy": "old", "points.npz": "old"}
NEW = {"reconstruction.json": "new", "depth.npy": "new", "color.npy": "new"}


def fill(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def held(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


class Interrupted(BaseException):
    """What a killed process looks like from inside: nothing catches it, nothing is tidied."""


def kill_after(patched: pytest.MonkeyPatch, steps: int, *names: str) -> None:
    """Let `steps` calls of the methods `names` of a path happen, and interrupt the next one."""
    left = steps

    def counted(move: Any) -> Any:
        def limited(self: Path, *arguments: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Interrupted
            left -= 1
            return move(self, *arguments, **options)

        return limited

    for name in names:
        patched.setattr(Path, name, counted(getattr(Path, name)))


@pytest.mark.parametrize("earlier", [EARLIER, {}], ids=["over a result", "into nothing"])
@pytest.mark.parametrize("steps", range(12))
def test_killed_after_any_number_of_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: dict[str, str], steps: int
) -> None:
    folder = tmp_path / "out"
    fill(folder, earlier)
    staging = rooms.make_staging(folder)
    fill(staging, NEW)
    with monkeypatch.context() as patched:
        kill_after(patched, steps, "replace", "rename")
        with contextlib.suppress(Interrupted):
            rooms.put_in_place(staging, folder)
    rooms.discard_of(rooms.staging_owner(), folder)
    now = held(folder)
    assert now in (earlier, NEW)
    assert (now == NEW) == (steps >= (7 if earlier else 4))
    assert not list(folder.glob(".partial-*"))


@pytest.mark.parametrize("steps", range(7))
def test_killed_while_a_folder_is_swapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Never a list of pictures over the pictures of another, and somebody's own file is there in any case."""
    folder, mine = tmp_path / "out", {"mine.txt": "mine"}
    earlier = {"list.json": "old", "1.png": "old", "2.png": "old"}
    new = {"list.json": "new", "2.png": "new", "3.png": "new"}
    fill(folder, {**earlier, **mine})
    staging = rooms.make_staging(tmp_path)
    fill(staging / "out", new)
    with monkeypatch.context() as patched:
        kill_after(patched, steps, "rename", "unlink")
        with contextlib.suppress(Interrupted):
            rooms.swap_in(staging / "out", folder, list(earlier))
    rooms.discard_of(rooms.staging_owner(), tmp_path)
    now = held(folder)
    if steps < 2:
        assert now == {**earlier, **mine}
    elif steps < 6:
        assert {**now, **new, **mine} == now, "of the earlier one a file may be left that the new one has not"
    else:
        assert now == {**new, **mine}
    assert not list(tmp_path.glob(".partial-*"))


def test_a_folder_that_cannot_be_swapped_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "out", EARLIER)
    staging = rooms.make_staging(tmp_path)
    fill(staging / "out", NEW)
    move = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self == staging / "out":
            raise PermissionError(13, "in use")
        return move(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError):
        rooms.swap_in(staging / "out", tmp_path / "out", list(EARLIER))
    assert held(tmp_path / "out") == EARLIER


def test_a_move_that_fails_puts_the_earlier_result_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where Blender may hold a file open."""
    folder = tmp_path / "out"
    fill(folder, EARLIER)
    move = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if self.name == "color.npy":
            raise PermissionError(13, "in use")
        return move(self, target)

    with ReconstructionWriter(folder, overwrite=True) as writer:
        fill(writer.staging, NEW)
        monkeypatch.setattr(Path, "replace", refused)
        with pytest.raises(JobError, match="in use") as caught:
            writer.finish(engine={}, source=Source("images", "p"), frames=[])
    assert caught.value.code == "output"
    assert held(folder) == EARLIER
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


def test_what_a_dead_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = rooms.make_staging(tmp_path)
    theirs = mine.with_name(mine.name.replace(str(os.getpid()), str(dead.pid)))
    foreign = tmp_path / ".partial-anothermachine-1-x"
    for folder in (theirs, foreign):
        fill(folder, NEW)
    rooms.make_staging(tmp_path)
    assert mine.exists()
    assert foreign.exists()
    assert not theirs.exists()


def test_an_owner_clears_away_what_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = rooms.make_staging(tmp_path)
    monkeypatch.setenv(rooms.OWNER, "somebody")
    theirs = rooms.make_staging(tmp_path)
    rooms.discard_of("somebody", tmp_path)
    assert mine.exists()
    assert not theirs.exists()


def test_what_cannot_be_put_back_yet_is_kept_until_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    staging = rooms.make_staging(folder)
    fill(staging / "left", EARLIER)  # as a process leaves it that is killed between the two results

    def refused(self: Path, target: Path) -> Path:
        raise PermissionError(13, "in use")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refused)
        rooms.discard_of(rooms.staging_owner(), folder)
    assert held(staging / "left") == EARLIER
    rooms.discard_of(rooms.staging_owner(), folder)
    assert held(folder) == EARLIER
    assert not staging.exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_others_may_read_what_they_may_read_elsewhere(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        staging = rooms.make_staging(tmp_path)
        with ReconstructionWriter(tmp_path / "out") as writer:
            writer.open_dense(1, 4, 4)
            frames = [Frame("a", "a", 0, None, 4, 4)]
            folder = writer.finish(engine={}, source=Source("images", "p"), frames=frames)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (staging, folder)} == {0o750}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o640}
