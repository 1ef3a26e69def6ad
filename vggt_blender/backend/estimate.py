"""How long a stage still takes, from how fast it went so far.

This module may import the standard library only.
"""

from __future__ import annotations

LEAST_ELAPSED_S = 1.0


class RemainingTime:
    """Remaining seconds of the stage that is under way, from the moment of its first report."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._began_at = 0.0
        self._began_with = 0
        self._last = 0

    def update(self, stage: str, done: int, total: int, now_s: float) -> float | None:
        """Seconds until `total`, or None while there is too little to go by. `now_s` is any steady clock."""
        if stage != self._stage or done < self._last:
            self._stage, self._began_at, self._began_with = stage, now_s, done
        self._last = done
        elapsed, advanced = now_s - self._began_at, done - self._began_with
        if done >= total:
            return 0.0
        if elapsed < LEAST_ELAPSED_S or advanced < 1:
            return None
        return round(elapsed / advanced * (total - done), 1)
