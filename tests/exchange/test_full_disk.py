"""A disk that fills: a real, small one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import Frame, Points, Source, load_reconstruction
from vggt_blender.exchange.writer import ReconstructionWriter

SIZE = 4 * 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    if not sys.platform.startswith("linux"):
        pytest.skip("mounts a tmpfs")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Somebody else takes all that is left."""
    with (disk / "other").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        write_for_ever(file)


def write_for_ever(file: IO[bytes]) -> None:
    while True:
        file.write(bytes(4096))


def earlier_result(folder: Path) -> None:
    with ReconstructionWriter(folder) as writer:
        writer.open_dense(1, 8, 8)
        writer.depth[:] = 5.0
        writer.finish(engine={}, source=Source("images", "p"), frames=[Frame("a", "p", 0, None, 8, 8)])


def is_kept(folder: Path) -> bool:
    names = sorted(path.name for path in folder.iterdir())
    return names == ["color.npy", "confidence.npy", "depth.npy", "reconstruction.json"] and bool(
        (load_reconstruction(folder).depth == 5.0).all()
    )


def points(count: int) -> Points:
    return Points(
        np.zeros((count, 3), np.float32),
        np.zeros((count, 3), np.uint8),
        np.zeros(count, np.float32),
        np.zeros(count, np.int32),
    )


def test_too_little_room_is_said_before_the_work(disk: Path) -> None:
    earlier_result(disk / "out")
    with pytest.raises(JobError) as caught, ReconstructionWriter(disk / "out", overwrite=True) as writer:
        writer.open_dense(10, 400, 400)
    assert caught.value.code == "disk_full"
    assert is_kept(disk / "out")


def test_an_engines_own_files_count(disk: Path) -> None:
    with ReconstructionWriter(disk / "out") as writer:
        with pytest.raises(JobError) as caught:
            writer.open_dense(1, 64, 64, scratch=SIZE)
        assert caught.value.code == "disk_full"
        writer.open_dense(1, 64, 64, scratch=SIZE // 2)
        scratch = writer.scratch_map("scratch.npy", (1, 64, 64))
        fill(disk)
        scratch[:] = 1.0  # a sparse map would end the process here
        with pytest.raises(JobError) as caught:
            writer.scratch_map("more.npy", (1, 64, 64))
        assert caught.value.code == "disk_full"


def test_a_disk_that_fills_in_the_middle_does_not_touch_what_is_reserved(disk: Path) -> None:
    """A sparse map would end the process with SIGBUS here."""
    earlier_result(disk / "out")
    with ReconstructionWriter(disk / "out", overwrite=True) as writer:
        writer.open_dense(4, 200, 200)
        fill(disk)
        writer.depth[:] = 1.0
        writer.confidence[:] = 1.0
        writer.color[:] = 1
        with pytest.raises(JobError) as caught:
            writer.write_points(points(10_000))
        assert caught.value.code == "disk_full"
    assert is_kept(disk / "out")


def test_a_disk_that_fills_before_the_last_step_keeps_the_earlier_result(disk: Path) -> None:
    earlier_result(disk / "out")
    frames = [Frame(f"{index}", "p" * 200, index, None, 8, 8) for index in range(100)]
    with ReconstructionWriter(disk / "out", overwrite=True) as writer:
        fill(disk)
        with pytest.raises(JobError) as caught:
            writer.finish(engine={}, source=Source("images", "p"), frames=frames)
    assert caught.value.code == "disk_full"
    assert is_kept(disk / "out")


def test_a_disk_without_a_byte_left_cannot_even_be_begun(disk: Path) -> None:
    fill(disk)
    with pytest.raises(JobError) as caught, ReconstructionWriter(disk / "new/out") as writer:
        writer.open_dense(1, 64, 64)
    assert caught.value.code == "disk_full"
    assert not (disk / "new").exists()
