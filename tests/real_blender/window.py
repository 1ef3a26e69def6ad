"""The add-on in a Blender window: every state drawn, a shot solved, cancel, kill, undo, save and reload.

Takes its surroundings from variables: VGGT_BACKEND_PYTHON, VGGT_CHECK_SPEAKER (a backend that does what it is told),
VGGT_CHECK_SHOT and VGGT_CHECK_FIRST (pictures to solve, and the first of them), VGGT_CHECK_SCRATCH (a folder).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
from driver import (
    EXTENSION,
    Steps,
    backend_runs,
    check,
    click,
    mouse,
    part,
    picture,
    place,
    press,
    redo,
    run,
    say,
    show_tab,
    undo,
    until,
)
from shot import shot_tools

SCRATCH = Path(os.environ["VGGT_CHECK_SCRATCH"])
SPEAKER = os.environ["VGGT_CHECK_SPEAKER"]
SHOT, FIRST, FRAMES = os.environ["VGGT_CHECK_SHOT"], int(os.environ["VGGT_CHECK_FIRST"]), 8
AUTOSAVE_S, SOLVE_S = 300.0, 900.0  # only what hangs takes so long


# the import's warnings, when it runs from a script instead of a button
say("EXPECT Warning: 1 of 5 frames could not be placed")
say("EXPECT Warning: 4 pictures are no longer where they were")


def settings() -> object:
    return bpy.context.window_manager.windows[0].scene.vggt


def preferences() -> object:
    return bpy.context.preferences.addons[EXTENSION].preferences


def session() -> object:
    return part("operators.session").session


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def checks() -> Steps:
    bpy.ops.preferences.addon_enable(module=EXTENSION)
    preferences().results_folder = str(SCRATCH / "results")
    open_sub_panels()
    yield from show_tab()
    place()["area"].spaces.active.shading.type = "WIREFRAME"  # Material Preview takes minutes without a graphics card
    yield from idle_states()
    preferences().interpreter = SPEAKER
    yield from failing()
    yield from killed()
    yield from running_beside_the_artist()
    yield from queued()
    yield from asked()
    yield from arriving_in_edit_mode()
    yield from undone_and_redone()
    yield from saved_and_read_again()
    preferences().interpreter = ""
    real = backend_runs()
    if real:
        yield from solved_for_real()
        yield from shot_tools()
    yield from scaled()
    if real:
        yield from checked_in_preferences()
    yield from disabled_while_running()


def open_sub_panels() -> None:
    """Panels that start closed are never drawn; a test cannot open them, but can register them open."""
    closed = [cls for cls in part("ui").CLASSES if "DEFAULT_CLOSED" in getattr(cls, "bl_options", ())]
    for cls in closed:
        bpy.utils.unregister_class(cls)
        cls.bl_options = set()
        bpy.utils.register_class(cls)


def idle_states() -> Steps:
    yield from picture("idle")
    check("Solve is disabled without a source", not bpy.ops.vggt.solve.poll())
    preferences().interpreter = "/missing/python"
    yield from picture("no-backend")
    preferences().interpreter = ""
    settings().source = "/pictures/hold"
    settings().use_range = True
    yield from picture("source")
    check("Solve is enabled with a source", bpy.ops.vggt.solve.poll())
    settings().use_range = False


def start(deed: str, placement: str = "this") -> None:
    settings().source = f"/pictures/{deed}"
    settings().placement = placement
    click(bpy.ops.vggt.solve)
    task = session().task
    check(f"Solve returns before anything was heard ({deed})", task is not None and task.total == 0, task)


def failing() -> Steps:
    start("fail")
    yield from until(lambda: session().task is None)
    notice = session().notice
    check("an error is one line", notice is not None and notice.failed and "\n" not in notice.message, notice)
    yield from picture("failed")
    click(bpy.ops.vggt.show_details)
    yield from picture("details")
    press("Escape")
    yield 0.5
    click(bpy.ops.vggt.dismiss)


def killed() -> Steps:
    start("hold")
    yield from until(lambda: session().task.total > 0)
    os.kill(session().client.pid, signal.SIGKILL)
    yield from until(lambda: session().task is None)
    notice = session().notice
    check("a killed backend is an error", notice is not None and notice.failed, notice)
    yield from picture("killed")


def running_beside_the_artist() -> Steps:
    """Undo works, the panel shows progress, Blender saves its backup, and cancel takes effect, all while it runs."""
    bpy.context.preferences.filepaths.temporary_directory = str(SCRATCH)
    bpy.context.preferences.filepaths.auto_save_time = 1
    start("hold")
    yield from until(lambda: session().task.total > 0)
    yield from picture("running")
    with bpy.context.temp_override(**place(region="WINDOW")):
        bpy.ops.ed.undo_push(message="Before")
        bpy.ops.mesh.primitive_monkey_add()
        bpy.ops.ed.undo_push(message="Monkey")
    yield 0.3
    yield from undo()
    check("undo works while it runs", "Suzanne" not in bpy.data.objects and session().task is not None)
    yield from until(lambda: any(SCRATCH.glob("*.blend")), AUTOSAVE_S)
    check("Blender saves its backup while it runs", any(SCRATCH.glob("*.blend")), sorted(SCRATCH.iterdir()))
    check("it still runs", session().task is not None)
    click(bpy.ops.vggt.cancel)
    check("Cancel returns before it has stopped", session().task is not None)
    yield from until(lambda: session().task is None)
    check("it stops", session().task is None)
    yield from picture("cancelled")


def queued() -> Steps:
    """A second and a third solve wait, one is cancelled, the other comes in; then the backend rests and is ended."""
    start("hold", "keep")
    start("solve", "keep")
    start("solve", "keep")
    yield from until(lambda: session().task.total > 0)
    yield from picture("queued")
    check("the others wait", [task.begun for task in session().tasks] == [True, False, False], session().tasks)
    click(bpy.ops.vggt.cancel, job=session().tasks[2].job.id)
    click(bpy.ops.vggt.cancel, job=session().tasks[0].job.id)
    yield from until(lambda: session().task is None)
    check("what waited comes in, what was cancelled does not", len(settings().results) == 1, session().notices)
    pid = session().client.pid
    preferences().idle_minutes = 1
    check("the timer waits for the end of the idle time", bpy.app.timers.is_registered(part("operators.pump")._tick))
    click(bpy.ops.vggt.free_memory)
    yield from until(lambda: not runs(pid))
    check("Free Memory ends the idle backend", not runs(pid) and session().client is None)
    session().notices.clear()
    click(bpy.ops.vggt.remove_result)
    yield from undo()
    check("an entry that was removed comes back with undo", len(settings().results) == 1)
    click(bpy.ops.vggt.delete_result)
    yield from picture("deleting")
    folder = Path(bpy.path.abspath(settings().results[0].folder))
    check("nothing is deleted before the answer", folder.is_dir())
    press("Return")
    yield 0.5
    check("then the files are gone", not folder.exists() and len(settings().results) == 0, folder)
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    yield from show_tab()


def asked() -> Steps:
    """A scene in use: the button asks before it starts, and Enter and Escape answer."""
    with bpy.context.temp_override(**place(region="WINDOW")):
        bpy.ops.mesh.primitive_cube_add()
    settings().source, settings().placement = "/pictures/hold", "ask"
    for key, starts in (("Escape", False), ("Return", True)):
        click(bpy.ops.vggt.solve)
        yield from picture("asking")
        check(f"nothing starts before the answer ({key})", session().task is None)
        press(key)
        yield from until(lambda: session().task is not None, 60.0 if starts else 1.0)
        check(f"{key} {'starts' if starts else 'ends'} it", (session().task is not None) == starts)
    if session().task is not None:
        click(bpy.ops.vggt.cancel)
    yield from until(lambda: session().task is None)


def arriving_in_edit_mode() -> Steps:
    there = place(region="WINDOW")
    with bpy.context.temp_override(**there):
        bpy.ops.mesh.primitive_cube_add()
        bpy.ops.object.mode_set(mode="EDIT")
    start("solve")
    yield from until(lambda: session().task.arrived is not None)
    yield from picture("waiting")
    check("the result waits for Object Mode", session().task is not None and len(settings().results) == 0)
    with bpy.context.temp_override(**there):
        bpy.ops.object.mode_set(mode="OBJECT")
    yield from until(lambda: session().task is None)
    check("then it comes in", len(settings().results) == 1 and len(cameras()) == 2, cameras())
    yield from picture("done")


def cameras() -> list[str]:
    return sorted(thing.name for thing in bpy.context.window_manager.windows[0].scene.objects if thing.type == "CAMERA")


def undone_and_redone() -> Steps:
    before = cameras()
    yield from undo()
    check("one undo takes the import back and keeps the entry", (len(cameras()), len(settings().results)) == (1, 1))
    yield from redo()
    check("one redo brings it back", cameras() == before, cameras())


def saved_and_read_again() -> Steps:
    path = str(SCRATCH / "shot.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    start("solve", "keep")
    bpy.ops.wm.open_mainfile(filepath=path)
    yield from until(lambda: session().task is None)
    check("a solve outlives reading the file again", len(settings().results) == 2, session().notice)
    yield from show_tab()
    start("solve", "keep")
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    yield from until(lambda: session().task is None)
    yield from show_tab()
    yield from picture("another-file")
    waiting = session().notice.folder
    check("a result for a file that was closed waits for a click", waiting is not None and len(cameras()) == 1)
    click(bpy.ops.vggt.import_reconstruction, filepath=str(waiting))
    check("the click imports it", len(cameras()) == 2 and session().notice is None, cameras())
    yield 0.3


def checked_in_preferences() -> Steps:
    bpy.ops.preferences.addon_show(module=EXTENSION)
    yield 1.0
    with bpy.context.temp_override(**place("PREFERENCES", "WINDOW")):
        bpy.ops.vggt.check_backend()
        yield from picture("preferences-checking")
    checker = part("operators.check").check
    yield from until(lambda: not checker.running)
    good = {finding.topic: finding.good for finding in checker.findings}
    check("the check finds the engine ready", good.get("COLMAP") is True, checker.findings)
    models = {row["name"]: row["licence"] for row in checker.models()}
    check("every model is listed with its licence", "VGGT-1B" in models and all(models.values()), models)
    check("no download without permission", bpy.app.online_access or not bpy.ops.vggt.download_model.poll())
    yield from picture("preferences")  # its window stays open: closing it from a script upsets Blender
    settings().engine = "vggt"
    here = [row["path"] for row in checker.models() if row["path"]]
    check("an engine without its model says so before", bool(here) or not bpy.ops.vggt.solve.poll())
    area = place()["area"]
    area.type = "PREFERENCES"  # the large one, to see all of it
    yield from picture("preferences-large")
    area.type = "VIEW_3D"
    yield from show_tab()
    yield from picture("engine-note")


def solved_for_real() -> Steps:
    """The shot in SHOT, from the button to the scene, with the main thread's longest pause."""
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    yield from show_tab()
    there = settings()
    there.source, there.engine, there.use_range = SHOT, "colmap", True
    there.first, there.last = FIRST, FIRST + FRAMES - 1
    click(bpy.ops.vggt.solve)
    taken: list[float] = []
    pump = session().pump

    def timed(wait_s: float = 0.0) -> bool:
        began = time.thread_time()
        news = pump(wait_s)
        taken.append(time.thread_time() - began)
        return news

    began = time.perf_counter()

    session().pump = timed
    yield from until(lambda: session().task is None or session().task.done > 0, SOLVE_S)
    yield from picture("solving")
    yield from until(lambda: session().task is None or session().task.arrived is not None, SOLVE_S)
    share = sum(taken) / (time.perf_counter() - began)
    yield from until(lambda: session().task is None)
    del session().pump
    check("the shot is solved and imported", len(settings().results) == 1, session().notice)
    say(f"INFO the pump: {1e3 * max(taken):.2f} ms at most, {1e3 * sorted(taken)[len(taken) // 2]:.2f} ms mostly")
    check("the pump takes less than a hundredth of the main thread", share < 0.01, share)
    if not len(settings().results):
        return
    result = settings().results[0]
    check("every frame is placed", result.registered == result.total == FRAMES, (result.registered, result.total))
    yield from picture("solved")
    window = bpy.context.window_manager.windows[0]
    window.scene.camera = bpy.data.objects[next(name for name in cameras() if name != "Camera")]
    place()["area"].spaces.active.region_3d.view_perspective = "CAMERA"
    place()["area"].spaces.active.shading.type = "MATERIAL"
    yield 2.0
    yield from picture("solved-camera")
    place()["area"].spaces.active.shading.type = "WIREFRAME"


def scaled() -> Steps:
    """A narrow sidebar, and an interface twice as large."""
    yield from drag_sidebar(45)
    yield from picture("narrow")
    if place()["region"].width > 255:  # the virtual pointer missed the edge: nothing of ours
        say(f"SKIPPED the narrow sidebar: it stayed {place()['region'].width} wide")
    yield from drag_sidebar(-45)
    bpy.context.preferences.view.ui_scale = 2.0
    yield 1.0
    yield from picture("double-scale")
    bpy.context.preferences.view.ui_scale = 1.0
    yield 0.5


def drag_sidebar(pixels: int) -> Steps:
    """Move the sidebar's edge to the right. Where exactly it can be taken hold of differs between versions."""
    before = place()["region"].width
    for offset in (0, 8):
        region = place()["region"]
        edge = region.x + offset
        y = bpy.context.window_manager.windows[0].height - region.y - region.height + 60  # beside a panel
        mouse("mousemove", edge, y)
        yield 0.3
        mouse("mousedown", 1)
        for moved in range(0, pixels, 5 if pixels > 0 else -5):
            mouse("mousemove", edge + moved, y)
            yield 0.05
        mouse("mouseup", 1)
        yield 0.5
        if place()["region"].width != before:
            return


def disabled_while_running() -> Steps:
    preferences().interpreter = SPEAKER
    start("hold", "keep")
    yield from until(lambda: session().task.total > 0)
    pid = session().client.pid
    tick = part("operators.pump")._tick
    bpy.ops.preferences.addon_disable(module=EXTENSION)
    check("disabling ends the backend", not runs(pid))
    check("no timer stays", not bpy.app.timers.is_registered(tick))
    lists = [getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)]
    ours = [one for found in lists if isinstance(found, list) for one in found if EXTENSION in one.__module__]
    check("no handler stays", not ours, ours)
    yield from picture("disabled")
    check("no class stays", not [name for name in dir(bpy.types) if name.startswith("VGGT_")])
    bpy.ops.preferences.addon_enable(module=EXTENSION)
    preferences().interpreter = SPEAKER
    start("hold", "keep")
    yield from until(lambda: session().task.total > 0)
    say(f"LEFT {session().client.pid}")  # the runner looks whether it outlives Blender


run(checks)
