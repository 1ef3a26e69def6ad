"""One solve or export as the add-on follows it, and how it ended.

Scenes are remembered by their ids, never by reference: undo and file loading replace them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import bpy

from ..vggt_blender.exchange.export import Export
from ..vggt_blender.exchange.job import Job
from ..vggt_blender.exchange.requests import Request


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


@dataclass(frozen=True)
class Notice:
    """How a solve or a set-up ended, where that needs saying. ``folder`` is a result to be imported by hand."""

    message: str
    detail: str = ""
    failed: bool = False
    folder: Path | None = None
    about_setup: bool = False
    title: str = ""


@dataclass(eq=False)
class Task:
    """One solve or export: what was asked for, what runs it (None: this Python), whose it is, and its progress.

    ``drawn_mask`` is the folder of a mask that was drawn for it. ``begun`` once the backend has it, ``arrived`` (a
    reconstruction's folder) once there is something to bring into the scene, ``ended`` once it is over.
    """

    job: Request
    interpreter: Path | None
    title: str
    home: Home | None
    placement: str
    drawn_mask: Path | None = None
    stage: str = "Starting"
    done: int = 0
    total: int = 0
    remaining_s: float | None = None
    begun: bool = False
    cancelling: bool = False
    arrived: Path | None = None
    ended: bool = False
    failure: Notice | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def exports(self) -> bool:
        """Whether it writes something for other programs, rather than solve."""
        return isinstance(self.job, Export)

    @property
    def needs_drawn_mask(self) -> bool:
        """Whether its drawn mask stays with its result, for frames that are solved again."""
        return self.arrived is not None and not (isinstance(self.job, Job) and self.job.resolve)

    @property
    def outcome(self) -> str:
        """What it is, in a word, once the backend is done with it."""
        return "Written" if self.exports else "Solved"
