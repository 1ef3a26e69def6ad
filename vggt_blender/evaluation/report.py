"""The result of an evaluation, as numbers, as JSON and as the table that people read."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from .depth_maps import DepthError
from .trajectory import Path, Relative


@dataclass(frozen=True)
class Spread:
    """Median and 95th percentile of many values."""

    median: float
    p95: float


@dataclass(frozen=True)
class FocalError:
    """Relative errors of the focal length: the median, and the spread (standard deviation) of the signed ones."""

    median: float
    spread: float


@dataclass(frozen=True)
class FrameError:
    """One frame: None where it is not registered, or where the truth does not say.

    ``rotation`` in degrees and ``reprojection`` (the median, in pixels) after the alignment fitted to known points,
    ``position`` in the truth's unit after the alignment of the camera centres, ``focal`` signed and relative.
    """

    name: str
    registered: bool
    rotation: float | None = None
    position: float | None = None
    focal: float | None = None
    reprojection: float | None = None


@dataclass(frozen=True)
class Report:
    """How far a reconstruction is from the truth. Entries that the truth or the shot do not allow are None.

    Angles in degrees, lengths in the truth's unit, pixels of the source. ``path`` is None for a camera that only turns.
    ``reprojection`` is the true reprojection error: known points through the solved cameras, the whole shot aligned by
    one similarity fitted to those points, as it is for ``rotation``; ``reprojection_of_centers`` is the same under the
    alignment of the camera centres alone (that of ATE), which an almost straight path determines badly. ``residual`` is
    the solver's own.
    """

    known: int
    matched: int
    registered: int
    frames: tuple[FrameError, ...]
    path: Path | None = None
    rotation: Spread | None = None
    rotation_step: float | None = None
    relative: Relative | None = None
    focal: FocalError | None = None
    reprojection: Spread | None = None
    reprojection_of_centers: Spread | None = None
    residual: float | None = None
    depth: DepthError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; nothing infinite or NaN."""
        return _plain(dataclasses.asdict(self))

    def table(self) -> str:
        """The report in words and numbers, one line each."""
        rows = [*_camera_rows(self), *_pixel_rows(self), *_depth_rows(self.depth)]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        bad = [frame.name for frame in self.frames if not frame.registered]
        if bad:
            lines.append(f"not registered: {', '.join(bad[:8])}{' ...' if len(bad) > 8 else ''}")
        return "\n".join(lines)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _camera_rows(report: Report) -> list[tuple[str, str]]:
    share = 100 * report.registered / report.matched
    rows = [("registered", f"{report.registered} of {report.matched} ({share:.1f} %)")]
    if report.known > report.matched:
        rows.append(("known frames not in this result", str(report.known - report.matched)))
    path = report.path
    if path is not None:
        rows.append(("ATE, RMSE", f"{path.ate:.5f} = {path.ate_percent:.4f} % of the path of {path.length:.3f}"))
        if path.rpe is not None and path.rpe_percent is not None:
            rows.append(("RPE, 1 frame", f"{path.rpe:.5f} = {path.rpe_percent:.3f} % of a step"))
    elif report.registered:
        rows.append(("ATE", "the camera only turns: there is no path"))
    if report.rotation_step is not None:
        rows.append(("RPE of rotation, 1 frame", f"{report.rotation_step:.4f} degrees"))
    if report.rotation is not None:
        text = f"median {report.rotation.median:.4f}, 95th percentile {report.rotation.p95:.4f} degrees"
        rows.append(("rotation", text))
    if report.relative is not None:
        rows += _relative_rows(report.relative)
    if report.focal is not None:
        text = f"median {100 * report.focal.median:.4f} %, spread {100 * report.focal.spread:.4f} %"
        rows.append(("focal length", text))
    return rows


def _relative_rows(relative: Relative) -> list[tuple[str, str]]:
    def shares(values: dict[int, float]) -> str:
        return " / ".join(f"{100 * value:.1f}" for value in values.values()) + " %"

    rows = [("RRA at 5 / 15 / 30 degrees", shares(relative.rra))]
    if relative.rta is not None:
        rows.append(("RTA at 5 / 15 / 30 degrees", shares(relative.rta)))
    return [*rows, ("AUC at 3 / 30 degrees", shares(relative.auc))]


def _pixel_rows(report: Report) -> list[tuple[str, str]]:
    def pixels(spread: Spread) -> str:
        return f"median {spread.median:.3f} px, 95th percentile {spread.p95:.3f} px"

    rows = []
    if report.reprojection is not None:
        rows.append(("true reprojection error", pixels(report.reprojection)))
    if report.reprojection_of_centers is not None:
        rows.append(("  aligned by centres alone", pixels(report.reprojection_of_centers)))
    if report.residual is not None:
        rows.append(("the solver's own residual", f"{report.residual:.3f} px"))
    return rows


def _depth_rows(depth: DepthError | None) -> list[tuple[str, str]]:
    if depth is None:
        return []

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f} %"

    def plain(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    rows = [
        ("depth AbsRel", f"{depth.abs_rel:.4f} at {percent(depth.coverage)} coverage, {depth.frames} frames"),
        ("  away from edges", f"{plain(depth.abs_rel_flat)} at {percent(depth.coverage_flat)}"),
        ("  at edges", f"{plain(depth.abs_rel_edge)} at {percent(depth.coverage_edge)}"),
        ("depth within a ratio of 1.25", percent(depth.within)),
    ]
    if depth.scale_of_cameras is None:
        return [*rows, ("depth scale", f"{depth.scale:.5f} (median)")]
    ratio = 100 * (depth.scale / depth.scale_of_cameras - 1)
    return [
        *rows,
        ("depth AbsRel, cameras' scale", plain(depth.abs_rel_of_cameras)),
        ("depth scale", f"{depth.scale:.5f} (median), {ratio:+.3f} % from the cameras'"),
    ]
