"""The reconstruction folder, written while the engine runs and complete only at the end.

This module may import the standard library and numpy only. Everything is staged in a hidden folder beside the result;
an earlier result in the same place stays untouched until the new one is whole.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .messages import JobError
from .reconstruction import FORMAT, VERSION, Frame, Points, Source, Tracks
from .staging import DOCUMENT, absent_folders, is_complete, make_folder, make_staging, put_in_place, remove_empty

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class ReconstructionWriter:
    """A context manager that leaves a complete folder after `finish`, and no trace of itself otherwise.

    Raises `JobError` with code ``exists`` where `folder` already holds a result and `overwrite` is not set, with code
    ``disk_full`` where there is no room for the result, and with code ``output`` where it cannot be written.
    """

    def __init__(self, folder: Path | str, *, overwrite: bool = False) -> None:
        self.folder = Path(folder).absolute()
        if is_complete(self.folder) and not overwrite:
            raise JobError("exists", f"'{self.folder}' already holds a result; choose another folder or --overwrite.")
        self._made = absent_folders(self.folder)
        with self._writing():
            try:
                make_folder(self.folder)
                self._staging = make_staging(self.folder)
            except OSError:
                remove_empty(self._made)
                raise
        self.depth: NDArray[np.float32] | None = None
        self.confidence: NDArray[np.float32] | None = None
        self.color: NDArray[np.uint8] | None = None

    @property
    def staging(self) -> Path:
        """A folder for an engine's own scratch files; it is deleted in the end."""
        return self._staging

    def open_dense(self, frames: int, height: int, width: int, *, scratch: int = 0) -> None:
        """Create `depth` (NaN), `confidence` (0) and `color` (0) as memory maps of (frames, height, width).

        There has to be room for `scratch` bytes of the engine's own files, too.
        """
        needed = frames * height * width * 11 + scratch
        free = shutil.disk_usage(self._staging).free
        if needed > free:
            raise JobError(
                "disk_full",
                f"The solve needs {needed / 1e9:.1f} GB but '{self.folder}' has {free / 1e9:.1f} GB free: "
                "free some space or choose another output folder.",
            )
        shape = (frames, height, width)
        with self._writing():
            self.depth = self._map("depth.npy", np.float32, shape)
            self.confidence = self._map("confidence.npy", np.float32, shape)
            self.color = self._map("color.npy", np.uint8, (*shape, 3))
        for frame in range(frames):  # frame by frame: the pages of a long shot need not be in memory at once
            self.depth[frame] = np.nan

    def scratch_map(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A memory map of zeros in `staging` for an engine's own use."""
        with self._writing():
            return np.asanyarray(self._map(name, np.float32, shape))

    def write_points(self, points: Points) -> None:
        with self._writing():
            np.savez(
                self._staging / "points.npz",
                xyz=points.xyz,
                rgb=points.rgb,
                error=points.error,
                observations=points.observations,
            )

    def write_tracks(self, tracks: Tracks) -> None:
        with self._writing():
            np.savez(self._staging / "tracks.npz", xy=tracks.xy, visible=tracks.visible, confidence=tracks.confidence)

    def finish(
        self,
        *,
        engine: dict[str, Any],
        source: Source,
        frames: list[Frame],
        units: str = "arbitrary",
        extra: dict[str, Any] | None = None,
    ) -> Path:
        """Put the arrays in place, then the document, by rename. Returns the folder."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "engine": engine,
            "source": {"kind": source.kind, "path": source.path, "fps": source.fps},
            "units": units,
            **(extra or {}),
            "frames": [_frame_entry(frame) for frame in frames],
        }
        text = json.dumps(document, indent=1, allow_nan=False)
        with self._writing():
            self._close_dense()
            (self._staging / DOCUMENT).write_text(text, encoding="utf-8")
            put_in_place(self._staging, self.folder)
        return self.folder

    def __enter__(self) -> ReconstructionWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.depth = self.confidence = self.color = None
        shutil.rmtree(self._staging, ignore_errors=True)
        if is_complete(self.folder):
            return
        remove_empty(self._made)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as failure:
            if failure.errno in DISK_FULL:
                raise JobError(
                    "disk_full",
                    f"The disk of '{self.folder}' is full: free some space or choose another output folder.",
                ) from None
            raise JobError("output", f"Cannot write to '{self.folder}': {failure.strerror or failure}.") from None

    def _close_dense(self) -> None:
        """Write the maps out and let go of them: Windows moves no file that is mapped."""
        for array in (self.depth, self.confidence, self.color):
            if isinstance(array, np.memmap):
                array.flush()
        self.depth = self.confidence = self.color = None
        del array

    def _map(self, name: str, dtype: type, shape: tuple[int, ...]) -> Any:
        path = self._staging / name
        array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        if hasattr(os, "posix_fallocate"):
            # Without its blocks reserved, a map on a disk that fills kills the process (SIGBUS) instead of raising.
            with path.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return array


def _frame_entry(frame: Frame) -> dict[str, Any]:
    pose = frame.pose
    return {
        "name": frame.name,
        "path": frame.path,
        "index": frame.index,
        "number": frame.number,
        "width": frame.width,
        "height": frame.height,
        "registered": pose is not None,
        "camera_from_world": None if pose is None else np.asarray(pose.camera_from_world, np.float64).tolist(),
        "fx": None if pose is None else float(pose.fx),
        "fy": None if pose is None else float(pose.fy),
        "cx": None if pose is None else float(pose.cx),
        "cy": None if pose is None else float(pose.cy),
        "distortion": None if pose is None or pose.distortion is None else [float(term) for term in pose.distortion],
        "depth_to_image": None
        if frame.depth_to_image is None
        else np.asarray(frame.depth_to_image, np.float64).tolist(),
        **frame.extra,
    }
