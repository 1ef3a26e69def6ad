"""The solve under way: what the pump keeps up to date, the operators change and the panels show.

Nothing here waits for the backend on Blender's main thread. Scenes are remembered by their ids, never by reference:
undo and file loading replace them.
"""

from __future__ import annotations

import traceback
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bpy

from ..vggt_blender.backend.client import BackendClient
from ..vggt_blender.exchange.job import Job
from ..vggt_blender.exchange.messages import CANCELLED, JobError, Message
from ..vggt_blender.exchange.reconstruction import load_reconstruction
from .importing import build_result
from .locations import ROOT
from .results import list_result

PUMP_BUDGET_S = 0.004  # of Blender's main thread, which gives 5 ms: asking for a redraw comes on top
WAIT_S = 0.1


@dataclass(frozen=True)
class Home:
    """The scene that a result is for."""

    uid: int
    name: str

    @classmethod
    def of(cls, scene: bpy.types.Scene) -> Home:
        return cls(scene.session_uid, scene.name)

    def find(self) -> bpy.types.Scene | None:
        return next((scene for scene in bpy.data.scenes if scene.session_uid == self.uid), None)


@dataclass
class Task:
    """One solve: its job, where its result goes, and its progress. ``arrived`` is the result's folder."""

    job: Job
    title: str
    home: Home | None
    placement: str
    stage: str = "Starting"
    done: int = 0
    total: int = 0
    remaining_s: float | None = None
    cancelling: bool = False
    arrived: Path | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Notice:
    """How the last solve or set-up ended, where that needs saying. ``folder`` is a result to be imported by hand."""

    message: str
    detail: str = ""
    failed: bool = False
    folder: Path | None = None
    about_setup: bool = False


class Session:
    """One backend and at most one task."""

    def __init__(self) -> None:
        self.client: BackendClient | None = None
        self.task: Task | None = None
        self.notice: Notice | None = None
        self._file_before = ""

    def start(self, interpreter: Path, job: Job, title: str, scene: bpy.types.Scene, placement: str) -> None:
        """Send `job` to the backend. Raises `JobError` where it does not start."""
        assert self.task is None
        self.notice = None
        if self.client is not None and self.client.interpreter != interpreter:
            self.close_backend()
        if self.client is None:
            self.client = BackendClient(interpreter, ROOT)
        job = replace(job, id=uuid.uuid4().hex[:12])
        self.client.submit(job)
        self.task = Task(job, title, Home.of(scene), placement)

    def cancel(self) -> None:
        """Ask the backend to stop; a result that only waits to be imported is left on disk."""
        if self.task is None:
            return
        if self.task.arrived is not None:
            self._end(Notice("Solved, not imported.", folder=self.task.arrived))
        elif self.client is not None:
            self.task.cancelling = True
            self.client.cancel(self.task.job.id)

    def fail(self, failure: JobError, about_setup: bool = False) -> None:
        """Show `failure` in the panel."""
        self.notice = Notice(failure.message, failure.detail, failed=True, about_setup=about_setup)

    def close_backend(self) -> None:
        """End the idle backend without waiting for it; the next task starts another."""
        assert self.task is None
        if self.client is not None:
            self.client.close_aside()
            self.client = None

    def forget_waiting(self, folder: Path) -> None:
        """The result in `folder` has been imported by hand."""
        if self.notice is not None and self.notice.folder == folder:
            self.notice = None

    def step(self, wait_s: float = 0.0) -> bool:
        """Take what the backend said, then import what arrived. Returns whether anything happened."""
        try:
            news = self.pump(wait_s)
            return self.bring_in() or news
        except Exception as failure:  # a timer that raises is gone, and the task would never end
            arrived = self.task.arrived if self.task is not None else None
            message = failure.message if isinstance(failure, JobError) else f"{type(failure).__name__}: {failure}"
            detail = failure.detail if isinstance(failure, JobError) else traceback.format_exc()
            self._end(Notice(message, detail, failed=True, folder=arrived))
            return True

    def pump(self, wait_s: float = 0.0) -> bool:
        """Take what the backend said, within the budget. Returns whether there was anything."""
        if self.client is None or self.task is None or self.task.arrived is not None:
            return False
        news = False
        for message in self.client.messages(PUMP_BUDGET_S, wait_s):
            news = True
            self._take(message)
        return news

    def bring_in(self) -> bool:
        """Import a result that arrived, unless the user is in the middle of something. Returns whether it ended."""
        task = self.task
        if task is None or task.arrived is None or hands_are_full():
            return False
        scene = task.home.find() if task.home is not None else None
        if scene is None:
            self._end(Notice("Solved, but its scene is not open any more.", folder=task.arrived))
            return True
        warnings = [*task.warnings, *_import_undoably(task.arrived, scene, task.placement)]
        summary = warnings[0] if len(warnings) == 1 else f"{len(warnings)} warnings"
        self._end(Notice(summary, "\n".join(warnings)) if warnings else None)
        return True

    def wait(self) -> None:
        """For scripts: run the task to its end. Raises `JobError` where it fails; Ctrl-C cancels it."""
        try:
            while self.task is not None:
                self.step(WAIT_S)
        except KeyboardInterrupt:
            self.cancel()
            raise
        if self.notice is not None and self.notice.failed:
            raise JobError("failed", self.notice.message, self.notice.detail)

    def close(self) -> None:
        """End the backend; waits three seconds at the longest."""
        if self.client is not None:
            self.client.close()
        self.client = self.task = self.notice = None

    def before_load(self) -> None:
        """Another .blend is about to be read."""
        self._file_before = bpy.data.filepath

    def after_load(self) -> None:
        """The same file, read again, has the same scenes under new ids; another file has none for the result."""
        if self.task is None or self.task.home is None:
            return
        same = self._file_before and self._file_before == bpy.data.filepath
        scene = bpy.data.scenes.get(self.task.home.name) if same else None
        self.task.home = None if scene is None else Home.of(scene)

    def _take(self, message: Message) -> None:
        task = self.task
        if task is None or message["job"] != task.job.id:
            return
        kind = message["type"]
        if kind == "progress":
            task.stage, task.done, task.total = str(message["stage"]), int(message["done"]), int(message["total"])
            task.remaining_s = message["remaining_s"]
        elif kind == "status":
            task.stage, task.total, task.remaining_s = str(message["message"]), 0, None
        elif kind == "warning":
            task.warnings.append(str(message["message"]))
        elif kind == "done":
            task.stage, task.arrived = "Importing", Path(message["path"])
        elif message["code"] == CANCELLED:
            self._end(Notice("Cancelled."))
        else:
            self._end(Notice(message["message"], message["detail"], failed=True))

    def _end(self, notice: Notice | None) -> None:
        self.task, self.notice = None, notice


session = Session()


def hands_are_full() -> bool:
    """Whether an import now would get in the way: a mode of its own undo, a drag under way, a render."""
    if bpy.app.is_job_running("RENDER"):
        return True
    for window in bpy.context.window_manager.windows:
        active = window.view_layer.objects.active
        if active is not None and active.mode != "OBJECT":
            return True
        if any(modal.bl_idname.startswith("TRANSFORM_OT_") for modal in window.modal_operators):
            return True
    return False


def _import_undoably(folder: Path, scene: bpy.types.Scene, placement: str) -> list[str]:
    """The import from a timer, which has no window and no undo step of its own. Returns warnings."""
    windows = bpy.context.window_manager.windows
    place: dict[str, Any] = {}
    if windows:
        place["window"] = next((window for window in windows if window.scene == scene), windows[0])
    with bpy.context.temp_override(**place):
        reconstruction = load_reconstruction(folder)
        list_result(scene, reconstruction)
        bpy.ops.ed.undo_push(message="Solve")  # undoing the import leaves the entry in the list
        result = build_result(reconstruction, scene, placement)
        bpy.ops.ed.undo_push(message="Import Reconstruction")
    return result.warnings
