"""What is known of a shot: the focal length in pixels, the ways it travels, and what makes no sense."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from vggt_blender.cli import _job, _parser
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.known import Distance, Known
from vggt_blender.exchange.messages import JobError

EVERYTHING = Known(
    focal_mm=35,
    sensor_mm=36,
    focal_is_start=True,
    distortion=(-0.1, 0.02),
    zooms=True,
    distance=Distance("1001", "plate.1024.png", 2.5),
)


def test_three_ways_to_say_the_same_lens() -> None:
    pixels = 35 / 36 * 1920
    for known in (
        Known(focal_px=pixels),
        Known(focal_mm=35, sensor_mm=36),
        Known(fov=math.degrees(2 * math.atan(18 / 35))),
    ):
        assert known.focal_pixels(1920, 1080) == pytest.approx(pixels)
        assert known.holds_focal
    assert Known().focal_pixels(1920, 1080) is None
    assert not Known().holds_focal


def test_upright_pictures_have_the_sensors_longer_side_upright_too() -> None:
    assert Known(focal_mm=35, sensor_mm=36).focal_pixels(1080, 1920) == pytest.approx(35 / 36 * 1920)
    assert Known(fov=90).focal_pixels(1080, 1920) == pytest.approx(540)


def test_what_is_known_comes_back_as_it_went() -> None:
    assert Known.from_dict(json.loads(json.dumps(EVERYTHING.given()))) == EVERYTHING
    assert EVERYTHING.distortion == (-0.1, 0.02, 0, 0, 0)
    assert Known().given() == {}
    job = Job(inputs=("a",), output="b", known=EVERYTHING)
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job


def test_the_command_line_says_all_of_it() -> None:
    text = "reconstruct a --output b --focal-mm 35 --sensor-mm 36 --focal-as-start --distortion -0.1 0.02 --zoom "
    text += "--distance 1001 plate.1024.png 2.5"
    assert _job(_parser().parse_args(text.split())).known == EVERYTHING
    assert _job(_parser().parse_args(["reconstruct", "a", "--output", "b"])).known == Known()
    locked = _job(_parser().parse_args(["reconstruct", "a", "--output", "b", "--locked-off", "--fov", "54"])).known
    assert locked == Known(fov=54, locked_off=True)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"focal_px": 900, "fov": 50}, "once"),
        ({"focal_mm": 35}, "sensor"),
        ({"sensor_mm": 36}, "sensor"),
        ({"focal_px": -3}, "above 0"),
        ({"focal_px": math.nan}, "above 0"),
        ({"focal_mm": 35, "sensor_mm": 0}, "above 0"),
        ({"focal_mm": 35, "sensor_mm": 36000}, "No lens sees"),
        ({"fov": 190}, "No lens sees"),
        ({"focal_is_start": True}, "start"),
        ({"focal_px": 900, "zooms": True}, "zooms"),
        ({"distortion": [0.1]}, "K1 K2"),
        ({"distortion": [0.1, math.inf]}, "K1 K2"),
        ({"distortion": [0.1, "x"]}, "unusable"),
        ({"distance": {"first": "1", "second": "1", "meters": 2.0}}, "two different"),
        ({"distance": {"first": "1", "second": "2", "meters": 0}}, "above 0"),
        ({"distance": {"first": "1", "second": "2", "meters": 1.0}, "locked_off": True}, "locked-off"),
        ({"distance": ["1", "2", 3]}, "unusable"),
        ({"focal_px": True}, "unusable"),
        ({"locked_off": 1}, "unusable"),
        ({"lens": "cooke"}, "unusable"),
        ([], "object"),
    ],
)
def test_nonsense_is_refused_in_one_line(values: Any, said: str) -> None:
    with pytest.raises(JobError) as refused:
        Known.from_dict(values)
    assert refused.value.code == "usage"
    assert said in refused.value.message
    assert "\n" not in refused.value.message
