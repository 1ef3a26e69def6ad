"""Which photos could not be placed or hang on little, why, and what to do."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .matching import VerifiedPair

MOST_NAMES = 12

FEW_POINTS = 30
"""A photo that sees fewer points of the structure may be placed by things that only look alike."""

NUMBERED = (
    "The pictures were solved as frames that follow each other, as their names are numbered without a gap: "
    "if they are single photos, choose Images (--as images)."
)


def reasons(names: Sequence[str], pairs: Sequence[VerifiedPair], placed: Collection[int]) -> list[str]:
    """A sentence for each kind of photo among `names` whose position is not `placed`, by the `pairs` that match."""
    alone, weak, groups = [], [], []
    for group in _connected(len(names), pairs):
        left = [position for position in group if position not in placed]
        if len(group) == 1:
            alone += left
        elif len(left) == len(group):
            groups.append(left)
        else:
            weak += left
    found = []
    if alone:
        found.append(
            f"Nothing sure in {_listed(names, alone)} is seen in another picture: leave out what shows another place "
            "or is blurred, or add photos between."
        )
    for group in groups:
        found.append(
            f"{_listed(names, group)} belong together, but nothing joins them to the placed ones: solve them by "
            "themselves, or add photos that show both."
        )
    if weak:
        found.append(
            f"Too little joins {_listed(names, weak)} to the placed ones: add photos between, at most some 20 degrees "
            "from one to the next."
        )
    return found


def shaky(names: Sequence[str], points: Sequence[int]) -> str | None:
    """What to say of the placed photos `names` that see only few `points` each, or None."""
    few = [position for position, count in enumerate(points) if count < FEW_POINTS]
    if not few:
        return None
    return (
        f"Fewer than {FEW_POINTS} points hold {_listed(names, few)}: check that the camera stands where it should, or "
        "leave such photos out."
    )


def _listed(names: Sequence[str], positions: Sequence[int]) -> str:
    shown = [names[position] for position in sorted(positions)[:MOST_NAMES]]
    more = len(positions) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _connected(count: int, pairs: Sequence[VerifiedPair]) -> list[list[int]]:
    """Positions that a chain of pairs connects, in groups."""
    group_of = list(range(count))
    for pair in pairs:
        kept, gone = group_of[pair.first], group_of[pair.second]
        group_of = [kept if group == gone else group for group in group_of]
    return [[k for k in range(count) if group_of[k] == group] for group in sorted(set(group_of))]
