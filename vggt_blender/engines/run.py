"""From a job to a reconstruction folder: open the source, choose the engine, let it write."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exchange.estimate import Stage, plan_of
from ..exchange.job import Job
from ..exchange.known import Distance, Known
from ..exchange.messages import Cancelled, JobError, Reporter, expect
from ..exchange.staging import is_nearly_full
from ..exchange.writer import DISK_FULL, ReconstructionWriter
from ..inference.frames import FrameSource, open_source
from ..inference.square_pixels import with_square_pixels

if TYPE_CHECKING:
    from ..refinement.correspondences import Found

NEEDS = {"colmap": "pycolmap", "vggt": "torch"}
"""The library that each engine cannot do without."""

FEWEST_FRAMES = {"colmap": 2, "vggt": 1}


def run_job(job: Job, report: Reporter) -> Path:
    """Reconstruct `job` and return its finished folder.

    Raises `JobError` (`Cancelled` included); nothing of a run that did not finish stays behind, and an earlier result
    in the same folder is kept. A run that ends while it is being refined leaves the engine's own result.
    """
    with _one_clear_line(job):
        if job.resolve:
            return _resolve(job, report)
        with ReconstructionWriter(job.output, overwrite=job.overwrite) as writer:
            name = choose_engine(job)
            engine = _load(name)
            source = open_source(job.inputs, kind=job.kind, frames=job.frames, report=report, mask=job.mask)
            source, aspect = with_square_pixels(source, job.known.pixel_aspect, report)
            job = replace(job, known=replace(job.known, pixel_aspect=aspect))
            _check_enough(source, name)
            _check_hand_tracks(source, job)
            _warn_of_unused(job, name, engine, report)
            expect(report, _plan(job, name, source))
            folder: Path = engine.reconstruct(source, writer, job, report)
        found = _refine(folder, source, job, report) if refines(job, name) else None
        if job.smooth:
            _smooth(folder, source, job, report, found)
        if job.known.distance is not None:
            _scale(folder, job.known.distance, report)
        if job.hand_tracks:
            _settle(folder, source, job, report)
        return folder


def _plan(job: Job, name: str, source: FrameSource) -> tuple[Stage, ...]:
    sizes = [(frame.width, frame.height) for frame in source.frames]
    ordered = source.source.kind != "images"
    return plan_of(name, sizes, ordered=ordered, refines=refines(job, name), smooths=job.smooth > 0)


def _resolve(job: Job, report: Reporter) -> Path:
    """Solve some frames of the finished result again."""
    from ..exchange.reconstruction import load_reconstruction
    from ..refinement.resolve import resolve

    folder = Path(job.output)
    result = load_reconstruction(folder)
    mask = job.mask or _mask_of(result.engine, report)
    source = open_source(job.inputs, kind=result.source.kind, report=report, mask=mask)
    source, _ = with_square_pixels(source, Known.of_engine(result.engine).pixel_aspect or 1.0)
    del result
    resolve(folder, source, job.frames, report, hand_tracks=job.hand_tracks)
    return folder


def _mask_of(engine: dict[str, Any], report: Reporter) -> str | None:
    """The mask that a result was solved with, from its entry ``engine``; None where it is not there any more."""
    settings = engine.get("settings")
    mask = settings.get("mask") if isinstance(settings, dict) else None
    if not isinstance(mask, str):
        return None
    if Path(mask).exists():
        return mask
    report.warning(f"The mask of the first solve is gone ('{mask}'): nothing is left out.")
    return None


def _refine(folder: Path, source: FrameSource, job: Job, report: Reporter) -> Found | None:
    """Refine the finished result, or say why it stays as it is; what was found in its pictures is left for others."""
    with _keeping_the_result("Refinement failed and left the result as it was", report):
        from ..refinement import refine
        from ..refinement.correspondences import Found

        found = Found()
        refine(folder, source, report, known=job.known, hand_tracks=job.hand_tracks, found=found)
        return found
    return None


def _smooth(folder: Path, source: FrameSource, job: Job, report: Reporter, found: Found | None) -> None:
    """Smooth the finished result's path, or say why it stays as it is."""
    with _keeping_the_result("Smoothing failed and left the path as it was", report):
        from ..refinement.smoothing import smooth

        smooth(folder, source, report, job.smooth, known=job.known, found=found)


def _scale(folder: Path, distance: Distance, report: Reporter) -> None:
    """Bring the finished result to metres, or say why it stays as it is."""
    from ..refinement.scale import scale_to_distance

    try:
        scale_to_distance(folder, distance, report)
    except Cancelled:
        raise
    except JobError as failure:
        report.warning(f"The scene was not brought to metres. {failure.message}")


def _check_hand_tracks(source: FrameSource, job: Job) -> None:
    """Say what is wrong with them before the solve rather than after."""
    if job.hand_tracks:
        from ..refinement.trusted import trusted_tracks

        if not trusted_tracks(job.hand_tracks, source.frames, source.source.kind).names:
            raise JobError("usage", "No hand track is seen in two of the frames: check how its frames are counted.")


def _settle(folder: Path, source: FrameSource, job: Job, report: Reporter) -> None:
    """Note how the result agrees with the tracks by hand, and bring it to where the measured points are."""
    with _keeping_the_result("The hand tracks could not be compared with the result", report):
        from ..refinement.settle import settle

        metric = settle(folder, source, job.hand_tracks, report)
        if metric and job.known.distance is not None:
            report.warning("The measured points give the scene its metres: the known distance was not used.")


@contextmanager
def _keeping_the_result(otherwise: str, report: Reporter) -> Iterator[None]:
    """What improves a finished result fails no job, `Cancelled` apart: `otherwise` is said, with the reason."""
    try:
        yield
    except Cancelled:
        raise
    except Exception as failure:
        reason = str(failure).strip().partition("\n")[0]
        report.warning(f"{otherwise} ({type(failure).__name__}: {reason}).")


def choose_engine(job: Job) -> str:
    """``auto`` is vggt where a model is named or downloaded weights are on this machine, else colmap."""
    if job.engine != "auto":
        return job.engine
    if obstacle("vggt") is None:
        from ..inference import catalog

        if job.model is not None or catalog.installed() is not None:
            return "vggt"
    return "colmap"


def refines(job: Job, name: str) -> bool:
    """Whether the result of engine `name` is refined. With ``auto`` colmap's is not: it adjusts its cameras to
    sub-pixel by itself. Tracks by hand are always adjusted to."""
    needless = job.engine == "auto" and name == "colmap"
    return bool(job.hand_tracks) or (job.refine and not needless)


def obstacle(name: str) -> str | None:
    """Why the engine cannot run here, as one line, or None where it can."""
    if importlib.util.find_spec(f".{name}", __package__) is None:
        return f"This version has no engine '{name}': choose another."
    if importlib.util.find_spec(NEEDS[name]) is None:
        return f"The engine '{name}' needs the library '{NEEDS[name]}', which this Python does not have: install it."
    return None


def unload_models() -> None:
    """Free the models that engines keep between jobs."""
    for name in NEEDS:
        engine = sys.modules.get(f"{__package__}.{name}")
        if engine is not None and hasattr(engine, "unload"):
            engine.unload()


def _load(name: str) -> Any:
    problem = obstacle(name)
    if problem is not None:
        raise JobError("no_engine", problem)
    return importlib.import_module(f".{name}", __package__)


def _check_enough(source: FrameSource, name: str) -> None:
    if len(source.frames) >= FEWEST_FRAMES[name]:
        return
    raise JobError(
        "too_few",
        f"One picture ('{source.frames[0].name}') shows no parallax: the engine '{name}' needs at least two that "
        "overlap. With the engine 'vggt' and a model, one picture becomes a depth plane.",
    )


def _warn_of_unused(job: Job, name: str, engine: Any, report: Reporter) -> None:
    if job.mask is not None and not getattr(engine, "USES_MASKS", False):
        report.warning(f"The engine '{name}' does not use masks: the mask has no effect.")
    if name != "colmap":
        return
    if job.refine and not refines(job, name):
        report.status("The engine 'colmap' was chosen: it adjusts its cameras to sub-pixel itself, so once is enough.")
    for option, given in (
        ("a model", job.model is not None),
        (f"the device '{job.device}'", job.device not in ("auto", "cpu")),
        ("tracks to follow", job.tracks > 0),
        ("the point head", job.point_head),
    ):
        if given:
            report.warning(f"The engine 'colmap' has no use for {option}: it has no effect.")


@contextmanager
def _one_clear_line(job: Job) -> Iterator[None]:
    """Whatever goes wrong becomes a `JobError`."""
    try:
        yield
    except JobError:
        raise
    except MemoryError:
        raise JobError(
            "out_of_memory",
            "Not enough memory: use fewer frames (every second one, say) or smaller pictures.",
            traceback.format_exc(),
        ) from None
    except Exception as failure:
        full = isinstance(failure, OSError) and failure.errno in DISK_FULL
        if full or is_nearly_full(Path(job.output)):
            raise JobError(
                "disk_full",
                f"The disk of '{job.output}' is full: free some space or choose another output folder.",
                traceback.format_exc(),
            ) from None
        reason = str(failure).strip().partition("\n")[0]
        raise JobError(
            "failed",
            f"The solve failed unexpectedly ({type(failure).__name__}: {reason}).",
            traceback.format_exc(),
        ) from None
