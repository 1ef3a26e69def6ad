"""The engine: pictures to features, matches, cameras, depth, and the reconstruction folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pycolmap
from numpy.typing import NDArray

from ...exchange.job import Job
from ...exchange.known import Known
from ...exchange.messages import JobError, Reporter
from ...exchange.reconstruction import Frame, Points, Pose, frame_quality
from ...exchange.writer import ReconstructionWriter
from ...inference.frames import FrameSource, SourceFrame
from .adjustment import FIRST_LOSS, Center, adjust
from .bending import BENT, is_bent
from .cropping import CROPPED, find_center
from .dense import SCRATCH, write_depth
from .features import Features, Gray, Look, working_picture, working_scale
from .layout import Placement, placements
from .lenses import FEW_PHOTOS, lenses_apart
from .mapping import MAPPERS, calibrate, initial_camera, run_mapper, solve, write_database
from .matching import OVERLAP, VerifiedPair, alike_pairs, joined, sequential_pairs, verified_pairs
from .refining import WEAK_LENS, WEAK_ZOOM, Adjusted, refine
from .reversal import right_side_out
from .scene_features import scene_features
from .shutter import ROLLING, Shutter, find_shutter
from .solution import Solution, solution_of
from .turning import finish_turning, is_doubtful, moves, tell, turning_camera
from .unplaced import warn_of_unplaced
from .zoom import FEWEST_FRAMES, best_zoom, smooth_focals, told_apart

USES_MASKS = True
FEWEST_POINTS = 20

RIGID_SHARE = 0.75
"""One rigid scene explains more than this of what neighbouring frames seem to share: 0.84-0.99 of most shots, 0.63 of a
facade of equal windows."""

_NOT_RIGID = (
    "Much of what neighbouring frames seem to share fits no rigid scene: a pattern repeats, or something big moves. "
    "Check the cameras; mask what moves, and give the lens."
)

_OVERLAP = "Take them so that neighbouring pictures share at least half of what they show, from different places."


@dataclass(frozen=True)
class _Pictures:
    """What is kept of the pictures after one pass over them, per position."""

    features: list[Features]
    masks: list[NDArray[np.bool_] | None]


def reconstruct(source: FrameSource, writer: ReconstructionWriter, job: Job, report: Reporter) -> Path:
    """Solve the frames of `source` and finish `writer`'s folder; returns it.

    Raises `JobError` with code ``no_overlap`` where the pictures do not join.
    """
    frames = source.frames
    places, (height, width) = placements(frames)
    writer.open_dense(len(frames), height, width, scratch=_scratch_bytes(frames, height * width))
    pictures = _read(source, writer, places, report)
    ordered = source.source.kind != "images"
    cameras = _cameras(frames, job.known)
    pairs = _matched(pictures.features, cameras, ordered, report)
    turned = turning_camera(frames, pictures.features, pairs, cameras, job.known, ordered, report)
    matched = _Matched(writer.staging / "matches.db", frames, pictures.features, pairs)
    solved = None
    if turned is not None and is_doubtful(job.known):
        solved = _solved(matched, cameras, job.known, report)
        turned = None if moves(solved[0], turned, job.known) else turned
    if turned is not None:
        tell(turned, job.known, ordered, report)
        return finish_turning(writer, source.source, frames, places, turned, job.known)
    mapped = _mapped(matched, solved, cameras, job.known, ordered, report)
    adjusted = _adjusted(mapped, frames, writer.staging, job.known.zooms, report)
    if mapped.known.zooms and ordered:
        adjusted = replace(adjusted, model=smooth_focals(adjusted.model, adjusted.loss, mapped.known))
    solution = solution_of(adjusted.model, _scales(frames))
    warn_of_unplaced([frame.name for frame in frames], pairs, solution, source.source.kind, report)
    write_depth(writer, solution, places, pictures.masks, report)
    writer.write_points(_points(solution, writer, places))
    return writer.finish(
        engine=_engine(solution, mapped, adjusted, job),
        source=source.source,
        frames=[_frame(frame, place, solution, p) for p, (frame, place) in enumerate(zip(frames, places, strict=True))],
    )


def _scratch_bytes(frames: Sequence[SourceFrame], samples: int) -> int:
    """What lies on the disk beside the result: the working pictures, and depth before its last pass."""
    pixels = (frame.width * frame.height * working_scale(frame.width, frame.height) ** 2 for frame in frames)
    return round(sum(pixels)) + len(frames) * samples * SCRATCH


def _read(
    source: FrameSource, writer: ReconstructionWriter, places: Sequence[Placement], report: Reporter
) -> _Pictures:
    """One pass over the pictures: their features, and their colors at the depth maps' size."""
    assert writer.color is not None
    pictures = _Pictures([], [])
    color = writer.color

    def looks() -> Iterator[Look]:
        for position, (picture, place) in enumerate(zip(source, places, strict=True)):
            report.progress("features", position, len(places))
            mask, gray = source.mask(position), working_picture(picture)
            np.save(_working_file(writer.staging, position), gray)
            usable = None if mask is None else place.reduced(np.where(mask, 255, 0).astype(np.uint8)) > 254
            pictures.masks.append(usable)
            color[position][place.window] = place.reduced(picture)
            yield gray, mask

    ordered = source.source.kind != "images"
    pictures.features.extend(scene_features(looks(), report, ordered=ordered, scratch=writer.staging))
    report.progress("features", len(places), len(places))
    return pictures


def _cameras(frames: Sequence[SourceFrame], known: Known) -> list[pycolmap.Camera]:
    """One camera for all frames of one size and, where EXIF tells them apart, one focal length; one a frame in a zoom.

    What is `known` goes before what EXIF says.
    """
    cameras: dict[tuple[int, int, int | None], pycolmap.Camera] = {}
    chosen = []
    for position, frame in enumerate(frames):
        scale = working_scale(frame.width, frame.height)
        pixels = known.focal_pixels(frame.width, frame.height) or frame.focal_px
        focal = None if pixels is None else pixels * scale
        apart = position if known.zooms else None if focal is None else round(100 * np.log(focal))
        key = (frame.width, frame.height, apart)
        if key not in cameras:
            size = round(frame.width * scale), round(frame.height * scale)
            cameras[key] = initial_camera(len(cameras) + 1, *size, focal, known.distortion)
            cameras[key].principal_point_x = frame.width * scale / 2
            cameras[key].principal_point_y = frame.height * scale / 2
        chosen.append(cameras[key])
    return chosen


def _matched(
    features: Sequence[Features], cameras: Sequence[pycolmap.Camera], ordered: bool, report: Reporter
) -> list[VerifiedPair]:
    if ordered:
        pairs = sequential_pairs(len(features), OVERLAP)
    else:
        pairs = alike_pairs(features, lambda done, total: report.progress("matching", 0, total))
    found = []
    for done, pair in enumerate(verified_pairs(pairs, features, cameras)):
        report.progress("matching", done, len(pairs))
        if pair is not None:
            found.append(pair)
    report.progress("matching", len(pairs), len(pairs))
    if not found:
        raise JobError("no_overlap", f"The {len(features)} pictures do not overlap. {_OVERLAP}")
    shares = [pair.inliers / len(pair.matches) for pair in found if pair.second == pair.first + 1]
    if ordered and shares and np.median(shares) < RIGID_SHARE:
        report.warning(_NOT_RIGID)
    return found


@dataclass(frozen=True)
class _Matched:
    """What the mappers start from, and where they keep their database."""

    path: Path
    frames: Sequence[SourceFrame]
    features: Sequence[Features]
    pairs: Sequence[VerifiedPair]

    @property
    def groups(self) -> list[list[int]]:
        """The frames (positions) that share anything, directly or through others, the largest group first."""
        return joined((pair.first, pair.second) for pair in self.pairs)

    @property
    def held(self) -> int:
        """How many frames one model can hold: none that shares nothing (black, blank, blurred), nor another shot."""
        return len(self.groups[0])


@dataclass(frozen=True)
class _Mapped:
    """The cameras in the rough, the mapper that made them, and what is known: a zoom that was found on the way, too.
    ``shutter`` is a rolling one; ``ordered`` frames follow each other."""

    model: pycolmap.Reconstruction
    mapper: str
    known: Known
    center: Center
    shutter: Shutter | None
    ordered: bool


def _mapped(
    matched: _Matched,
    solved: _Solved | None,
    cameras: Sequence[pycolmap.Camera],
    known: Known,
    ordered: bool,
    report: Reporter,
) -> _Mapped:
    """Cameras that were `solved` before are taken."""
    count, center, shutter = len(matched.frames), Center.MIDDLE, None
    report.progress("cameras", 0, count)
    if known.zooms:
        model, mapper = best_zoom(_zoom_models(matched, known, report), known, ordered=ordered), "zoom"
    else:
        model, mapper = solved or _solved(matched, cameras, known, report)
        if ordered and model is not None:
            adjust(model, FIRST_LOSS, known)
            if is_bent(model, FIRST_LOSS):
                shutter = find_shutter(model, matched.held, FIRST_LOSS, known)
            if shutter is None:
                model, center = find_center(model, matched.held, known)
    whole = center is Center.MIDDLE and shutter is None
    if ordered and whole and not known.zooms and not known.holds_focal:
        zoom, plain = replace(known, zooms=True), model
        model, zooms = told_apart(model, matched.held, lambda: _zoom_models(matched, zoom, report), known)
        if model is not None and model is not plain:  # mapped anew
            model = right_side_out(model, matched.features, matched.pairs, zoom if zooms else known)
        if zooms:
            known, mapper = zoom, "zoom"
            report.status("The lens zooms: every frame has a focal length of its own.")
    elif not ordered and not known.zooms and not known.holds_focal:
        model, mapper = _of_several_lenses(matched, model, mapper, cameras, known, report)
    if model is None or model.num_reg_images() < 2 or model.num_points3D() < FEWEST_POINTS:
        raise JobError("no_overlap", f"The {count} pictures overlap too little to be joined. {_OVERLAP}")
    if center is not Center.MIDDLE:
        report.warning(CROPPED[center])
    report.progress("cameras", count, count)
    return _Mapped(model, mapper, known, center, shutter, ordered)


_Solved: TypeAlias = tuple[pycolmap.Reconstruction | None, str]


def _solved(matched: _Matched, cameras: Sequence[pycolmap.Camera], known: Known, report: Reporter) -> _Solved:
    write_database(matched.path, cameras, matched.features, matched.pairs)
    if not all(camera.has_prior_focal_length for camera in cameras):
        calibrate(matched.path)
    count = len(matched.frames)
    model, mapper = solve(matched.path, matched.held, lambda placed: report.progress("cameras", placed, count), known)
    if model is not None:
        model = right_side_out(model, matched.features, matched.pairs, known)
    return model, mapper


def _of_several_lenses(
    matched: _Matched,
    model: pycolmap.Reconstruction | None,
    mapper: str,
    cameras: Sequence[pycolmap.Camera],
    known: Known,
    report: Reporter,
) -> _Solved:
    """Photos solved with `cameras`, or with more lenses where they ask for them."""

    def map_apart() -> pycolmap.Reconstruction | None:
        apart = _cameras(matched.frames, replace(known, zooms=True))
        for camera in apart:
            camera.has_prior_focal_length = True
        return _solved(matched, apart, known, report)[0]

    groups = {position: camera.camera_id for position, camera in enumerate(cameras, 1)}
    found, lenses = lenses_apart(model, matched.held, groups, map_apart, known)
    if lenses > len(set(groups.values())):
        report.status(f"The photos show {lenses} focal lengths that their files do not tell of: each has its own.")
    return found, mapper if found is model else "a lens a photo"


def _zoom_models(matched: _Matched, known: Known, report: Reporter) -> Iterator[pycolmap.Reconstruction]:
    """What each mapper makes of a lens that zooms.

    Two free focal lengths are more than a pair of pictures can tell, and mapping finds them from any sane start.
    """
    cameras = _cameras(matched.frames, known)
    for camera in cameras:
        camera.has_prior_focal_length = True
    write_database(matched.path, cameras, matched.features, matched.pairs)
    count = len(matched.frames)
    for name in MAPPERS:
        model = run_mapper(name, matched.path, lambda placed: report.progress("cameras", placed, count), known)
        if model is not None and model.num_reg_images() >= 2:
            yield model


def _adjusted(
    mapped: _Mapped, frames: Sequence[SourceFrame], scratch: Path, announced: bool, report: Reporter
) -> Adjusted:
    """The cameras in the fine; of a zoom that was `announced` nobody doubts the focal lengths."""

    def picture(position: int) -> Gray:
        return np.asarray(np.load(_working_file(scratch, position)))

    def tell(done: int, total: int) -> None:
        report.progress("adjusting", done, total)

    plain = mapped.ordered and mapped.center is Center.MIDDLE and not mapped.known.zooms
    is_bent_anyhow = plain and mapped.shutter is None and is_bent(mapped.model, FIRST_LOSS)
    adjusted = refine(
        mapped.model,
        _scales(frames),
        picture,
        mapped.known,
        tell,
        center=mapped.center,
        shutter=mapped.shutter,
        ordered=mapped.ordered,
    )
    if adjusted.shutter is not None:  # to be counted in the source's frames, of which every second may be left out
        step = float(np.median(np.diff([frame.index for frame in frames])))
        adjusted = replace(adjusted, shutter=replace(adjusted.shutter, readout=adjusted.shutter.readout * step))
        report.warning(ROLLING.format(adjusted.shutter))
    elif is_bent_anyhow:
        report.warning(BENT)
    if adjusted.model.num_reg_images() < 2:
        raise JobError("no_overlap", f"The {len(frames)} pictures overlap too little to be joined. {_OVERLAP}")
    if adjusted.lens_is_weak and not announced:
        report.warning(WEAK_ZOOM if mapped.known.zooms else WEAK_LENS)
    elif adjusted.model.num_reg_images() < FEWEST_FRAMES and _are_of_unknown_lenses(frames, mapped.known):
        report.warning(FEW_PHOTOS)
    return adjusted


def _are_of_unknown_lenses(frames: Sequence[SourceFrame], known: Known) -> bool:
    """Whether `frames` are stills of which neither the artist nor EXIF tells the focal length."""
    return not known.holds_focal and all(frame.number is None and frame.focal_px is None for frame in frames)


def _working_file(scratch: Path, position: int) -> Path:
    return scratch / f"working-{position:06d}.npy"


def _scales(frames: Sequence[SourceFrame]) -> list[float]:
    return [working_scale(frame.width, frame.height) for frame in frames]


def _frame(frame: SourceFrame, place: Placement, solution: Solution, position: int) -> Frame:
    pose, lens = solution.poses[position], solution.lenses[position]
    solved = None
    extra: dict[str, Any] = {}
    if pose is not None and lens is not None:
        k1, k2, p1, p2, k3 = lens.distortion or (0.0,) * 5
        distortion = None if lens.distortion is None else (k1, k2, p1, p2, k3)
        solved = Pose(pose, lens.fx, lens.fy, lens.cx, lens.cy, distortion)
        extra = frame_quality(solution.residuals(position))
    return frame.solved(solved, place.depth_to_image, extra)


def _points(solution: Solution, writer: ReconstructionWriter, places: Sequence[Placement]) -> Points:
    """The sparse points with the mean color and residual of where they are seen."""
    assert writer.color is not None
    count = len(solution.xyz)
    color, error, seen = np.zeros((count, 3)), np.zeros(count), np.zeros(count, np.int32)
    for position in solution.placed:
        rows, xy = solution.observations[position].points, solution.observations[position].xy
        place = places[position]
        scale = [place.width / place.source_width, place.height / place.source_height]
        x, y = np.clip((xy * scale).astype(int), 0, [place.width - 1, place.height - 1]).T
        picture = writer.color[position][place.window]
        np.add.at(color, rows, picture[y, x])
        np.add.at(error, rows, solution.residuals(position))
        np.add.at(seen, rows, 1)
    average = np.maximum(seen, 1)
    return Points(
        xyz=solution.xyz.astype(np.float32),
        rgb=np.round(color / average[:, None]).astype(np.uint8),
        error=(error / average).astype(np.float32),
        observations=seen,
    )


def _engine(solution: Solution, mapped: _Mapped, adjusted: Adjusted, job: Job) -> dict[str, object]:
    residuals = np.concatenate([solution.residuals(position) for position in solution.placed])
    return {
        "name": "colmap",
        "model": None,
        "settings": {
            "mapper": mapped.mapper,
            "lens": next(iter(adjusted.model.cameras.values())).model_name,
            "zooms": mapped.known.zooms,
            "center": mapped.center.value,
            "rolling_shutter": None if adjusted.shutter is None else asdict(adjusted.shutter),
            "lens_is_weak": adjusted.lens_is_weak,
            "focal_hold": adjusted.focal_hold,
            "sharpened": adjusted.sharpened,
            "pycolmap": pycolmap.__version__,
            "mask": job.mask,
            "known": job.known.given(),
        },
        "registered": len(solution.placed),
        "residual_px": float(np.median(residuals)),
    }
