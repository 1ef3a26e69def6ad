"""Which pictures could not be placed or hang on little, why, and what to do: in the words of who took them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...exchange.messages import Reporter
from .matching import VerifiedPair, joined
from .solution import Solution

MOST_NAMES = 12

FEW_POINTS = 30
"""A photo that sees fewer points of the structure may be placed by things that only look alike."""

NUMBERED = (
    "The pictures were solved as frames that follow each other, as their names are numbered without a gap: "
    "if they are single photos, choose Images (--as images)."
)


def warn_of_unplaced(
    names: Sequence[str], pairs: Sequence[VerifiedPair], solution: Solution, kind: str, report: Reporter
) -> None:
    """Name the pictures of `names` that have no place in `solution`, say why, and which hang on little; `kind` is the
    source's: of stills there is more to say than of frames."""
    placed = solution.placed
    missing = [name for position, name in enumerate(names) if position not in placed]
    if missing:
        listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        report.warning(f"{len(missing)} of {len(names)} frames could not be placed: {listed}")
    if kind == "sequence" and len(missing) > len(names) / 10:  # a black frame or two say nothing of the kind
        report.warning(NUMBERED)
    lines = reasons(names, pairs, placed) if kind == "images" else cuts(names, pairs, placed)
    if kind == "images":
        lines += shaky([names[k] for k in placed], [len(solution.observations[k].points) for k in placed])
    for line in lines:
        report.warning(line)


def reasons(names: Sequence[str], pairs: Sequence[VerifiedPair], placed: Collection[int]) -> list[str]:
    """A sentence for each kind of photo among `names` whose position is not `placed`, by the `pairs` that match."""
    groups = joined((pair.first, pair.second) for pair in pairs)
    seen = {position for group in groups for position in group}
    alone = [position for position in range(len(names)) if position not in seen | set(placed)]
    found = []
    if alone:
        found.append(
            f"Nothing sure in {_listed(names, alone)} is seen in another picture: leave out what shows another place "
            "or is blurred, or add photos between."
        )
    found += [
        f"{_listed(names, group)} belong together, but nothing joins them to the placed ones: solve them by "
        "themselves, or add photos that show both."
        for group in groups
        if not set(group) & set(placed)
    ]
    weak = [position for group in groups if set(group) & set(placed) for position in set(group) - set(placed)]
    if weak:
        found.append(
            f"Too little joins {_listed(names, weak)} to the placed ones: add photos between, at most some 20 degrees "
            "from one to the next."
        )
    return found


def cuts(names: Sequence[str], pairs: Sequence[VerifiedPair], placed: Collection[int]) -> list[str]:
    """A sentence for each stretch of a clip's frames that share nothing with those that are `placed`."""
    groups = joined((pair.first, pair.second) for pair in pairs)
    return [
        f"{len(group)} of these, {names[group[0]]} to {names[group[-1]]}, belong together but share nothing with the "
        "frames that were placed (a cut, or another place): solve them by themselves."
        for group in groups
        if not set(group) & set(placed)
    ]


def shaky(names: Sequence[str], points: Sequence[int]) -> list[str]:
    """A sentence on the placed photos `names` that see only few `points` each, where there are such."""
    few = [position for position, count in enumerate(points) if count < FEW_POINTS]
    if not few:
        return []
    return [
        f"Fewer than {FEW_POINTS} points hold {_listed(names, few)}: check that the camera stands where it should, or "
        "leave such photos out."
    ]


def _listed(names: Sequence[str], positions: Sequence[int]) -> str:
    shown = [names[position] for position in sorted(positions)[:MOST_NAMES]]
    more = len(positions) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
