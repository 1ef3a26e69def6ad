"""How long it still takes."""

from __future__ import annotations

from vggt_blender.backend.estimate import RemainingTime


def test_a_steady_stage_is_estimated_by_its_own_speed() -> None:
    remaining = RemainingTime()
    assert remaining.update("a", 0, 100, 50.0) is None
    assert remaining.update("a", 2, 100, 50.5) is None, "too early to tell"
    assert remaining.update("a", 10, 100, 55.0) == 45.0
    assert remaining.update("a", 100, 100, 100.0) == 0.0


def test_what_was_done_before_the_first_report_does_not_count_as_speed() -> None:
    remaining = RemainingTime()
    remaining.update("a", 90, 100, 0.0)
    assert remaining.update("a", 95, 100, 10.0) == 10.0


def test_a_new_stage_starts_anew_and_so_does_one_that_repeats() -> None:
    remaining = RemainingTime()
    remaining.update("a", 0, 10, 0.0)
    remaining.update("a", 10, 10, 100.0)
    assert remaining.update("b", 0, 10, 100.0) is None
    assert remaining.update("b", 5, 10, 102.0) == 2.0
    assert remaining.update("b", 0, 10, 103.0) is None
    assert remaining.update("b", 5, 10, 113.0) == 10.0
