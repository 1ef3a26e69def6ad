"""Why pictures could not be placed, and what to do: in the words of who took them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .matching import VerifiedPair, joined

MOST_NAMES = 12


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


def _listed(names: Sequence[str], positions: Sequence[int]) -> str:
    shown = [names[position] for position in sorted(positions)[:MOST_NAMES]]
    more = len(positions) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
