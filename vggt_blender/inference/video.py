"""A video as a source: every frame that decodes, in the order in which it is shown.

The file is decoded once when it is opened, as far as the range asks, because only decoding tells how many frames there
are and when each is shown; reading then seeks to a key frame and decodes up to the one that is wanted.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from ..exchange.job import FrameRange
from ..exchange.messages import JobError, Reporter
from ..exchange.reconstruction import Source
from .frames import SourceFrame
from .masks import Masks

SEEK_FROM = 48
"""Frames further ahead than this are sought; nearer ones are decoded up to."""

_MATRICES = {  # by FFmpeg's AVColorSpace
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_BT709_HEIGHT = 720  # a file that does not name its matrix: high definition is BT.709, smaller and JPEG BT.601
_TIME_MAY_JUMP = 0x0200  # FFmpeg's AVFMT_TS_DISCONT: MPEG streams, whose stamps after a seek are guessed


@dataclass(frozen=True)
class Timeline:
    """One decoding pass: when each frame is shown (``pts``; None where the file does not tell) and how big it is."""

    pts: tuple[int | None, ...]
    width: int
    height: int
    fps: float | None
    remarks: tuple[str, ...]
    pixel_aspect: float = 1.0

    @property
    def seekable(self) -> bool:
        known = [stamp for stamp in self.pts if stamp is not None]
        return len(known) == len(self.pts) and all(a < b for a, b in itertools.pairwise(known))


class VideoSource:
    """The chosen frames of one video. A `FrameSource`."""

    def __init__(self, path: Path, timeline: Timeline, frames: tuple[SourceFrame, ...], masks: Masks | None) -> None:
        self.source = Source("video", str(path), timeline.fps)
        self.frames = frames
        self._path = path
        self._timeline = timeline
        self._masks = masks
        self._decoder: _Decoder | None = None
        self._lock = threading.Lock()

    def read(self, position: int) -> NDArray[np.uint8]:
        with self._lock:
            if self._decoder is None:
                self._decoder = _Decoder(self._path, self._timeline)
            return self._decoder.read(self.frames[position].index)

    def mask(self, position: int) -> NDArray[np.bool_] | None:
        return None if self._masks is None else self._masks.read(self.frames[position])

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        decoder = _Decoder(self._path, self._timeline)
        try:
            for frame in self.frames:
                yield decoder.read(frame.index)
        finally:
            decoder.close()


def open_video(path: Path, frames: FrameRange, report: Reporter | None, mask: str | None) -> VideoSource:
    """Decode `path` once to know its frames. Raises `JobError` where it has none."""
    timeline = scan(path, frames.stop, report)
    if not timeline.pts:
        raise JobError("no_frames", f"'{path}' has no frame that can be decoded: is the file complete?")
    chosen = frames.choose(range(len(timeline.pts)))
    if not chosen:
        raise JobError(
            "no_frames", f"The range {frames} leaves none of the {len(timeline.pts)} frames of '{path.name}'."
        )
    if report is not None:
        for remark in timeline.remarks:
            report.warning(f"'{path.name}' {remark}")
    found = tuple(
        SourceFrame(
            name=f"{path.stem}.{index + 1:04d}",
            path=str(path),
            index=index,
            number=index + 1,
            width=timeline.width,
            height=timeline.height,
            focal_px=None,
            pixel_aspect=timeline.pixel_aspect,
        )
        for index in chosen
    )
    return VideoSource(path, timeline, found, None if mask is None else Masks(mask, found, report))


def scan(path: Path, stop: int | None, report: Reporter | None) -> Timeline:
    """Decode the frames of `path` before `stop`."""
    pts: list[int | None] = []
    size = (0, 0)
    remarks: list[str] = []
    aspect = 1.0
    with open_container(path) as container:
        stream = picture_stream(container, path)
        expected = stream.frames or 1
        for frame in decode_frames(container, stream, remarks):
            if stop is not None and len(pts) >= stop:
                break
            shown = (frame.height, frame.width) if _lies_on_side(frame) else (frame.width, frame.height)
            if not pts:
                size = shown
                aspect = _pixel_aspect(frame, stream)
                if frame.interlaced_frame:
                    remarks.append("is interlaced: deinterlace it first for an exact solve.")
            elif shown != size:
                remarks.append(f"changes its size after frame {len(pts)}: what follows is left out.")
                break
            pts.append(frame.pts)
            if report is not None:
                report.progress("reading", len(pts), max(expected, len(pts)))
        rate = stream.average_rate or stream.guessed_rate
    if _varies(pts):
        remarks.append(
            "has a variable frame rate: frames are counted as they decode, and Blender may show others behind the "
            "camera. Convert it to a constant rate or to an image sequence to be safe."
        )
    return Timeline(tuple(pts), *size, float(rate) if rate else None, tuple(dict.fromkeys(remarks)), aspect)


def open_container(path: Path) -> Any:
    """The file, opened by FFmpeg. Raises `JobError` with FFmpeg's reason."""
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise JobError("no_frames", f"'{path}' is empty.")
        return av.open(str(path))
    except (av.error.FFmpegError, OSError) as failure:
        reason = getattr(failure, "strerror", None) or failure
        raise JobError("no_frames", f"'{path}' cannot be read as a video: {reason}.") from None


def picture_stream(container: Any, path: Path) -> Any:
    """The first stream of moving pictures; a cover picture is none."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            stream.thread_type = "AUTO"
            return stream
    raise JobError("no_frames", f"'{path}' holds no moving pictures (sound only?): choose another file.")


def decode_frames(container: Any, stream: Any, remarks: list[str] | None = None) -> Iterator[Any]:
    """The frames from here on, in the order in which they are shown; damaged parts are passed over and remarked."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except av.error.FFmpegError:
            if remarks is not None:
                remarks.append("is damaged in places: frames that do not decode are left out.")
            continue
        yield from frames


def _pixel_aspect(frame: Any, stream: Any) -> float:
    """Width over height of a pixel as the picture is shown; 1 where the file does not tell."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return 1 / aspect if _lies_on_side(frame) else aspect


def _varies(pts: list[int | None]) -> bool:
    known = np.array([stamp for stamp in pts if stamp is not None], np.float64)
    steps = np.diff(known)
    if len(steps) < 2 or not (steps > 0).all():
        return False
    usual = float(np.median(steps))
    return bool((np.abs(steps - usual) > max(0.25 * usual, 1.0)).any())


def _display_matrix(frame: Any) -> NDArray[np.int32] | None:
    data = frame.side_data.get("DISPLAYMATRIX")
    return None if data is None else np.frombuffer(bytes(data), np.int32).reshape(3, 3)


def _lies_on_side(frame: Any) -> bool:
    matrix = _display_matrix(frame)
    return matrix is not None and bool(abs(int(matrix[0, 1])) > abs(int(matrix[0, 0])))


def upright(frame: Any, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`pixels` (H, W, 3) as the file's display matrix wants them shown: (x, y) goes to (a x + c y, b x + d y)."""
    matrix = _display_matrix(frame)
    if matrix is None:
        return pixels
    (a, b), (c, d) = matrix[0, :2], matrix[1, :2]
    if _lies_on_side(frame):
        pixels, horizontal, vertical = pixels.transpose(1, 0, 2), c, b
    else:
        horizontal, vertical = a, d
    pixels = pixels[:, ::-1] if horizontal < 0 else pixels
    pixels = pixels[::-1] if vertical < 0 else pixels
    return np.ascontiguousarray(pixels)


def rgb_of(frame: Any) -> NDArray[np.uint8]:
    """The frame (H, W, 3) as full-range sRGB bytes, upright."""
    matrix = _MATRICES.get(int(frame.colorspace))
    if matrix is None:
        high_definition = frame.height >= _BT709_HEIGHT and not frame.format.name.startswith("yuvj")
        matrix = Colorspace.ITU709 if high_definition else Colorspace.ITU601
    return upright(frame, frame.to_ndarray(format="rgb24", src_colorspace=matrix))


class _Decoder:
    """One open file and the index of the frame that it would give next."""

    def __init__(self, path: Path, timeline: Timeline) -> None:
        self._path = path
        self._pts = timeline.pts
        self._index_of = {stamp: index for index, stamp in enumerate(timeline.pts)} if timeline.seekable else {}
        self._rewind()

    def read(self, index: int) -> NDArray[np.uint8]:
        """The picture of frame `index` (H, W, 3)."""
        if self._index_of and not self._next <= index <= self._next + SEEK_FROM:
            self._seek(index)
        elif index < self._next:
            self._rewind()
        for frame in self._frames:
            self._next += 1
            if self._next == index + 1:
                return rgb_of(frame)
        raise JobError("source", f"'{self._path}' no longer has its frame {index + 1}: it changed while it was in use.")

    def close(self) -> None:
        self._container.close()

    def _rewind(self) -> None:
        if hasattr(self, "_container"):
            self.close()
        self._container = open_container(self._path)
        if self._container.format.flags & _TIME_MAY_JUMP:
            self._index_of = {}
        self._stream = picture_stream(self._container, self._path)
        self._frames = decode_frames(self._container, self._stream)
        self._next = 0

    def _seek(self, index: int) -> None:
        """Stand on a key frame at or before `index`; further back, then at the start, where the file seeks badly.

        A first frame that is no key frame depends on pictures from before the seek and is not to be trusted.
        """
        for back in (0, 32, 256):
            if back > index:
                break
            self._container.seek(self._pts[index - back], stream=self._stream, backward=True)
            frames = decode_frames(self._container, self._stream)
            first = next(frames, None)
            found = None if first is None or not first.key_frame else self._index_of.get(first.pts)
            if first is not None and found is not None and found <= index:
                self._frames = itertools.chain([first], frames)
                self._next = found
                return
        self._rewind()
