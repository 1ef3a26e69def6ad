"""The solves and exports under way: what the pump keeps up to date, the operators change and the panels show.

Nothing here waits for the backend on Blender's main thread. The backend gets one job at a time, so that one that dies
takes no other job along.
"""

from __future__ import annotations

import time
import traceback
import uuid
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
from bpy.app.translations import pgettext_iface as iface_

from ..vggt_blender.backend.client import BackendClient
from ..vggt_blender.backend.local import LocalClient
from ..vggt_blender.backend.serve import absolute
from ..vggt_blender.exchange.export import Export
from ..vggt_blender.exchange.messages import CANCELLED, JobError, Message
from ..vggt_blender.exchange.reconstruction import load_reconstruction
from ..vggt_blender.exchange.requests import Request
from ..vggt_blender.exchange.undistorted import FOLDER as STRAIGHT
from .drawn_mask import drawn_folder, forget_drawn_masks
from .importing import build_result
from .locations import ROOT
from .results import list_result
from .task import Home, Notice, Task

PUMP_BUDGET_S = 0.004  # of Blender's main thread, which gives 5 ms: asking for a redraw comes on top
WAIT_S = 0.1
MOST_NOTICES = 4
LOG_LINES = 60


class Session:
    """One backend, the tasks in the order in which they were asked for, and how the last ones ended."""

    def __init__(self) -> None:
        self.client: BackendClient | LocalClient | None = None
        self.tasks: list[Task] = []
        self.notices: list[Notice] = []
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._idle_since: float | None = None
        self._file_before = ""

    @property
    def task(self) -> Task | None:
        """The first task that is not over."""
        return self.tasks[0] if self.tasks else None

    @property
    def notice(self) -> Notice | None:
        """The last thing that needs saying."""
        return self.notices[-1] if self.notices else None

    def start(
        self,
        interpreter: Path | None,
        job: Request,
        title: str,
        scene: bpy.types.Scene,
        placement: str,
        drawn_mask: str | None = None,
    ) -> Task:
        """Send `job` to the backend of `interpreter` (None: this Python), after those that are under way. The
        `drawn_mask` that was made for it is removed with it, unless its result is there.

        Raises `JobError` where the backend does not start.
        """
        first = not self.tasks
        job = absolute(replace(job, id=uuid.uuid4().hex[:12]))  # the backend's current folder is another
        drawn = None if drawn_mask is None else drawn_folder(drawn_mask)
        task = Task(job, interpreter, title, Home.of(scene), placement, drawn)
        if first:
            self.notices = [notice for notice in self.notices if notice.folder is not None]
            try:
                self._begin(task)
            except JobError:
                _forget_mask(task)
                raise
        self.tasks.append(task)
        return task

    def cancel(self, task: Task | None = None) -> None:
        """Stop `task`, else the first; a result that only waits to be imported is left on disk."""
        task = task or self.task
        if task is None:
            return
        if task.arrived is not None:
            self._end(task, Notice(f"{task.outcome}, not imported.", folder=task.arrived))
        elif not task.begun:
            self._end(task, None)
        elif self.client is not None:
            task.cancelling = True
            self.client.cancel(task.job.id)

    def tell(self, notice: Notice) -> None:
        """Show `notice` in the panel, below those that nobody has put away."""
        self.notices = [*self.notices, notice][-MOST_NOTICES:]
        self.note(f"{notice.title}: {notice.message}" if notice.title else notice.message)

    def note(self, text: str) -> None:
        """Remember `text` for the diagnostics."""
        self.log.append(f"{time.strftime('%H:%M:%S')}  {text}")

    def forget_setup(self) -> None:
        """What was said about the set-up no longer holds."""
        self.notices = [notice for notice in self.notices if not notice.about_setup]

    def forget_waiting(self, folder: Path) -> None:
        """The result in `folder` has been imported by hand."""
        self.notices = [notice for notice in self.notices if notice.folder != folder]

    def close_backend(self) -> None:
        """End the idle backend without waiting for it; the next task starts another."""
        if self.client is not None:
            self.client.close_aside()
            self.client = None

    def rest(self, limit_s: float) -> float | None:
        """Seconds until an idle backend is ended (now, where they are over); None: never. `limit_s` 0: it is kept."""
        if self.tasks or self.client is None:
            return None
        if self._idle_since is None:
            self._idle_since = time.monotonic()
        if limit_s <= 0:
            return None
        left = self._idle_since + limit_s - time.monotonic()
        if left > 0:
            return left
        self.close_backend()
        return None

    def step(self, wait_s: float = 0.0) -> bool:
        """Take what the backend said, import what arrived, begin what waits. Returns whether anything happened."""
        news = False
        for work in (lambda: self.pump(wait_s), self.bring_in, self._begin_next):
            try:
                news = work() or news
            except Exception as failure:  # a timer that raises is gone, and the task would never end
                self._fail(failure)
                news = True
        return news

    def pump(self, wait_s: float = 0.0) -> bool:
        """Take what the backend said, within the budget. Returns whether there was anything."""
        if self.client is None or self._running is None:
            return False
        news = False
        for message in self.client.messages(PUMP_BUDGET_S, wait_s):
            news = True
            self._take(message)
        return news

    def bring_in(self) -> bool:
        """Import a result that arrived, unless the user is in the middle of something. Returns whether one ended."""
        task = next((task for task in self.tasks if task.arrived is not None), None)
        if task is None or task.arrived is None or hands_are_full():
            return False
        scene = task.home.find() if task.home is not None else None
        if scene is None:
            self._end(task, Notice(f"{task.outcome}, but its scene is not open any more.", folder=task.arrived))
            return True
        try:
            warnings = [*task.warnings, *_import_undoably(task.arrived, scene, task.placement)]
        except Exception as failure:
            self._end(task, replace(notice_of(failure), folder=task.arrived))
            return True
        self._end(task, _notice_of_warnings(warnings) if warnings else None)
        return True

    def wait(self, task: Task) -> None:
        """For scripts: run `task` to its end; its ``failure`` says whether it worked. Ctrl-C cancels it."""
        try:
            while not task.ended:
                self.step(WAIT_S)
        except KeyboardInterrupt:
            self.cancel(task)
            raise

    def close(self) -> None:
        """End the backend and forget everything; waits three seconds at the longest."""
        if self.client is not None:
            self.client.close()
        self.client = self._idle_since = None
        for task in self.tasks:
            _forget_mask(task)
        self.tasks, self.notices = [], []
        self.log.clear()

    def before_load(self) -> None:
        """Another .blend is about to be read."""
        self._file_before = bpy.data.filepath

    def after_load(self) -> None:
        """The same file, read again, has the same scenes under new ids; another file has none for the results."""
        same = self._file_before and self._file_before == bpy.data.filepath
        for task in self.tasks:
            if task.home is not None:
                scene = bpy.data.scenes.get(task.home.name) if same else None
                task.home = None if scene is None else Home.of(scene)

    @property
    def _running(self) -> Task | None:
        return next((task for task in self.tasks if task.begun and task.arrived is None), None)

    def _begin_next(self) -> bool:
        task = next((task for task in self.tasks if task.arrived is None), None)
        if task is None or task.begun:
            return False
        try:
            self._begin(task)
        except JobError as failure:
            self._end(task, notice_of(failure))
        return True

    def _begin(self, task: Task) -> None:
        """Raises `JobError` where the backend does not start."""
        if self.client is not None and self.client.interpreter != task.interpreter:
            self.close_backend()
        if self.client is None:
            self.client = LocalClient() if task.interpreter is None else BackendClient(task.interpreter, ROOT)
        self.client.submit(task.job)
        self._idle_since = None
        task.begun = True
        self.note(f"{task.title}: started")

    def _take(self, message: Message) -> None:
        task = self._running
        if task is None or message["job"] != task.job.id:
            return
        kind = message["type"]
        if kind == "progress":
            task.stage, task.done, task.total = str(message["stage"]), int(message["done"]), int(message["total"])
            task.remaining_s = message["remaining_s"]
        elif kind == "status":
            task.stage, task.total, task.remaining_s = str(message["message"]), 0, None
            self.note(f"{task.title}: {task.stage}")
        elif kind == "warning":
            task.warnings.append(str(message["message"]))
            self.note(f"{task.title}: {message['message']}")
        elif kind == "done":
            self._done(task, Path(message["path"]))
        elif message["code"] == CANCELLED:
            self._end(task, Notice("Cancelled.", message["detail"]))
        else:
            self._end(task, Notice(message["message"], message["detail"], failed=True))

    def _done(self, task: Task, path: Path) -> None:
        """A solve is imported; of what was written only straightened plates change the scene."""
        if not isinstance(task.job, Export):
            task.stage, task.arrived = "Importing", path
        elif task.job.to == STRAIGHT:
            task.stage, task.arrived = "Updating", path.parent
        else:
            self._end(task, Notice(f"Written into '{path.parent}'."))

    def _fail(self, failure: Exception) -> None:
        notice, task = notice_of(failure), self._running or self.task
        if task is None:
            self.tell(notice)
        else:
            self._end(task, notice)

    def _end(self, task: Task, notice: Notice | None) -> None:
        self.tasks.remove(task)
        task.ended = True
        _forget_mask(task)
        if notice is None:
            self.note(f"{task.title}: ended")
            return
        notice = replace(notice, title=task.title)
        task.failure = notice if notice.failed else None
        self.tell(notice)


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


def notice_of(failure: Exception, about_setup: bool = False) -> Notice:
    """`failure` for the panel."""
    if isinstance(failure, JobError):
        return Notice(failure.message, failure.detail, failed=True, about_setup=about_setup)
    return Notice(f"{type(failure).__name__}: {failure}", traceback.format_exc(), failed=True, about_setup=about_setup)


def _forget_mask(task: Task) -> None:
    if task.drawn_mask is not None and not task.needs_drawn_mask:
        forget_drawn_masks(task.drawn_mask)


def _notice_of_warnings(warnings: list[str]) -> Notice:
    """One is said; of several their number, and what they are on request."""
    if len(warnings) == 1:
        return Notice(warnings[0])
    return Notice(iface_("{} warnings").format(len(warnings)), "\n".join(warnings))


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
