"""How long a job still takes: the stage under way by its own speed, those to come by their usual share.

This module may import the standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..exchange.job import Job
from ..exchange.requests import Request

LEAST_ELAPSED_S = 1.0


@dataclass(frozen=True)
class Stage:
    """A step of a job: its `cost`, in any unit that the stages of one plan on the same `unit` of the machine share."""

    name: str
    cost: float
    unit: str = "cpu"


COLMAP = (
    Stage("features", 1.0),
    Stage("matching", 0.4),
    Stage("cameras", 0.3),
    Stage("adjusting", 0.5),
    Stage("depth", 1.9),
)
VGGT = (Stage("pictures", 0.1), Stage("network", 1.0, "device"), Stage("depth maps", 0.25, "device"))
REFINEMENT = (Stage("features", 1.0), Stage("matching", 0.4), Stage("adjusting", 0.5))


def plan_of(request: Request, first: str) -> tuple[Stage, ...]:
    """The stages of `request`, whose stage `first` has begun; none where that is not enough to tell."""
    if not isinstance(request, Job):
        return (Stage(first, 1.0),)  # an export has one
    for engine in (COLMAP, VGGT):
        if first == engine[0].name:
            return (*engine, *REFINEMENT) if request.refine else engine
    return ()


class RemainingTime:
    """Remaining seconds of `request`, from the reports of its progress; any steady clock will do."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._plan: tuple[Stage, ...] = ()
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
        if not self._plan or self._plan[self._at].name != stage:
            return None
        elapsed, advanced = now_s - self._began_at, done - self._began_with
        moving = elapsed >= LEAST_ELAPSED_S and advanced > 0
        spent = dict(self._spent)
        if moving:
            step = self._plan[self._at]
            _add(spent, step, elapsed, advanced / total)
        left = [_usual(spent, step) for step in self._plan[self._at :]]
        if done >= total or moving:
            left[0] = elapsed / advanced * (total - done) if done < total else 0.0
        elif left[0] is not None:
            left[0] *= (total - done) / total
        known = [seconds for seconds in left if seconds is not None]
        return round(sum(known), 1) if len(known) == len(left) else None

    def _enter(self, stage: str, now_s: float) -> None:
        """Another stage: what the last one took says how fast this machine is."""
        if self._plan and self._plan[self._at].name == self._stage:
            _add(self._spent, self._plan[self._at], now_s - self._entered_at, 1.0)
        self._plan = self._plan or plan_of(self._request, stage)
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
