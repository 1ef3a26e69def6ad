"""Jobs as they travel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vggt_blender.exchange import messages
from vggt_blender.exchange.job import FrameRange, Job
from vggt_blender.exchange.messages import Cancelled, JobError
from vggt_blender.exchange.reporter import JobReporter


def test_a_job_comes_back_as_it_went() -> None:
    job = Job(
        inputs=("a.png", "ü.png"),
        output="o",
        id="7",
        kind="images",
        engine="vggt",
        model="m",
        device="cuda",
        frames=FrameRange(3, None, 2),
        mask="m.png",
        refine=True,
        tracks=9,
        point_head=True,
        overwrite=True,
    )
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    assert Job.from_dict({"inputs": ["a"], "output": "b"}) == Job(inputs=("a",), output="b")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"inputs": ["a"]},
        {"output": "o"},
        {"inputs": [], "output": "o"},
        {"inputs": "a", "output": "o"},
        {"inputs": [1], "output": "o"},
        {"inputs": ["a"], "output": None},
        {"inputs": ["a"], "output": ""},
        {"inputs": ["a", ""], "output": "o"},
        {"inputs": ["a"], "output": "o", "mask": ""},
        {"inputs": ["a"], "output": "o", "extra": 1},
        {"inputs": ["a"], "output": "o", "engine": "magic"},
        {"inputs": ["a"], "output": "o", "kind": "film"},
        {"inputs": ["a"], "output": "o", "device": "tpu"},
        {"inputs": ["a"], "output": "o", "refine": 1},
        {"inputs": ["a"], "output": "o", "tracks": -1},
        {"inputs": ["a"], "output": "o", "tracks": True},
        {"inputs": ["a"], "output": "o", "frames": "1-9"},
        {"inputs": ["a"], "output": "o", "frames": [1, 9]},
    ],
)
def test_what_is_no_job_is_refused_as_usage(values: dict[str, Any]) -> None:
    with pytest.raises(JobError) as caught:
        Job.from_dict(values)
    assert caught.value.code == "usage"
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "numbers", "chosen"),
    [
        ("::", range(5), [0, 1, 2, 3, 4]),
        ("1:4", range(5), [1, 2, 3]),
        ("1::2", range(6), [1, 3, 5]),
        (":2", range(5), [0, 1]),
        ("::2", range(1001, 1006), [0, 2, 4]),
        ("1002:1005:2", range(1001, 1006), [1, 3]),
        ("1000::2", [1001, 1002, 1004, 1005], [1, 2]),
        ("9:", range(5), []),
        ("::3", [], []),
    ],
)
def test_ranges_are_half_open_and_step_from_their_start(text: str, numbers: Any, chosen: list[int]) -> None:
    frames = FrameRange.parse(text)
    assert frames.choose(numbers) == chosen
    assert FrameRange.parse(str(frames)) == frames


@pytest.mark.parametrize("text", ["", "5", "a:b", "1:2:0", "1:2:-1", "1:2:3:4", "1.5:2"])
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(JobError, match="START:STOP:STEP"):
        FrameRange.parse(text)


@pytest.mark.parametrize("text", ["0:0", "5:5", "5:3", ":0", ":-2", "-3:", "-3:-1"])
def test_ranges_that_no_source_has(text: str) -> None:
    with pytest.raises(JobError, match=r"takes no frame|before 0") as caught:
        FrameRange.parse(text)
    assert caught.value.code == "usage"


def test_messages_are_lines_that_come_back() -> None:
    sent = [
        messages.progress("j", "S", 1, 2, 3.5),
        messages.status("j", "two\nlines, ünicode"),
        messages.warning("j", "w"),
        messages.done("j", "/p"),
        messages.error("j", JobError("code", "message", "detail")),
    ]
    for message in sent:
        line = messages.encode(message)
        assert line.endswith("\n")
        assert line.isascii()
        assert line.count("\n") == 1
        assert messages.decode(line) == message


@pytest.mark.parametrize("line", ["", "libraries print", "3", "[]", '{"type":"done"}', '{"type":"x","job":"j"}', "{"])
def test_lines_that_are_no_messages_are_none(line: str) -> None:
    assert messages.decode(line) is None


def test_a_reporter_passes_on_first_and_last_and_stops_when_asked() -> None:
    sent: list[dict[str, Any]] = []
    cancelled = False
    reporter = JobReporter("j", sent.append, lambda: cancelled)
    for number in range(1, 1001):
        reporter.progress("S", number, 1000)
    assert (sent[0]["done"], sent[-1]["done"]) == (1, 1000)
    assert len(sent) < 100
    reporter.warning("w")
    assert sent[-1] == messages.warning("j", "w")
    cancelled = True
    for call in (lambda: reporter.progress("S", 1, 2), lambda: reporter.status("s"), lambda: reporter.warning("w")):
        with pytest.raises(Cancelled):
            call()
