"""How long it still takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggt_blender.engines.run import _plan
from vggt_blender.exchange.estimate import RemainingTime, Stage, plan_of
from vggt_blender.exchange.hand_tracks import HandTrack, HandTracks
from vggt_blender.exchange.job import FrameRange, Job
from vggt_blender.inference.frames import open_source

FRAMES = [(1920, 1080)] * 10
COLMAP = plan_of("colmap", FRAMES, ordered=True, refines=False)
VGGT = plan_of("vggt", FRAMES, ordered=True, refines=True)


def cost(*stages: Stage) -> float:
    return sum(stage.cost for stage in stages)


def test_what_has_one_stage_is_estimated_by_its_own_speed() -> None:
    remaining = RemainingTime(())
    assert remaining.update("plates", 0, 100, 50.0) is None
    assert remaining.update("plates", 2, 100, 50.5) is None, "too early to tell"
    assert remaining.update("plates", 10, 100, 55.0) == 45.0
    assert remaining.update("plates", 100, 100, 100.0) == 0.0


def test_what_was_done_before_the_first_report_does_not_count_as_speed() -> None:
    remaining = RemainingTime(())
    remaining.update("plates", 90, 100, 0.0)
    assert remaining.update("plates", 95, 100, 10.0) == 10.0


def test_a_solve_counts_the_stages_to_come() -> None:
    remaining, later = RemainingTime(COLMAP), cost(*COLMAP[1:]) / COLMAP[0].cost
    assert remaining.update("features", 0, 10, 10.0) is None
    assert remaining.update("features", 5, 10, 60.0) == pytest.approx(50 + 100 * later, abs=0.1)
    remaining.update("features", 10, 10, 110.0)
    assert remaining.update("matching", 0, 40, 110.0) == pytest.approx(100 * later, abs=0.1)


def test_what_smoothing_has_to_find_by_itself_is_counted() -> None:
    """Where a refinement comes before, it has found it; separate photos follow no path."""

    def after_depth(refines: bool, smooths: bool, ordered: bool = True) -> list[str]:
        plan = plan_of("colmap", FRAMES, ordered=ordered, refines=refines, smooths=smooths)
        return [stage.name for stage in plan[len(COLMAP) :]]

    assert after_depth(refines=False, smooths=True) == ["features", "matching"]
    assert after_depth(refines=True, smooths=True) == after_depth(refines=True, smooths=False)
    assert after_depth(refines=False, smooths=True, ordered=False) == []


def test_hand_tracks_bring_a_refinement_along() -> None:
    source = open_source([str(Path(__file__).parents[2] / "samples" / "courtyard")], frames=FrameRange(1001, 1004))
    hand = HandTracks((HandTrack("door", ((1001, 5.0, 5.0), (1002, 6.0, 5.0))),))
    plans = [
        [stage.name for stage in _plan(job, "colmap", source)]
        for job in (Job(("a",), "o", hand_tracks=hand), Job(("a",), "o", engine="colmap", refine=True))
    ]
    assert plans[0] == plans[1]
    assert plans[0].count("adjusting") == 2


def test_small_pictures_have_quicker_features_and_depth_as_slow_as_large_ones() -> None:
    """Measured, in seconds of the processor: features took 6 % at 640x360 and 22 % at 960x540, depth 82 % and 63 %."""
    shares = []
    for size in ((640, 360), (960, 540)):
        plan = plan_of("colmap", [size] * 12, ordered=True, refines=False)
        shares.append({stage.name: stage.cost / cost(*plan) for stage in plan})
    small, large = shares
    assert 0.05 < small["features"] < 0.12 < large["features"] < 0.25
    assert 0.6 < large["depth"] < 0.7 < small["depth"] < 0.85


def test_a_machine_that_turns_out_slower_is_believed_and_every_solve_comes_to_its_end() -> None:
    remaining, now, told = RemainingTime(COLMAP), 0.0, []
    for stage in COLMAP:
        pace = 0.1 if stage.name == "features" else 0.2
        for done in range(11):
            told.append((remaining.update(stage.name, done, 10, now), now))
            now += 10 * pace * stage.cost * (stage.share(min(done + 1, 10), 10) - stage.share(done, 10))
    known = [(left, at) for left, at in told if left is not None]
    assert len(known) == len(told) - 1
    assert known[-1][0] == 0.0
    middle = [(left, at) for left, at in known if at > 0.5 * now]
    assert all(abs(left - (now - at)) < 0.25 * now for left, at in middle)


def test_what_runs_on_a_graphics_card_says_nothing_about_the_processor_and_the_other_way_round() -> None:
    remaining = RemainingTime(VGGT)
    assert [stage.name for stage in VGGT[:3]] == ["pictures", "network", "depth maps"]
    remaining.update("pictures", 0, 10, 0.0)
    assert remaining.update("pictures", 5, 10, 5.0) is None, "the network may take anything"
    remaining.update("pictures", 10, 10, 10.0)
    assert remaining.update("network", 0, 24, 10.0) is None
    told = remaining.update("network", 12, 24, 12.0)
    wanted = 2.0 + 4.0 * VGGT[2].cost / VGGT[1].cost + 10.0 / VGGT[0].cost * cost(*VGGT[3:])
    assert told == pytest.approx(wanted, abs=0.1)


def test_a_second_pass_that_is_quicker_is_known() -> None:
    """Depth is computed for every frame, then compared between frames, which is soon done."""
    remaining = RemainingTime(COLMAP[-1:])
    remaining.update("depth", 0, 20, 0.0)
    assert remaining.update("depth", 5, 20, 47.5) == pytest.approx(52.5, abs=0.1)
    assert remaining.update("depth", 10, 20, 95.0) == pytest.approx(5.0, abs=0.1)
    assert remaining.update("depth", 20, 20, 100.0) == 0.0


def test_a_stage_that_repeats_starts_anew() -> None:
    remaining = RemainingTime(())
    remaining.update("plates", 5, 10, 102.0)
    assert remaining.update("plates", 0, 10, 103.0) is None
    assert remaining.update("plates", 5, 10, 113.0) == 10.0


def test_a_stage_that_no_plan_knows_is_not_guessed_at() -> None:
    remaining = RemainingTime(COLMAP)
    remaining.update("features", 0, 10, 0.0)
    remaining.update("features", 10, 10, 10.0)
    assert remaining.update("dreaming", 5, 10, 20.0) is None
    assert remaining.update("matching", 0, 10, 20.0) is not None
