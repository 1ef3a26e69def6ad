"""Floor, scale, origin and direction, checked on the points that they are made from."""

from __future__ import annotations

import numpy as np
import pytest

from vggt_blender.geometry.world_frame import direction_matrix, floor_matrix, origin_matrix, scale_matrix

POINTS = np.array([[1.0, 2.0, 3.0], [2.0, 2.5, 3.4], [0.5, 4.0, 2.0]])


def moved(matrix, point):
    return matrix[:3, :3] @ np.asarray(point, float) + matrix[:3, 3]


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_floor_is_at_zero_and_the_cameras_above_it(side: float, order: list[int]) -> None:
    normal = np.cross(POINTS[1] - POINTS[0], POINTS[2] - POINTS[0])
    above = POINTS.mean(axis=0) + side * normal
    matrix = floor_matrix(POINTS[order], above)
    assert [moved(matrix, point)[2] for point in POINTS] == pytest.approx([0, 0, 0])
    assert moved(matrix, above)[2] == pytest.approx(np.linalg.norm(normal))
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
    assert floor_matrix(np.array([moved(matrix, p) for p in POINTS]), moved(matrix, above)) == pytest.approx(np.eye(4))


def test_points_on_a_line_are_refused_at_any_size() -> None:
    for size in (1e-6, 1e6):
        with pytest.raises(ValueError, match="one line"):
            floor_matrix(size * np.array([[0, 0, 0], [1, 1, 1], [3, 3, 3]]), (0, 0, 1))
        floor_matrix(size * POINTS, (0, 0, 1e9))


def test_scale_makes_the_distance_and_keeps_the_origin() -> None:
    matrix = scale_matrix(POINTS[0], POINTS[1], 7.5)
    assert np.linalg.norm(moved(matrix, POINTS[1]) - moved(matrix, POINTS[0])) == pytest.approx(7.5)
    assert moved(matrix, (0, 0, 0)) == pytest.approx([0, 0, 0])
    with pytest.raises(ValueError, match="same"):
        scale_matrix(POINTS[0], POINTS[0], 1.0)


def test_origin_goes_where_the_point_was() -> None:
    assert moved(origin_matrix(POINTS[2]), POINTS[2]) == pytest.approx([0, 0, 0])


@pytest.mark.parametrize("axis", ["X", "Y", "Z"])
@pytest.mark.parametrize("flip", [False, True])
def test_line_becomes_parallel_to_the_axis_the_shorter_way(axis: str, flip: bool) -> None:
    for first, second in ((POINTS[0], POINTS[2]), (POINTS[2], POINTS[0])):
        matrix = direction_matrix(first, second, axis, flip)
        line = matrix[:3, :3] @ (POINTS[2] - POINTS[0])
        others = [i for i in range(3) if "XYZ"[i] != axis and (axis == "Z" or i < 2)]
        assert line[others] == pytest.approx(0, abs=1e-9)
        if axis != "Z":
            np.testing.assert_allclose(matrix[:3, 2], [0, 0, 1])  # the floor stays
            angle = abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
            assert (angle <= 90) != flip


def test_upright_line_shows_no_heading() -> None:
    with pytest.raises(ValueError, match="upright"):
        direction_matrix((1, 1, 0), (1, 1, 3), "X")
