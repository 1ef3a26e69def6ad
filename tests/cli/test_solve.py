"""The whole way through the command line: pictures, engine, folder, comparison, exports, scene."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from vggt_blender.exchange.reconstruction import load_reconstruction

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
WALL, FLOOR = 6.0, 1.2  # z of the wall, y of the floor


def texture(seed: int) -> np.ndarray:
    """Detail at every scale, (1024, 1024, 3)."""
    chance = np.random.default_rng(seed)
    layers = []
    for size, weight in ((16, 1.0), (64, 0.8), (160, 0.8), (320, 0.4)):
        noise = chance.uniform(0, weight, (size, size, 3)).astype(np.float32)
        layers.append(cv2.resize(noise, (1024, 1024), interpolation=cv2.INTER_CUBIC))
    total = np.sum(layers, axis=0)
    return (255 * (total - total.min()) / np.ptp(total)).astype(np.uint8)


def camera(step: float) -> np.ndarray:
    """(3, 4): to the right and a little around."""
    rotation = cv2.Rodrigues(np.array([0.05, -0.06 * step, 0.01 * step]))[0]
    return np.column_stack([rotation, -rotation @ [0.35 * step, -0.1 * step, 0.15 * step]])


def render(pose: np.ndarray, wall: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """What the camera sees of the wall and the floor before it."""
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.dstack([(columns - WIDTH / 2) / FOCAL, (rows - HEIGHT / 2) / FOCAL, np.ones_like(rows)]) @ pose[:, :3]
    center = -pose[:, :3].T @ pose[:, 3]
    with np.errstate(divide="ignore"):
        to_wall = (WALL - center[2]) / rays[..., 2]
        to_floor = np.where(rays[..., 1] > 1e-6, (FLOOR - center[1]) / rays[..., 1], np.inf)
    seen = center + rays * np.minimum(to_wall, to_floor)[..., None]
    on_wall = (seen[..., :2] * 70 + 512).astype(np.float32)
    on_floor = (seen[..., [0, 2]] * 50 + 300).astype(np.float32)
    pictures = [
        cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        for image, at in ((wall, on_wall), (floor, on_floor))
    ]
    return np.where((to_wall < to_floor)[..., None], *pictures)


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight plates and ``truth.json`` beside them."""
    folder = tmp_path_factory.mktemp("shot")
    wall, floor, frames = texture(1), texture(2), []
    (folder / "plates").mkdir()
    for index in range(8):
        name, pose = f"set.{1001 + index}.png", camera(index - 3.5)
        Image.fromarray(render(pose, wall, floor)).save(folder / "plates" / name)
        lens = {"fx": FOCAL, "fy": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2}
        frames.append({"name": name, "camera_from_world": pose.tolist(), **lens})
    (folder / "truth.json").write_text(json.dumps({"width": WIDTH, "height": HEIGHT, "frames": frames}))
    return folder


@pytest.fixture(scope="module")
def solved(shot: Path) -> Path:
    """The plates, solved."""
    from vggt_blender.engines.run import run_job
    from vggt_blender.exchange.job import Job
    from vggt_blender.exchange.reporter import JobReporter

    job = Job(inputs=(str(shot / "plates"),), output=str(shot / "solve"), engine="colmap")
    return run_job(job, JobReporter("job", lambda _: None, lambda: False))


def test_reconstruct_says_how_many_frames_it_placed_and_solves_them_once(
    shell: Any, shot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no weights"))
    Image.new("L", (WIDTH, HEIGHT), 255).save(tmp_path / "mask.png")
    options = ["--output", tmp_path / "out", "--refine", "--frames", "1002:1008", "--mask", tmp_path / "mask.png"]
    status, printed, errors = shell.run("reconstruct", shot / "plates", *options)
    assert status == 0, errors
    assert printed == f"6 of 6 frames placed: {tmp_path / 'out'}\n"
    result = load_reconstruction(tmp_path / "out")
    assert [frame.number for frame in result.frames] == list(range(1002, 1008))
    assert result.source.kind == "sequence"
    assert not list((tmp_path / "out").glob(".partial-*"))
    assert "Error" not in errors
    assert (result.engine["name"], "refinement" in result.extra) == ("colmap", False)
    assert errors.count("Features: 6 of 6") == 1, "colmap, chosen by itself, needs no second pass"
    assert "once is enough" in errors
    assert result.engine["settings"]["mask"] == str(tmp_path / "mask.png"), "solving again asks for it"


def test_solving_again_brings_lost_frames_back_and_says_so(shell: Any, solved: Path, tmp_path: Path) -> None:
    """One frame that lost its place, and one that was turned by five degrees."""
    again, damaged = tmp_path / "again", (2, 3)
    shutil.copytree(solved, again)
    document = json.loads((again / "reconstruction.json").read_text())
    lost, turned = (document["frames"][position] for position in damaged)
    lost.update(registered=False, camera_from_world=None)
    matrix = cv2.Rodrigues(np.array([0.0, np.radians(5), 0.0]))[0] @ np.array(turned["camera_from_world"])
    turned["camera_from_world"] = matrix.tolist()
    (again / "reconstruction.json").write_text(json.dumps(document))
    status, printed, errors = shell.run("resolve", again, "--frames", "1003:1005")
    assert status == 0, errors
    assert printed == f"8 of 8 frames placed: {again}\n"
    said = [line for chunk in errors.split("\r") for line in chunk.splitlines() if line.strip()]
    assert [line.partition(".")[0] for line in said if "solved again" in line] == ["2 of 2 frames solved again"], said
    assert not [line for line in said if ".cc:" in line], "a library's own log"
    poses, before = (
        [frame.pose.camera_from_world for frame in load_reconstruction(at).frames] for at in (again, solved)
    )
    for position, (new, old) in enumerate(zip(poses, before, strict=True)):
        np.testing.assert_allclose(new, old, atol=0.02 if position in damaged else 0)


def test_evaluate_prints_the_truth(shell: Any, shot: Path, solved: Path) -> None:
    status, printed, errors = shell.run("evaluate", solved, "--truth", shot / "truth.json", "--json")
    assert status == 0, errors
    report = json.loads(printed)
    assert report["registered"] == 8
    assert report["path"]["ate_percent"] < 2.0
    status, printed, _ = shell.run("evaluate", solved, "--truth", shot / "truth.json")
    assert "8 of 8" in printed


def test_every_format_can_be_exported(shell: Any, solved: Path, tmp_path: Path) -> None:
    for to in ("ply", "glb", "colmap", "chan"):
        status, printed, errors = shell.run("export", solved, "--to", to, "--output", tmp_path / f"a.{to}")
        assert (status, printed.strip()) == (0, str(tmp_path / f"a.{to}")), errors
        assert (tmp_path / f"a.{to}").exists()


def test_blend_writes_a_scene_with_one_camera_on_the_plate(shell: Any, solved: Path, tmp_path: Path) -> None:
    pytest.importorskip("bpy")
    path = tmp_path / "shot.blend"
    status, printed, errors = shell.run("blend", solved, "--output", path)
    assert status == 0, errors
    assert printed.splitlines()[-1] == str(path)
    assert path.read_bytes()[:4] in (b"BLEN", b"\x28\xb5\x2f\xfd")  # plain, or compressed by zstandard
    status, _, errors = shell.run("blend", solved, "--output", tmp_path / "nothere/shot.blend")
    assert (status, errors.count("\n")) == (1, 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("end", "stage"),
    [("cancel", "features"), ("cancel", "matching"), ("cancel", "cameras"), ("cancel", "depth"), ("orphan", "cameras")],
)
def test_it_stops_at_every_stage(shell: Any, shot: Path, tmp_path: Path, end: str, stage: str) -> None:
    options = ["--output", tmp_path / "out", "--engine", "colmap", "--messages", "json", "--frames", ":1006"]
    command = shell.start("reconstruct", shot / "plates", *options)
    command.message(type="progress", stage=stage)
    worker = command.worker()
    os.kill(command.pid, signal.SIGINT if end == "cancel" else signal.SIGKILL)
    shell.wait_until_gone(worker, command.pid)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sends a signal")
def test_what_was_solved_before_it_was_stopped_is_named_and_stays(shell: Any, shot: Path, tmp_path: Path) -> None:
    options = ["--output", tmp_path / "out", "--engine", "colmap", "--refine", "--messages", "json"]
    command = shell.start("reconstruct", shot / "plates", *options, "--frames", ":1006")
    command.message(type="progress", stage="depth")
    command.message(type="progress", stage="features")  # of the refinement
    os.kill(command.pid, signal.SIGINT)
    ended = command.message(type="error")
    assert ended["code"] == "cancelled"
    assert f"'{tmp_path / 'out'}'" in ended["detail"]
    assert len(load_reconstruction(tmp_path / "out").frames) == 5
    assert not list((tmp_path / "out").glob(".partial-*"))
