"""The smoothest camera path that the pictures allow: noise from frame to frame goes, a shake that they show stays.

The points are held where the given cameras triangulate them. They say of every frame where its camera is best, and by
how many pixels (root mean square over what the frame sees) the picture slips where it is not. Among all paths that let
no frame slip by more than the budget the one with the least third differences is taken: what of a path is no steady
acceleration. So no frame's error rises by more than the budget, in the picture as in the truth.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exchange.known import Known
from ..exchange.messages import Reporter
from ..exchange.reconstruction import Reconstruction, load_reconstruction
from ..geometry.cameras import camera_center
from ..geometry.rotations import rotation_matrix, rotation_vector
from ..inference.frames import FrameSource
from ..inference.square_pixels import with_square_pixels
from .acceptance import Agreement, agreement
from .correspondences import Found, find_correspondences
from .jitter import Jitter, even_runs, jitter
from .pairs import overlapping_pairs
from .report import Refusal
from .rewriting import rewriting
from .tracks import Observations, longest
from .triangulation import LOST, triangulate
from .views import Views, as_seen, times_of, views_of

Array = NDArray[np.float64]

FEWEST_FRAMES, FEWEST_SEEN = 5, 12
"""A path has so many frames; a frame that sees fewer points stays where it is."""

LINEARISED, BALANCED = 3, 60
"""How often the pixels are linearised anew, and the rounds that find how much each frame has to give."""

LEAST_PULL = 1e-9

OWN_ERROR = 0.45
"""A frame never slips by more than this share of the tracks' median error: that adds a tenth to it, in quadrature."""

SHARES = (1.0, 0.7, 0.5, 0.35)
"""Of that limit, tried in turn until no frame's median error rises by more than the budget: a frame that slips by its
root mean square may rise by a little more."""

FEWEST_TRACKS, TRACKS = 60, 300
"""In all, and the longest ones of each frame: what a path is smoothed by."""

_THIRD = np.array([-1.0, 3.0, -3.0, 1.0])
_GROUP = 3  # third differences tie a frame to the next three: groups of three are tied to their neighbours alone


@dataclass(frozen=True)
class _Pixels:
    """What the pixels say of each frame: ``step`` (N, 6), a turn in the camera's axes and a shift of its place, to
    where they are best, and ``slip`` (N, 6, 6): the mean squared pixels of a step s from there are s' slip s."""

    step: Array
    slip: Array


@dataclass(frozen=True)
class SmoothingReport:
    """``smoothed`` False, with the ``reason``, where the path was left as it was. A frame slipped by ``slip_px`` at
    the most. ``before_px`` and ``after_px`` are the median error of ``tracks`` in source pixels, ``most_px`` the most
    that a frame's own median rose."""

    smoothed: bool
    reason: str
    budget_px: float
    slip_px: float | None = None
    tracks: int = 0
    before_px: float | None = None
    after_px: float | None = None
    most_px: float | None = None
    jitter_before: Jitter | None = None
    jitter_after: Jitter | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)

    def sentence(self) -> str:
        """The outcome in one line."""
        if not self.smoothed or self.jitter_before is None or self.jitter_after is None:
            return f"The camera path was not smoothed: {self.reason}"
        before, after = self.jitter_before.rotation, self.jitter_after.rotation
        return (
            f"The camera path is smoothed: jitter {before:.4f} -> {after:.4f} degrees, error {self.before_px:.2f} -> "
            f"{self.after_px:.2f} px (a frame slips by {self.slip_px:.2g} px at the most)."
        )


def smooth(
    folder: Path | str,
    source: FrameSource,
    report: Reporter,
    budget_px: float,
    *,
    known: Known | None = None,
    found: Found | None = None,
) -> SmoothingReport:
    """Smooth the path of the reconstruction in `folder`, made from `source`, by at most `budget_px` source pixels a
    frame, and by less where its tracks are more exact than that; nothing but its poses changes. What was `found` in the
    same pictures is not looked for again.

    The outcome goes into the document's ``refinement`` as ``smoothing`` where it was smoothed. Raises `JobError` where
    the folder cannot be read or written.
    """
    source, _ = with_square_pixels(source, (known or Known()).pixel_aspect)
    reconstruction = as_seen(load_reconstruction(folder), source)
    try:
        if reconstruction.source.kind == "images":
            raise Refusal("separate photos follow no path.")
        before = views_of(reconstruction.frames)
        matched = None if found is None else found.correspondences
        if matched is None:
            pairs = _placed_pairs(reconstruction, before)
            matched = find_correspondences(source, pairs, before, reconstruction.folder, report)
        table = longest(matched.tracks.keep(before.placed[matched.tracks.frame], least=3), TRACKS, len(before))
        if table.tracks < FEWEST_TRACKS:
            raise Refusal(f"only {table.tracks} details could be followed through three or more frames.")
        times = times_of(reconstruction.frames)
        old = agreement(table, before)
        for share in SHARES:
            slip_px = share * min(budget_px, OWN_ERROR * old.median)
            after = smooth_views(table, before, times, slip_px * before.scales)
            outcome = _outcome(table, before, after, times, old, budget_px, slip_px)
            if outcome.smoothed:
                break
    except Refusal as refusal:
        outcome = SmoothingReport(False, str(refusal), budget_px)
    if not outcome.smoothed:
        report.warning(outcome.sentence())
        return outcome
    del reconstruction  # its maps would hold the files that are about to be replaced
    _write(Path(folder), after.poses, outcome)
    report.status(outcome.sentence())
    return outcome


def _placed_pairs(reconstruction: Reconstruction, views: Views) -> list[tuple[int, int]]:
    pairs = overlapping_pairs(reconstruction, views)
    return [(first, second) for first, second in pairs if views.placed[first] and views.placed[second]]


def _outcome(
    table: Observations,
    before: Views,
    after: Views,
    times: NDArray[np.intp],
    old: Agreement,
    budget_px: float,
    slip_px: float,
) -> SmoothingReport:
    new = agreement(table, after)
    most = _most_risen(old, new)
    shaken, calm = (jitter(views.poses, views.placed, times) for views in (before, after))
    reason = ""
    if max(most, new.median - old.median) > budget_px:
        reason = "the tracks would have lost more than the budget."
    elif not _is_calmer(calm, shaken):
        reason = "the pictures allow no smoother one."
    return SmoothingReport(
        smoothed=not reason,
        reason=reason or "Smoothed within the budget.",
        budget_px=budget_px,
        slip_px=slip_px,
        tracks=table.tracks,
        before_px=old.median,
        after_px=new.median,
        most_px=most,
        jitter_before=shaken,
        jitter_after=calm,
    )


def _is_calmer(calm: Jitter | None, shaken: Jitter | None) -> bool:
    """Whether turns or places got smoother, and neither got rougher."""
    if calm is None or shaken is None:
        return False
    pairs = [(calm.rotation, shaken.rotation), (calm.position or 0.0, shaken.position or 0.0)]
    return all(new <= old for new, old in pairs) and any(new < old for new, old in pairs)


def _most_risen(old: Agreement, new: Agreement) -> float:
    rises = (new.frames - old.frames)[np.isfinite(new.frames) & np.isfinite(old.frames)]
    return float(rises.max(initial=0.0))


def _write(folder: Path, poses: Array, outcome: SmoothingReport) -> None:
    """The folder as it is, but for the `poses` (N, 3, 4) of its placed frames and the report."""
    with rewriting(folder) as draft:
        draft.frames = [
            frame if frame.pose is None else replace(frame, pose=replace(frame.pose, camera_from_world=pose))
            for frame, pose in zip(draft.frames, poses, strict=True)
        ]
        draft.extra["refinement"] = {**draft.extra.get("refinement", {}), "smoothing": outcome.to_dict()}


def smooth_views(table: Observations, views: Views, times: NDArray[np.intp], budget: Array) -> Views:
    """The cameras `views` on the smoothest path on which no frame's picture slips by more than `budget` (N,), in
    working pixels, from where the tracks `table` want it. `times` (N,) number the frames.

    A camera that only turns stays in its place. Raises `Refusal` where there is no path to smooth.
    """
    table = table.keep(views.placed[table.frame])
    enough = np.bincount(table.frame, minlength=len(views)) >= FEWEST_SEEN
    rows = even_runs(views.placed, times)
    if enough.sum() < FEWEST_FRAMES or not len(rows):
        raise Refusal("fewer than five frames follow each other and see enough to say how far a camera may move.")
    structure = triangulate(table, views, scale=0.5)
    loss = max(2 * float(np.median(structure.error)), 0.1)
    rough = _third_differences(views, rows)
    # each in parts of what it was: neither turns nor places get rougher to make the other smoother
    scale = 1 / np.maximum(np.sqrt((rough.reshape(-1, 2, 3) ** 2).sum(axis=2).mean(axis=0)), 1e-9)
    result = views
    for _ in range(LINEARISED):
        pixels = _pixels(table, structure.points, result, loss, enough)
        result = _moved(result, _smoothest(result, pixels, rows, np.repeat(scale, 3), budget, enough))
    return result


def _pixels(table: Observations, points: Array, views: Views, loss: float, enough: NDArray[np.bool_]) -> _Pixels:
    """Gauss-Newton, frame by frame, with Cauchy weights of scale `loss`."""
    rays = views.rays(table.frame, table.xy)
    centers = camera_center(views.poses)
    rotation, focal = views.poses[table.frame, :, :3], views.focal[table.frame]
    from_camera = points[table.track, :3] - points[table.track, 3:] * centers[table.frame]
    seen = np.einsum("oij,oj->oi", rotation, from_camera)
    usable = np.isfinite(rays).all(axis=1) & (seen[:, 2] > 1e-9)
    seen = np.where(usable[:, None], seen, [0.0, 0.0, 1.0])
    flat = seen[:, :2] / seen[:, 2:]
    offset = focal[:, None] * (flat - np.where(usable[:, None], rays, flat))
    error = np.where(usable, np.linalg.norm(offset, axis=1), LOST)
    weight = usable / (1 + (error / loss) ** 2)
    of_seen = np.zeros((len(seen), 2, 3))
    of_seen[:, 0, 0] = of_seen[:, 1, 1] = 1.0
    of_seen[:, :, 2] = -flat
    of_seen *= (focal / seen[:, 2])[:, None, None]
    x, y, z = seen.T
    zero = np.zeros_like(x)
    turn = np.stack([zero, z, -y, -z, zero, x, y, -x, zero], axis=-1).reshape(-1, 3, 3)
    shift = -points[table.track, 3, None, None] * rotation
    if np.ptp(centers[views.placed], axis=0).max() < 1e-9:
        shift = np.zeros_like(shift)
    slope = of_seen @ np.concatenate([turn, shift], axis=2)
    count = len(views)
    slip, pull, total = np.zeros((count, 6, 6)), np.zeros((count, 6)), np.zeros(count)
    np.add.at(slip, table.frame, np.einsum("o,oai,oaj->oij", weight, slope, slope))
    np.add.at(pull, table.frame, np.einsum("o,oai,oa->oi", weight, slope, offset))
    np.add.at(total, table.frame, weight)
    slip /= np.maximum(total, 1e-9)[:, None, None]
    pull /= np.maximum(total, 1e-9)[:, None]
    step = -np.einsum("nij,nj->ni", np.linalg.pinv(slip, rcond=1e-9, hermitian=True), pull)
    return _Pixels(np.where(enough[:, None], step, 0.0), slip)


def _smoothest(
    views: Views, pixels: _Pixels, rows: NDArray[np.intp], scale: Array, budget: Array, enough: NDArray[np.bool_]
) -> Array:
    """The steps (N, 6) to the smoothest path within the `budget`: how hard each frame is pulled to where its pixels
    want it grows while it slips too far, and fades where it does not. `scale` (6,) weighs turns and shifts."""
    stiff, roughness = _roughness(views, rows, scale)
    pull = np.where(enough, 1.0, 1e6) / budget**2
    usual = pixels.slip[enough].mean(axis=0)
    slip = np.where(enough[:, None, None], pixels.slip, usual) + 1e-9 * np.diag(np.diag(usual) + 1e-12)
    steps = pixels.step
    for _ in range(BALANCED):
        matrix = stiff.copy()
        matrix[:, 0] += pull[:, None, None] * slip
        wanted = pull[:, None] * np.einsum("nij,nj->ni", slip, pixels.step) - roughness
        steps = _solve(matrix, wanted)
        away = steps - pixels.step
        share = np.sqrt(np.einsum("ni,nij,nj->n", away, slip, away)) / budget
        pull = np.where(enough, np.maximum(pull * np.clip(share, 0.3, 5.0), LEAST_PULL), pull)
    return np.asarray(pixels.step + away / np.maximum(share, 1.0)[:, None])


def _third_differences(views: Views, rows: NDArray[np.intp]) -> Array:
    """(M, 6) of the turns, in radians and the camera's axes, and of the places from each of `rows` on."""
    turns = rotation_vector(views.poses[1:, :, :3] @ np.swapaxes(views.poses[:-1, :, :3], 1, 2))
    turning = turns[rows] - 2 * turns[rows + 1] + turns[rows + 2]
    return np.column_stack([turning, np.diff(camera_center(views.poses), 3, axis=0)[rows]])


def _roughness(views: Views, rows: NDArray[np.intp], scale: Array) -> tuple[Array, Array]:
    """The third differences of the path, times `scale`, as a quadratic of the frames' steps: blocks (N, 4, 6, 6), of
    each frame with itself and the next three, and the gradient (N, 6) of half of it."""
    count = len(views)
    between = views.poses[1:, :, :3] @ np.swapaxes(views.poses[:-1, :, :3], 1, 2)
    stiff, gradient = np.zeros((count, 4, 6, 6)), np.zeros((count, 6))
    for first, value in zip(rows, scale * _third_differences(views, rows), strict=True):
        slopes = np.zeros((4, 6, 6))
        slopes[:, 3:, 3:] = _THIRD[:, None, None] * np.eye(3)
        for step, sign in enumerate((1.0, -2.0, 1.0)):
            slopes[step + 1, :3, :3] += sign * np.eye(3)
            slopes[step, :3, :3] -= sign * between[first + step]
        slopes *= scale[:, None]
        for a in range(4):
            gradient[first + a] += slopes[a].T @ value
            for b in range(a, 4):
                stiff[first + a, b - a] += slopes[a].T @ slopes[b]
    return stiff, gradient


def _solve(blocks: Array, right: Array) -> Array:
    """x (N, 6) of the symmetric system whose `blocks` (N, 4, 6, 6) tie each entry to itself and the next three."""
    count = len(right)
    groups = -(-count // _GROUP)
    wide = 6 * _GROUP
    diagonal, upper = np.tile(np.eye(wide), (groups, 1, 1)), np.zeros((groups, wide, wide))
    for k in range(count):
        for ahead in range(min(4, count - k)):
            row, column = 6 * (k % _GROUP), 6 * ((k + ahead) % _GROUP)
            own = (k + ahead) // _GROUP == k // _GROUP
            target = (diagonal if own else upper)[k // _GROUP]
            target[row : row + 6, column : column + 6] = blocks[k, ahead]
            if own:
                target[column : column + 6, row : row + 6] = blocks[k, ahead].T
    values = np.zeros((groups * _GROUP, 6))
    values[:count] = right
    values = values.reshape(groups, wide)
    for g in range(1, groups):
        factor = np.linalg.solve(diagonal[g - 1], upper[g - 1]).T
        diagonal[g] -= factor @ upper[g - 1]
        values[g] -= factor @ values[g - 1]
    for g in reversed(range(groups)):
        if g + 1 < groups:
            values[g] -= upper[g] @ values[g + 1]
        values[g] = np.linalg.solve(diagonal[g], values[g])
    return values.reshape(-1, 6)[:count]


def _moved(views: Views, steps: Array) -> Views:
    rotations = rotation_matrix(steps[:, :3]) @ views.poses[:, :, :3]
    centers = camera_center(views.poses) + steps[:, 3:]
    poses = np.dstack([rotations, -np.einsum("nij,nj->ni", rotations, centers)])
    return replace(views, poses=np.where(views.placed[:, None, None], poses, views.poses))
