"""Why photos could not be placed, and what to do: in the words of who took them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .matching import VerifiedPair

MOST_NAMES = 12


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
