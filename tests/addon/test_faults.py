"""Real faults while the real backend works: Blender goes on, earlier results stay, the next job works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from vggt_blender.exchange.reconstruction import load_reconstruction

pytest.importorskip("pycolmap")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts, and reads /proc")

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0


@pytest.fixture
def desk(bpy: ModuleType, addon: ModuleType, many_pictures: Path) -> SimpleNamespace:
    """The add-on with the real backend, an earlier result, and pictures that take it long."""
    preferences = bpy.context.preferences.addons["vggt_matchmove"].preferences
    speaker = preferences.interpreter
    bpy.context.scene.vggt.source = "/pictures/solve"
    bpy.ops.vggt.solve()
    preferences.interpreter = sys.executable
    settings = bpy.context.scene.vggt
    settings.source, settings.engine, settings.kind = str(many_pictures), "colmap", "images"
    return SimpleNamespace(
        session=addon.operators.session.session,
        preferences=preferences,
        speaker=speaker,
        earlier=Path(settings.results[0].folder),
        addon=addon,
    )


def begin(bpy: ModuleType, desk: SimpleNamespace) -> object:
    """Press the button as a window would: without waiting."""
    operators = desk.addon.operators
    job = operators.solve.job_of(
        bpy.context.scene.vggt, str(operators.locations.new_result_folder(bpy.context, "plates"))
    )
    python = operators.locations.interpreter(bpy.context)
    return desk.session.start(python, job, "plates", bpy.context.scene, "keep")


def step_until(desk: SimpleNamespace, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, desk.session.tasks
        desk.session.step(wait_s=0.02)


def check_all_is_well(bpy: ModuleType, desk: SimpleNamespace) -> None:
    """The earlier result is whole, and the next job works."""
    assert len(load_reconstruction(desk.earlier).frames) == 5
    scene = bpy.context.scene
    count = len(scene.vggt.results)
    desk.preferences.interpreter = desk.speaker
    scene.vggt.source = "/pictures/solve"
    assert bpy.ops.vggt.solve() == {"FINISHED"}
    assert len(scene.vggt.results) == count + 1


@pytest.mark.parametrize("who", ["backend", "worker"])
def test_killed_in_the_middle(bpy: ModuleType, desk: SimpleNamespace, programs: Any, who: str) -> None:
    task = begin(bpy, desk)
    step_until(desk, lambda: task.total > 0)
    everyone = programs.family(desk.session.client.pid)
    assert len(everyone) > 1
    os.kill(everyone[0 if who == "backend" else 1], signal.SIGKILL)
    step_until(desk, lambda: task.ended)
    assert "killed" in task.failure.message
    assert "\n" not in task.failure.message
    programs.wait_until_gone(*(everyone[1:] if who == "worker" else everyone))
    assert not Path(task.job.output).exists()
    check_all_is_well(bpy, desk)


def test_crashed_at_its_start(bpy: ModuleType, desk: SimpleNamespace, tmp_path: Path) -> None:
    """A Python that starts and has none of the packages, as after an update of the system's."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    desk.preferences.interpreter = str(bare / "bin" / "python")
    with pytest.raises(RuntimeError, match="Python has no 'numpy': set the backend up"):
        bpy.ops.vggt.solve()
    assert "\n" not in desk.session.notice.message
    check_all_is_well(bpy, desk)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small file system of its own."""
    folders = []

    def make(options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
        folders.append(folder)
        return folder

    yield make
    for folder in folders:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(("options", "said"), [("ro", "[Rr]ead-only"), ("size=64k", "free some space")])
def test_a_place_that_takes_nothing(
    bpy: ModuleType, desk: SimpleNamespace, mount: Callable[[str], Path], options: str, said: str
) -> None:
    folder = mount(options)
    if options != "ro":
        (folder / "other").write_bytes(bytes(60 * 1024))
    before = desk.preferences.results_folder
    desk.preferences.results_folder = str(folder / "results")
    plates = ROOT / "samples" / "courtyard"
    bpy.context.scene.vggt.source = str(plates)
    settings = bpy.context.scene.vggt
    settings.kind, settings.use_range = "sequence", True
    settings.first, settings.last, settings.step = 1001, 1004, 3
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.vggt.solve()
    assert "\n" not in desk.session.notice.message
    assert not (folder / "results").exists() or not any((folder / "results").iterdir())
    desk.preferences.results_folder = before
    settings.use_range = False
    check_all_is_well(bpy, desk)


def test_another_file_in_the_middle(bpy: ModuleType, desk: SimpleNamespace) -> None:
    task = begin(bpy, desk)
    step_until(desk, lambda: task.total > 0)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert not task.ended
    assert bpy.ops.vggt.cancel() == {"FINISHED"}
    step_until(desk, lambda: task.ended)
    assert not Path(task.job.output).exists()
    check_all_is_well(bpy, desk)


BLENDER = """
import sys, atexit, importlib.util, os, signal
root, plates, results, end, run_in = sys.argv[1:]
import bpy
path = root + "/__init__.py"
spec = importlib.util.spec_from_file_location("vggt_matchmove", path, submodule_search_locations=[root])
module = importlib.util.module_from_spec(spec)
sys.modules["vggt_matchmove"] = module
spec.loader.exec_module(module)
bpy.context.preferences.addons.new().module = "vggt_matchmove"
module.register()
if bpy.app.version < (5, 0):  # there a class that stays registered keeps Python from ending
    atexit.register(module.unregister)
preferences = bpy.context.preferences.addons["vggt_matchmove"].preferences
preferences.results_folder, preferences.interpreter = results, sys.executable
settings = bpy.context.scene.vggt
settings.source, settings.engine, settings.kind = plates, "colmap", "images"
operators, session = module.operators, module.operators.session.session
job = operators.solve.job_of(settings, str(operators.locations.new_result_folder(bpy.context, "plates")))
python = None if run_in == "here" else operators.locations.interpreter(bpy.context)
task = session.start(python, job, "plates", bpy.context.scene, "keep")
while task.total == 0 and not task.ended:
    session.step(0.05)
print("PID", session.client.pid or os.getpid(), flush=True)
sys.stdin.readline()
if end == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("end", "run_in"), [("closed", "process"), ("killed", "process"), ("closed", "here")])
def test_blender_ends_in_the_middle(many_pictures: Path, programs: Any, tmp_path: Path, end: str, run_in: str) -> None:
    results = tmp_path / "of the other"
    blender = programs.start([sys.executable, "-c", BLENDER, ROOT, many_pictures, results, end, run_in])
    said = []
    for line in blender.stdout:
        said.append(line)
        if line.startswith("PID"):
            break
    assert said, "it ended before it could say anything"
    assert said[-1].startswith("PID"), said
    everyone = programs.family(int(said[-1].split()[1]))
    assert len(everyone) > 1 or run_in == "here"
    blender.communicate("go\n")
    assert blender.returncode == (0 if end == "closed" else -signal.SIGKILL)
    programs.wait_until_gone(*everyone)
    assert not results.exists()
