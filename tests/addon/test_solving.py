"""From the button to the scene: the operators with a real backend process beside them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PATIENCE_S = 300.0


@pytest.fixture
def settings(bpy: ModuleType, addon: ModuleType) -> object:
    return bpy.context.scene.vggt


def start(bpy: ModuleType, addon: ModuleType, deed: str) -> object:
    """Press the button as a window would: without waiting. Returns the session."""
    settings = bpy.context.scene.vggt
    settings.source = f"/pictures/{deed}"
    session = addon.operators.session.session
    job = addon.operators.solve.job_of(settings, str(addon.operators.locations.new_result_folder(bpy.context, deed)))
    interpreter = addon.operators.locations.interpreter(bpy.context)
    session.start(interpreter, job, deed, bpy.context.scene, "this")
    return session


def step_until(session: object, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, session.task
        session.step(wait_s=0.05)


def test_solve_puts_the_result_into_the_scene_and_the_list(bpy: ModuleType, settings: object, tmp_path: Path) -> None:
    settings.source = "/pictures/solve"
    assert bpy.ops.vggt.solve() == {"FINISHED"}
    (entry,) = settings.results
    assert (entry.engine, entry.registered, entry.total) == ("speaker", 4, 5)
    assert entry.residual == pytest.approx(0.4)
    assert Path(entry.folder) == tmp_path / "results" / "solve"
    cameras = [thing for thing in bpy.context.scene.objects if thing.type == "CAMERA"]
    assert len(cameras) == 1
    assert (bpy.context.scene.render.resolution_x, bpy.context.scene.render.resolution_y) == (64, 36)
    assert (bpy.context.scene.frame_start, bpy.context.scene.frame_end) == (1, 5)


def test_the_backend_gets_absolute_paths_alone(bpy: ModuleType, addon: ModuleType, settings: object) -> None:
    """Its current folder is another than Blender's."""
    settings.mask = "//mask.png"  # beside a file that was never saved
    session = start(bpy, addon, "hold")
    job = session.task.job
    assert all(Path(path).is_absolute() for path in (*job.inputs, job.output, job.mask))
    session.cancel()
    step_until(session, lambda: session.task is None)


def test_a_second_solve_gets_a_folder_of_its_own(bpy: ModuleType, settings: object, tmp_path: Path) -> None:
    settings.source = "/pictures/solve"
    bpy.ops.vggt.solve()
    bpy.ops.vggt.solve()
    assert [Path(entry.folder).name for entry in settings.results] == ["solve", "solve-2"]
    assert settings.active_result == 1


def test_an_error_is_one_line_with_details(bpy: ModuleType, addon: ModuleType, settings: object) -> None:
    settings.source = "/pictures/fail"
    with pytest.raises(RuntimeError, match="The pictures do not overlap: take more"):
        bpy.ops.vggt.solve()
    notice = addon.operators.session.session.notice
    assert (notice.failed, notice.message) == (True, "The pictures do not overlap: take more.")
    assert notice.detail == "all the\ndetails"
    assert len(settings.results) == 0
    assert bpy.ops.vggt.show_details.poll()
    assert bpy.ops.vggt.dismiss() == {"FINISHED"}
    assert not bpy.ops.vggt.show_details.poll()


def test_a_backend_killed_in_the_middle_is_an_error_and_the_next_job_works(
    bpy: ModuleType, addon: ModuleType, settings: object
) -> None:
    session = start(bpy, addon, "hold")
    step_until(session, lambda: session.task.total == 5)
    os.kill(session.client.pid, signal.SIGKILL)
    step_until(session, lambda: session.task is None)
    assert session.notice.failed
    assert "memory" in session.notice.message
    assert "\n" not in session.notice.message
    settings.source = "/pictures/solve"
    assert bpy.ops.vggt.solve() == {"FINISHED"}
    assert session.notice is None or not session.notice.failed


def test_cancel_returns_at_once_and_ends_the_job(bpy: ModuleType, addon: ModuleType) -> None:
    session = start(bpy, addon, "hold")
    step_until(session, lambda: session.task.total == 5)
    assert bpy.ops.vggt.cancel() == {"FINISHED"}
    assert session.task.cancelling  # the button came back before the backend answered
    assert not bpy.ops.vggt.cancel.poll()
    step_until(session, lambda: session.task is None)
    assert session.notice.message == "Cancelled."
    assert not session.notice.failed


def test_disabling_the_addon_in_the_middle_of_a_job_ends_the_backend(bpy: ModuleType, addon: ModuleType) -> None:
    session = start(bpy, addon, "hold")
    step_until(session, lambda: session.task.total == 5)
    pid = session.client.pid
    addon.unregister()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    addon.register()
    assert session.task is None
    assert bpy.context.scene.vggt.source == "/pictures/hold"  # enabled again, the scene has its settings
    assert bpy.ops.vggt.solve.poll()


def test_the_pump_keeps_its_budget_in_a_flood(bpy: ModuleType, addon: ModuleType) -> None:
    session = start(bpy, addon, "flood")
    durations = []
    deadline = time.monotonic() + PATIENCE_S
    while session.task is not None and session.task.arrived is None and time.monotonic() < deadline:
        started = time.thread_time()  # what other programs take from this machine does not count
        session.pump()
        durations.append(time.thread_time() - started)
    assert session.task.arrived is not None
    assert max(durations) < sum(durations) / 3  # taken at once, the flood would be all of it


def test_another_file_keeps_the_result_for_a_click(bpy: ModuleType, addon: ModuleType) -> None:
    session = start(bpy, addon, "hold")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert session.task is not None  # it goes on
    session.cancel()
    step_until(session, lambda: session.task is None)

    session = start(bpy, addon, "solve")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    step_until(session, lambda: session.task is None)
    assert "not open" in session.notice.message
    assert not session.notice.failed
    assert len(bpy.data.cameras) == 0
    assert bpy.ops.vggt.import_reconstruction(filepath=str(session.notice.folder)) == {"FINISHED"}
    assert session.notice is None
    assert len(bpy.data.cameras) == 1
    assert len(bpy.context.scene.vggt.results) == 1


def test_reverting_the_same_file_does_not_lose_the_result(bpy: ModuleType, addon: ModuleType, tmp_path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    session = start(bpy, addon, "solve")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    step_until(session, lambda: session.task is None)
    assert len(bpy.context.scene.vggt.results) == 1
    assert len(bpy.data.cameras) == 1


def test_the_result_reaches_its_scene_by_id_after_undo_and_rename(bpy: ModuleType, addon: ModuleType) -> None:
    bpy.ops.ed.undo_push(message="start")
    home = bpy.context.scene
    session = start(bpy, addon, "solve")
    bpy.data.objects.new("something", None)
    bpy.ops.ed.undo_push(message="something")
    bpy.ops.ed.undo()
    bpy.context.scene.name = "Renamed"
    bpy.ops.scene.new(type="NEW")
    step_until(session, lambda: session.task is None)
    del home
    assert len(bpy.data.scenes["Renamed"].vggt.results) == 1
    assert any(thing.type == "CAMERA" for thing in bpy.data.scenes["Renamed"].objects)
    others = [scene for scene in bpy.data.scenes if scene.name != "Renamed"]
    assert [len(scene.objects) for scene in others] == [0]


def test_undo_takes_the_import_back_in_one_step_and_keeps_the_entry(bpy: ModuleType, addon: ModuleType) -> None:
    bpy.ops.ed.undo_push(message="start")
    session = start(bpy, addon, "solve")
    step_until(session, lambda: session.task is None)
    assert len(bpy.data.cameras) == 1
    resolution = bpy.context.scene.render.resolution_x
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    assert (len(bpy.data.cameras), len(scene.objects), len(scene.vggt.results)) == (0, 0, 1)
    assert scene.render.resolution_x != resolution
    bpy.ops.ed.redo()
    assert (len(bpy.data.cameras), len(bpy.context.scene.vggt.results)) == (1, 1)


def test_the_job_carries_the_settings(bpy: ModuleType, addon: ModuleType, settings: object, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    addon.operators.pick_source.set_source(settings, f"{tmp_path / 'b'}/", ["2.png", "1.png"])
    settings.engine, settings.kind, settings.device = "colmap", "images", "cpu"
    settings.use_range, settings.first, settings.last, settings.step = True, 3, 9, 2
    settings.mask = str(tmp_path / "mask.png")
    job = addon.operators.solve.job_of(settings, "/out")
    assert job.inputs == (str(tmp_path / "b" / "2.png"), str(tmp_path / "b" / "1.png"))
    assert (job.engine, job.kind, job.device, job.mask) == ("colmap", "images", "cpu", str(tmp_path / "mask.png"))
    assert str(job.frames) == "3:10:2"  # half-open: the last frame is taken
    settings.use_range = False
    settings.source = str(tmp_path / "clip.mp4")  # typed by hand: the picked files are gone
    job = addon.operators.solve.job_of(settings, "/out")
    assert job.inputs == (str(tmp_path / "clip.mp4"),)
    assert str(job.frames) == "::1"


def test_no_backend_is_one_clear_line(bpy: ModuleType, addon: ModuleType, settings: object, tmp_path: Path) -> None:
    bpy.context.preferences.addons["vggt_matchmove"].preferences.interpreter = str(tmp_path / "missing")
    settings.source = "/pictures/solve"
    with pytest.raises(RuntimeError, match="preferences is not a program"):
        bpy.ops.vggt.solve()
    assert addon.operators.session.session.task is None


def test_check_shows_what_the_backend_says(bpy: ModuleType, addon: ModuleType) -> None:
    assert bpy.ops.vggt.check_backend() == {"FINISHED"}
    findings = {finding.topic: finding for finding in addon.operators.check.check.findings}
    assert findings["Python"].text.startswith("3.")
    assert findings["COLMAP"].good in (True, False)


def test_one_warning_is_said_and_several_are_details(addon: ModuleType) -> None:
    notice_of_warnings = addon.operators.session._notice_of_warnings
    assert (notice_of_warnings(["blurred"]).message, notice_of_warnings(["blurred"]).detail) == ("blurred", "")
    both = notice_of_warnings(["blurred", "dark"])
    assert (both.message, both.detail) == ("2 warnings", "blurred\ndark")
