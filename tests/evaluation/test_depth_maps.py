"""Depth errors of depth maps disturbed by known amounts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from vggt_blender.evaluation import evaluate
from vggt_blender.evaluation.depth_maps import depth_edges, sample_depth


def with_depth(reconstruction, depth, affine=None):
    frames = reconstruction.frames
    if affine is not None:
        frames = tuple(dataclasses.replace(frame, depth_to_image=affine) for frame in frames)
    return dataclasses.replace(reconstruction, depth=depth.astype(np.float32), frames=frames)


def test_coverage_and_mean_error(world):
    truth = world.make_truth()
    solved = world.solve_exactly(truth)
    depth = solved.depth.copy()
    depth[:, :, :16] = np.nan  # a tenth
    depth[:, :, 16:48] *= 1.3  # a fifth
    report = evaluate(with_depth(solved, depth), truth).depth
    assert report.coverage == pytest.approx(0.9)
    assert report.scale == pytest.approx(1.0, abs=1e-6)
    assert report.abs_rel == pytest.approx(0.3 * 32 / 144, abs=1e-4)
    assert report.within == pytest.approx(112 / 144)


def test_one_scale_for_the_whole_shot(world):
    truth = world.make_truth()
    solved = world.solve_exactly(truth)
    depth = solved.depth * np.where(np.arange(8) < 5, 2.0, 2.2)[:, None, None]
    report = evaluate(with_depth(solved, depth), truth).depth
    assert report.scale == pytest.approx(0.5)
    assert report.abs_rel == pytest.approx(3 / 8 * 0.1, rel=1e-4)
    assert report.scale_of_cameras == pytest.approx(1.0)
    assert report.abs_rel_of_cameras == pytest.approx(5 / 8 * 1.0 + 3 / 8 * 1.2, rel=1e-4)


def test_edges_are_told_apart(world):
    truth = world.make_truth()
    solved = world.solve_exactly(truth)
    depth = solved.depth.copy()
    for k, frame in enumerate(truth.frames):
        depth[k][depth_edges(frame.depth)] *= 1.2
    report = evaluate(with_depth(solved, depth), truth).depth
    assert report.abs_rel_flat == pytest.approx(0, abs=1e-6)
    assert report.abs_rel_edge == pytest.approx(0.2, abs=1e-4)
    share = np.mean([depth_edges(frame.depth) for frame in truth.frames])
    assert 0.02 < share < 0.2
    assert report.abs_rel == pytest.approx(0.2 * share, rel=1e-3)


def test_a_smaller_cropped_map_is_read_where_it_lies(world):
    truth = world.make_truth()
    solved = world.solve_exactly(truth)
    # half the resolution, from source column 20 and row 10 on
    rows, columns = np.mgrid[:30, :50]
    positions = np.stack([2 * columns + 21.0, 2 * rows + 11.0], axis=-1)
    depth = np.stack([sample_depth(frame.depth, positions) for frame in truth.frames])
    affine = np.array([[2.0, 0, 20.0], [0, 2.0, 10.0]])
    report = evaluate(with_depth(solved, depth, affine), truth).depth
    assert report.abs_rel < 1e-6
    shifted = evaluate(with_depth(solved, depth, affine + np.array([[0, 0, 4.0], [0, 0, 0]])), truth).depth
    assert shifted.abs_rel > 1e-3


def test_sampling_is_exact_on_planes_and_takes_the_nearest_at_edges():
    rows, columns = np.mgrid[:40, :60] + 0.5
    plane = 1 / (0.2 + 0.001 * columns + 0.002 * rows)
    positions = np.array([[10.3, 20.9], [33.0, 5.25], [0.2, 0.3]])
    expected = 1 / (0.2 + 0.001 * positions[:, 0] + 0.002 * positions[:, 1])
    assert sample_depth(plane, positions) == pytest.approx(expected, rel=1e-12)
    step = np.where(columns < 30, 2.0, 5.0)
    assert sample_depth(step, [[29.9, 10.0], [30.1, 10.0]]).tolist() == [2.0, 5.0]
    hole = step.copy()
    hole[10, 10] = np.nan
    assert np.isnan(sample_depth(hole, [[10.5, 10.5], [-0.1, 3.0], [3.0, 40.1]])).all()
    assert sample_depth(hole, [11.1, 10.5]) == 2.0


def test_edges_lie_about_jumps_and_not_on_slopes():
    columns = np.mgrid[:20, :40][1]
    slope = 1 / (0.1 + 0.002 * columns)
    assert not depth_edges(slope).any()
    jump = np.where(columns < 20, 2.0, 4.0)
    assert np.flatnonzero(depth_edges(jump)[5]).tolist() == list(range(17, 23))
