"""How long a job still takes: the stage under way by its own speed, those to come by what they usually cost.

This module may import the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LEAST_ELAPSED_S = 1.0
MOST_PARTNERS = 40  # of an unordered picture, about
WORKING_SIDE = 1600  # no more than so many pixels of a longer side are looked at for features


@dataclass(frozen=True)
class Stage:
    """A step of a job. Costs are seconds of one machine's processor or graphics card, the `unit`: what counts is how
    they compare. ``first_half`` is the share of its time that the first half of what it counts takes."""

    name: str
    cost: float
    unit: str = "cpu"
    first_half: float = 0.5

    def share(self, done: int, total: int) -> float:
        """The share of its time that is over once `done` of `total` are."""
        part = done / total if total else 1.0
        early, late = min(part, 0.5), max(part - 0.5, 0.0)
        return 2 * (early * self.first_half + late * (1 - self.first_half))


def plan_of(
    engine: str, sizes: Iterable[tuple[int, int]], *, ordered: bool, refines: bool, smooths: bool = False
) -> tuple[Stage, ...]:
    """The stages of a solve of pictures of `sizes` (width, height), a shot's frames where they are `ordered`.

    Costs were measured on footage of 640x360 and 960x540 and on photos. Reading the source comes before. What smoothing
    and hand tracks take beside what they have to find in the pictures is a hundredth of a second a frame: left out.
    """
    megapixels = [width * height * min(1.0, WORKING_SIDE / max(width, height)) ** 2 / 1e6 for width, height in sizes]
    count, seen = len(megapixels), sum(megapixels)
    matching = 0.12 * count if ordered else 0.15 * count * min(count - 1, MOST_PARTNERS)
    tracking = (
        Stage("features", 2.0 * seen),
        Stage("matching", matching),
        Stage("cameras", 0.2 * count),
        Stage("adjusting", 0.25 * count),
    )
    if engine == "colmap":
        stages: tuple[Stage, ...] = (*tracking, Stage("depth", 3.3 * count, first_half=0.95))
    else:
        stages = (
            Stage("pictures", 0.05 * seen),
            Stage("network", 4.0 * count, "device"),
            Stage("depth maps", 1.0 * count, "device"),
        )
    again = set()
    if refines or (smooths and ordered):
        again = {"features", "matching", *(["adjusting"] if refines else [])}
    return (*stages, *(step for step in tracking if step.name in again))


class RemainingTime:
    """Remaining seconds of what has the stages of `plan`, from the reports of its progress; any steady clock will do.

    An empty plan means that the stage under way is all there is.
    """

    def __init__(self, plan: tuple[Stage, ...]) -> None:
        self._plan = plan
        self._at = 0  # of the plan
        self._stage: str | None = None
        self._entered_at = 0.0
        self._began_at, self._began_with, self._last = 0.0, 0, 0  # of what the stage's speed is taken from
        self._spent: dict[str, tuple[float, float]] = {}  # unit of the machine -> seconds and cost of what is over

    def update(self, stage: str, done: int, total: int, now_s: float) -> float | None:
        """Seconds until the job is done, or None while there is too little to go by."""
        if stage != self._stage:
            self._enter(stage, now_s)
        if self._stage != stage or done < self._last:
            self._began_at, self._began_with = now_s, done
        self._stage, self._last = stage, done
        if self._plan[self._at].name != stage:
            return None
        step = self._plan[self._at]
        elapsed, over = now_s - self._began_at, step.share(done, total)
        advanced = over - step.share(self._began_with, total)
        moving = elapsed >= LEAST_ELAPSED_S and advanced > 0
        spent = dict(self._spent)
        if moving:
            _add(spent, step, elapsed, advanced)
        left = [_usual(spent, later) for later in self._plan[self._at :]]
        if done >= total:
            left[0] = 0.0
        elif moving:
            left[0] = elapsed / advanced * (1.0 - over)
        elif left[0] is not None:
            left[0] *= 1.0 - over
        known = [seconds for seconds in left if seconds is not None]
        return round(sum(known), 1) if len(known) == len(left) else None

    def _enter(self, stage: str, now_s: float) -> None:
        """Another stage: what the last one took says how fast this machine is."""
        if self._stage is not None and self._plan[self._at].name == self._stage:
            _add(self._spent, self._plan[self._at], now_s - self._entered_at, 1.0)
        self._plan = self._plan or (Stage(stage, 1.0),)
        self._at = next((at for at in range(self._at, len(self._plan)) if self._plan[at].name == stage), self._at)
        self._entered_at = now_s


def _add(spent: dict[str, tuple[float, float]], step: Stage, seconds: float, share: float) -> None:
    """Count `share` of `step`, which took `seconds`."""
    before, cost = spent.get(step.unit, (0.0, 0.0))
    spent[step.unit] = before + seconds, cost + share * step.cost


def _usual(spent: dict[str, tuple[float, float]], step: Stage) -> float | None:
    """Seconds of the whole of `step`, from what else the same unit of the machine did."""
    seconds, cost = spent.get(step.unit, (0.0, 0.0))
    return seconds / cost * step.cost if cost else None
