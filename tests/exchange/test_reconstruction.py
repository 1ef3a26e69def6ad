"""The folder: what is written is read, and whatever is damaged is one clear line."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vggt_blender.exchange import archives
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import (
    Frame,
    Points,
    Pose,
    Source,
    Tracks,
    is_complete,
    load_reconstruction,
)
from vggt_blender.exchange.staging import put_in_place
from vggt_blender.exchange.writer import ReconstructionWriter

POSE = Pose(
    np.array([[0.0, -1.0, 0.0, 1.0], [1.0, 0.0, 0.0, -2.0], [0.0, 0.0, 1.0, 1 / 3]]),
    900.5,
    901.25,
    319.75,
    240.5,
    (0.1, -0.01, 1e-3, 2e-3, 0.0),
)
AFFINE = np.array([[4.0, 0.0, 1.5], [0.0, 4.1, -0.5]])
FRAMES = [
    Frame("a.1001.png", "/p/a.1001.png", 0, 1001, 640, 480, POSE, AFFINE, {"raw": {"fov": 0.5}}),
    Frame("a.1002.png", "/p/a.1002.png", 1, 1002, 640, 480),
]
SOURCE = Source("sequence", "/p/a.####.png", 24.0)


def write(folder: Path, value: float = 1.0, overwrite: bool = False, fail: bool = False) -> Path:
    """A small reconstruction whose arrays hold `value`."""
    rng = np.random.default_rng(0)
    with ReconstructionWriter(folder, overwrite=overwrite) as writer:
        writer.open_dense(2, 3, 4)
        writer.depth[0] = value
        writer.confidence[0, 1] = 2 * value
        writer.color[0] = 7
        writer.write_points(
            Points(
                np.full((5, 3), value, np.float32),
                rng.integers(0, 255, (5, 3)).astype(np.uint8),
                np.full(5, 0.5, np.float32),
                np.arange(5, dtype=np.int32),
            )
        )
        writer.write_tracks(
            Tracks(np.full((2, 6, 2), value, np.float32), np.ones((2, 6), bool), np.ones((2, 6), np.float32))
        )
        if fail:
            raise RuntimeError("in the middle")
        return writer.finish(
            engine={"name": "colmap", "model": None, "settings": {"k": 1}},
            source=SOURCE,
            frames=FRAMES,
            extra={"note": [1, 2]},
        )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "deep/out", 1.5)
    for given in (folder, str(folder), folder / "reconstruction.json"):
        result = load_reconstruction(given)
        assert (result.source, result.units) == (SOURCE, "arbitrary")
    assert result.engine == {"name": "colmap", "model": None, "settings": {"k": 1}}
    assert result.extra == {"note": [1, 2]}
    first, second = result.frames
    assert first.registered
    assert not second.registered
    assert np.array_equal(first.pose.camera_from_world, POSE.camera_from_world)
    assert replace(first.pose, camera_from_world=None) == replace(POSE, camera_from_world=None)
    assert np.array_equal(first.depth_to_image, AFFINE)
    assert (first.name, first.index, first.number, first.width, first.extra) == (
        "a.1001.png",
        0,
        1001,
        640,
        {"raw": {"fov": 0.5}},
    )
    assert (result.depth[0] == 1.5).all()
    assert np.isnan(result.depth[1]).all(), "unknown until written"
    assert result.confidence.sum() == 4 * 3.0
    assert (result.color[0] == 7).all()
    assert (result.points.xyz == 1.5).all()
    assert result.points.observations.tolist() == [0, 1, 2, 3, 4]
    assert result.tracks.xy.shape == (2, 6, 2)
    assert isinstance(result.depth, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        result.depth[0, 0, 0] = 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "color.npy",
        "confidence.npy",
        "depth.npy",
        "points.npz",
        "reconstruction.json",
        "tracks.npz",
    ]


def test_failure_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        write(tmp_path / "new/deep/out", fail=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(RuntimeError):
        write(tmp_path / "mine", fail=True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_an_earlier_result_is_kept_unless_a_whole_one_replaces_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", 1.0)
    with pytest.raises(JobError, match="already holds a result"):
        write(folder, 2.0)
    with pytest.raises(RuntimeError):
        write(folder, 2.0, overwrite=True, fail=True)
    assert (load_reconstruction(folder).depth[0] == 1.0).all()
    write(folder, 3.0, overwrite=True)
    assert (load_reconstruction(folder).depth[0] == 3.0).all()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to replace what somebody reads")
def test_whoever_reads_the_earlier_result_goes_on_reading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vggt_blender.exchange.writer.put_in_place", put_in_place)  # unwatched: this one holds maps
    folder = write(tmp_path / "out", 1.0)
    earlier = load_reconstruction(folder)
    write(folder, 3.0, overwrite=True)
    assert (earlier.depth[0] == 1.0).all()


def test_replacing_leaves_nothing_of_the_earlier_result(tmp_path: Path) -> None:
    folder = write(tmp_path / "out")
    with ReconstructionWriter(folder, overwrite=True) as writer:
        writer.finish(engine={}, source=SOURCE, frames=FRAMES)
    assert [path.name for path in folder.iterdir()] == ["reconstruction.json"]
    result = load_reconstruction(folder)
    assert result.depth is result.color is result.points is result.tracks is None


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file/out"):
        with pytest.raises(JobError) as caught:
            ReconstructionWriter(folder)
        assert caught.value.code == "output"
    with ReconstructionWriter(tmp_path / "out") as writer, pytest.raises(JobError, match="GB free") as caught:
        writer.open_dense(10**6, 10**4, 10**4)
    assert caught.value.code == "disk_full"


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "reconstruction.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return damage


def truncate(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:-20])

    return damage


def save(name: str, array: np.ndarray, pickled: bool = False) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, array, allow_pickle=pickled)


def savez(name: str, **arrays: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.savez(folder / name, **arrays)


def first(key: str, value: Any) -> Callable[[Path], None]:
    return edit(lambda document: document["frames"][0].update({key: value}))


XYZ, RGB = np.zeros((5, 3), np.float32), np.zeros((5, 3), np.uint8)
ERROR, SEEN = np.zeros(5, np.float32), np.zeros(5, np.int32)

DAMAGE: dict[str, Callable[[Path], object]] = {
    "no document": lambda folder: (folder / "reconstruction.json").unlink(),
    "document cut off": truncate("reconstruction.json"),
    "document is binary": lambda folder: (folder / "reconstruction.json").write_bytes(b"\xff\xfe\x00"),
    "document is a list": lambda folder: (folder / "reconstruction.json").write_text("[]"),
    "document is nested too deeply": lambda folder: (folder / "reconstruction.json").write_text("[" * 100_000),
    "a number is beyond all": first("note", 10**400),
    "another format": edit(lambda d: d.update(format="other")),
    "a later version": edit(lambda d: d.update(version=2)),
    "no frames": edit(lambda d: d.pop("frames")),
    "frames of text": edit(lambda d: d.update(frames=["a"])),
    "no engine": edit(lambda d: d.pop("engine")),
    "engine is text": edit(lambda d: d.update(engine="colmap")),
    "no units": edit(lambda d: d.pop("units")),
    "no source": edit(lambda d: d.pop("source")),
    "source of a new kind": edit(lambda d: d["source"].update(kind="hologram")),
    "rate is text": edit(lambda d: d["source"].update(fps="24")),
    "a name is a number": first("name", 1),
    "no path": edit(lambda d: d["frames"][0].pop("path")),
    "width is a fraction": first("width", 640.5),
    "no pixels": first("height", 0),
    "width is true": first("width", True),
    "width is beyond Blender": first("width", 2**40),
    "number is beyond Blender": first("number", -(2**40)),
    "focal is beyond floats": first("fx", 10**400),
    "pose is beyond floats": first("camera_from_world", [[10**400] * 4] * 3),
    "number is text": first("number", "1001"),
    "pose of 2 rows": first("camera_from_world", [[1, 0, 0, 0], [0, 1, 0, 0]]),
    "pose is ragged": first("camera_from_world", [[1, 0], [0], [1]]),
    "pose is missing": first("camera_from_world", None),
    "focal is negative": first("fx", -1.0),
    "focal is infinite": first("fy", float("inf")),
    "principal point is NaN": first("cx", float("nan")),
    "distortion of 4": first("distortion", [0, 0, 0, 0]),
    "affine is flat": first("depth_to_image", [1, 0, 0, 0, 1, 0]),
    "one frame fewer": edit(lambda d: d["frames"].pop()),
    "depth cut off": truncate("depth.npy"),
    "depth is text": lambda folder: (folder / "depth.npy").write_text("no"),
    "depth is empty": lambda folder: (folder / "depth.npy").write_bytes(b""),
    "depth is double": save("depth.npy", np.zeros((2, 3, 4))),
    "depth is pickled": save("depth.npy", np.array([[[{}]]], object), pickled=True),
    "depth is flat": save("depth.npy", np.zeros(24, np.float32)),
    "confidence is missing": lambda folder: (folder / "confidence.npy").unlink(),
    "confidence is smaller": save("confidence.npy", np.zeros((2, 3, 3), np.float32)),
    "color is missing": lambda folder: (folder / "color.npy").unlink(),
    "color has alpha": save("color.npy", np.zeros((2, 3, 4, 4), np.uint8)),
    "points cut off": truncate("points.npz"),
    "points are text": lambda folder: (folder / "points.npz").write_text("no"),
    "points lack colors": savez("points.npz", xyz=XYZ, error=ERROR, observations=SEEN),
    "points are double": savez("points.npz", xyz=XYZ.astype(float), rgb=RGB, error=ERROR, observations=SEEN),
    "points of two lengths": savez("points.npz", xyz=XYZ, rgb=RGB[:4], error=ERROR, observations=SEEN),
    "points are one": savez("points.npz", xyz=XYZ[0], rgb=RGB[0], error=ERROR[0], observations=SEEN[0]),
    "tracks are flat": savez("tracks.npz", xy=np.zeros(4, np.float32), visible=np.ones(2, bool), confidence=ERROR),
    "tracks of other frames": savez(
        "tracks.npz",
        xy=np.zeros((3, 6, 2), np.float32),
        visible=np.ones((3, 6), bool),
        confidence=np.ones((3, 6), np.float32),
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_one_clear_line(tmp_path: Path, what: str) -> None:
    folder = write(tmp_path / "out")
    load_reconstruction(folder)
    DAMAGE[what](folder)
    with pytest.raises(JobError) as caught:
        load_reconstruction(folder)
    assert caught.value.code in ("broken", "not_found")
    assert "\n" not in caught.value.message
    assert 20 < len(caught.value.message) < 300


def test_an_archive_is_only_unpacked_where_it_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """61 MB in a small file, among what is needed and beside it."""
    folder = write(tmp_path / "out")
    needed = {"xyz": XYZ, "rgb": RGB, "error": ERROR, "observations": SEEN}
    huge = np.zeros((5_000_000, 3), np.float32)
    np.savez_compressed(folder / "points.npz", **needed, beside=huge)
    tracemalloc.start()
    assert load_reconstruction(folder).points.xyz.shape == (5, 3)
    np.savez_compressed(folder / "points.npz", **{**needed, "xyz": huge})
    with pytest.raises(JobError, match="wrong shape"):
        load_reconstruction(folder)
    all_huge = {name: np.zeros((len(huge), *array.shape[1:]), array.dtype) for name, array in needed.items()}
    np.savez_compressed(folder / "points.npz", **all_huge)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    monkeypatch.setattr(archives, "LARGEST_UNPACKED", 2**20)
    with pytest.raises(JobError, match="GB of memory"):
        load_reconstruction(folder)
    assert tracemalloc.get_traced_memory()[1] - before < 20e6
    tracemalloc.stop()
    monkeypatch.undo()
    assert len(load_reconstruction(folder).points.xyz) == len(huge)


def test_half_a_result_is_none(tmp_path: Path) -> None:
    with ReconstructionWriter(tmp_path / "out") as writer:
        writer.open_dense(1, 2, 2)
        assert not is_complete(tmp_path / "out")
