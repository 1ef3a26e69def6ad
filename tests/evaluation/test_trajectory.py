"""Pairwise errors against hand-counted shares."""

from __future__ import annotations

import numpy as np
import pytest

from vggt_blender.evaluation.trajectory import relative_error, rotation_angles


def yaw(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])


def pose(degrees: float, center: list[float]) -> np.ndarray:
    return np.column_stack([yaw(degrees), -yaw(degrees) @ center])


def test_shares_and_areas_of_a_half_that_is_turned():
    known = np.stack([pose(3 * k, [k, 0, 0.1 * k * k]) for k in range(8)])
    solved = known.copy()
    solved[4:] = yaw(9.5) @ known[4:]
    relative = relative_error(solved, known, has_path=True)
    # 6 pairs within the first half are right, 16 across have both errors, 6 within the second one of direction alone
    assert relative.rra == {5: pytest.approx(12 / 28), 15: 1.0, 30: 1.0}
    assert relative.rta == {5: pytest.approx(6 / 28), 15: 1.0, 30: 1.0}
    assert relative.auc[3] == pytest.approx(6 / 28)
    assert relative.auc[30] == pytest.approx((30 * 6 + 21 * 22) / 30 / 28)


def test_a_move_the_other_way_is_half_a_turn_off():
    known = np.stack([pose(0, [k, 0, 0]) for k in range(3)])
    backwards = np.stack([pose(0, [-k, 0, 0]) for k in range(3)])
    relative = relative_error(backwards, known, has_path=True)
    assert relative.rta == {5: 0.0, 15: 0.0, 30: 0.0}
    assert relative.rra[5] == 1.0


def test_small_and_large_angles():
    for degrees in (1e-7, 0.3, 90.0, 179.9):
        assert rotation_angles(yaw(20 + degrees), yaw(20)) == pytest.approx(degrees, rel=1e-6)
