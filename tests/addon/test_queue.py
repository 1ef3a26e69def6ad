"""Solves that wait for one another, and the backend that is kept for them."""

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
def session(bpy: ModuleType, addon: ModuleType) -> object:
    return addon.operators.session.session


@pytest.fixture
def ask(bpy: ModuleType, addon: ModuleType, session: object) -> Callable[..., object]:
    """Press the button as a window would: without waiting. Returns the task."""

    def press(deed: str, scene: object | None = None) -> object:
        settings = bpy.context.scene.vggt
        settings.source = f"/pictures/{deed}"
        taken = {task.job.output for task in session.tasks}
        folder = addon.operators.locations.new_result_folder(bpy.context, deed, taken)
        job = addon.operators.solve.job_of(settings, str(folder))
        interpreter = addon.operators.locations.interpreter(bpy.context)
        return session.start(interpreter, job, deed, scene or bpy.context.scene, "keep")

    return press


def step_until(session: object, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, session.tasks
        session.step(wait_s=0.05)


def test_results_go_in_order_to_the_scenes_that_asked(
    bpy: ModuleType, session: object, ask: Callable[..., object]
) -> None:
    first = bpy.context.scene
    second = bpy.data.scenes.new("Second")
    held = ask("hold")
    waiting = [ask("solve", first), ask("solve", second), ask("solve", first)]
    assert bpy.ops.vggt.solve.poll()
    assert len({task.job.output for task in session.tasks}) == 4
    step_until(session, lambda: held.total == 5)
    assert [task.begun for task in session.tasks] == [True, False, False, False]
    session.cancel(held)
    step_until(session, lambda: not session.tasks)
    assert all(task.ended and task.failure is None for task in waiting)
    assert [entry.name for entry in first.vggt.results] == ["solve", "solve-3"]
    assert [entry.name for entry in second.vggt.results] == ["solve-2"]
    assert [Path(entry.folder).name for entry in second.vggt.results] == ["solve-2"]


def test_one_that_waits_is_cancelled_alone(bpy: ModuleType, session: object, ask: Callable[..., object]) -> None:
    held, other, last = ask("hold"), ask("solve"), ask("solve")
    step_until(session, lambda: held.total == 5)
    assert bpy.ops.vggt.cancel(job=other.job.id) == {"FINISHED"}
    assert session.tasks == [held, last]
    assert other.ended
    assert not held.cancelling
    assert bpy.ops.vggt.cancel(job=held.job.id) == {"FINISHED"}
    step_until(session, lambda: not session.tasks)
    assert [entry.name for entry in bpy.context.scene.vggt.results] == [Path(last.job.output).name]


def test_a_backend_that_dies_takes_one_job_along(bpy: ModuleType, session: object, ask: Callable[..., object]) -> None:
    held, other = ask("hold"), ask("solve")
    step_until(session, lambda: held.total == 5)
    os.kill(session.client.pid, signal.SIGKILL)
    step_until(session, lambda: not session.tasks)
    assert held.failure is not None
    assert other.failure is None
    assert len(bpy.context.scene.vggt.results) == 1
    assert [(notice.title, notice.failed) for notice in session.notices][:1] == [("hold", True)]  # still to be read


def test_the_queue_goes_on_while_a_result_waits_for_object_mode(
    bpy: ModuleType, session: object, ask: Callable[..., object]
) -> None:
    mesh = bpy.data.objects.new("mesh", bpy.data.meshes.new("mesh"))
    bpy.context.scene.collection.objects.link(mesh)
    bpy.context.view_layer.objects.active = mesh
    bpy.ops.object.mode_set(mode="EDIT")
    tasks = [ask("solve"), ask("solve")]
    step_until(session, lambda: all(task.arrived is not None for task in tasks))
    assert len(bpy.context.scene.vggt.results) == 0
    bpy.ops.object.mode_set(mode="OBJECT")
    step_until(session, lambda: not session.tasks)
    assert len(bpy.context.scene.vggt.results) == 2


def test_a_result_that_cannot_be_imported_is_offered_and_the_next_comes(
    bpy: ModuleType, session: object, ask: Callable[..., object]
) -> None:
    """Its file is damaged between the solve and the import."""
    first, second = ask("solve"), ask("solve")
    while first.arrived is None:
        session.pump(0.05)
    (first.arrived / "reconstruction.json").write_text("{}")
    step_until(session, lambda: not session.tasks)
    assert first.failure is not None
    assert first.failure.folder == Path(first.job.output)
    assert second.failure is None
    assert len(bpy.context.scene.vggt.results) == 1


def test_another_file_keeps_every_result_for_a_click(
    bpy: ModuleType, session: object, ask: Callable[..., object]
) -> None:
    tasks = [ask("solve"), ask("solve")]
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    step_until(session, lambda: not session.tasks)
    assert [notice.folder for notice in session.notices if notice.folder] == [Path(task.job.output) for task in tasks]
    assert len(bpy.data.cameras) == 0
    ask("solve")
    step_until(session, lambda: not session.tasks)
    assert len(bpy.data.cameras) == 1
    assert [notice.folder for notice in session.notices if notice.folder] == [Path(task.job.output) for task in tasks]


def test_an_idle_backend_is_kept_and_then_ended(bpy: ModuleType, session: object, ask: Callable[..., object]) -> None:
    ask("solve")
    assert session.rest(1000.0) is None  # not idle
    step_until(session, lambda: not session.tasks)
    pid = session.client.pid
    assert session.rest(0.0) is None
    assert session.client is not None  # 0: until Blender ends
    assert 900.0 < session.rest(1000.0) <= 1000.0
    ask("solve")
    step_until(session, lambda: not session.tasks)
    assert session.client.pid == pid  # kept for the next job
    assert session.rest(0.05) is not None  # counted anew since the last job, which took longer than that
    assert session.rest(1e-9) is None
    assert session.client is None
    deadline = time.monotonic() + PATIENCE_S
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(pid)
    ask("solve")
    step_until(session, lambda: not session.tasks)
    assert session.client.pid != pid


def test_free_memory_ends_an_idle_backend_alone(bpy: ModuleType, session: object, ask: Callable[..., object]) -> None:
    assert not bpy.ops.vggt.free_memory.poll()
    held = ask("hold")
    step_until(session, lambda: held.total == 5)
    assert not bpy.ops.vggt.free_memory.poll()
    session.cancel(held)
    step_until(session, lambda: not session.tasks)
    assert bpy.ops.vggt.free_memory() == {"FINISHED"}
    assert session.client is None


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
