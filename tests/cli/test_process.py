"""Jobs in their worker: stopped, killed, crashed, orphaned. Faults are real: signals and inputs that never answer."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def start_reading(shell: Any, pictures: Path, output: Path) -> Any:
    """A `reconstruct` in the middle of its work, its staging folder on disk."""
    command = shell.start("reconstruct", pictures, "--output", output, "--engine", "colmap", "--messages", "json")
    command.message(type="progress")
    assert list(output.glob(".partial-*"))
    return command


def earlier_result(folder: Path) -> dict[str, bytes]:
    """Something that counts as a result, and its bytes."""
    folder.mkdir(parents=True)
    (folder / "reconstruction.json").write_text('{"format": "vggt-reconstruction"}')
    (folder / "depth.npy").write_bytes(b"earlier")
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_nothing_is_left(
    shell: Any, tmp_path: Path, many_pictures: Path, number: signal.Signals
) -> None:
    command = start_reading(shell, many_pictures, tmp_path / "new/deep/out")
    worker = command.worker()
    command.process.send_signal(number)
    shell.wait_until_gone(command.pid, worker)
    status, output, _ = command.finish()
    last = json.loads(output.splitlines()[-1])
    assert (status, last["type"], last["code"], last["detail"]) == (130, "error", "cancelled", "")
    assert not (tmp_path / "new").exists()


def test_a_cancel_message_stops_it(shell: Any, tmp_path: Path, many_pictures: Path) -> None:
    command = start_reading(shell, many_pictures, tmp_path / "out")
    for pid in (command.pid, command.worker()):
        assert Path(f"/proc/{pid}/fd/0").readlink() == Path(os.devnull), "libraries must not wait for it"
    command.tell(type="cancel", job="job")
    assert command.message(type="error")["code"] == "cancelled"
    assert command.finish()[0] == 130
    assert not (tmp_path / "out").exists()


LAUNCHER = """
import pathlib, sys
sys.executable = str(pathlib.Path(__file__).with_name("launcher"))
"""


@pytest.mark.parametrize("launched", [False, True])
def test_a_worker_that_does_not_answer_is_killed(
    shell: Any, tmp_path: Path, silent_video: Path, launched: bool
) -> None:
    """`launched`: as a virtual environment's Python on Windows, by a program that is not the Python itself."""
    (tmp_path / "beside").mkdir()
    if launched:
        (tmp_path / "beside/sitecustomize.py").write_text(LAUNCHER)
        launcher = tmp_path / "beside/launcher"
        launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
        launcher.chmod(0o755)
    before = earlier_result(tmp_path / "out")
    options = ("--output", tmp_path / "out", "--overwrite", "--engine", "colmap")
    command = shell.start("reconstruct", silent_video, *options, beside=tmp_path / "beside")
    shell.wait_until(lambda: bool(list((tmp_path / "out").glob(".partial-*"))))
    worker = command.worker()
    command.process.send_signal(signal.SIGINT)
    shell.wait_until_gone(command.pid, worker)
    assert command.finish()[0] == 130
    assert contents(tmp_path / "out") == before


def test_a_crash_says_so_and_the_next_job_works(shell: Any, tmp_path: Path, many_pictures: Path) -> None:
    (tmp_path / "one").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "one/a.png")
    command = shell.start("serve")
    jobs = {"first": many_pictures, "second": tmp_path / "one"}
    for name, folder in jobs.items():
        command.tell(type="job", id=name, inputs=[str(folder)], output=str(tmp_path / name), engine="colmap")
    command.message(type="progress", job="first")
    worker = command.worker()
    os.kill(worker, signal.SIGSEGV)
    failure = command.message(type="error")
    assert (failure["job"], failure["code"]) == ("first", "crashed")
    assert "SIGSEGV" in failure["message"]
    # the last lines that it logged: Python's account, or that of COLMAP's logger once it is loaded
    assert "Segmentation fault" in failure["detail"] or "SIGSEGV" in failure["detail"]
    assert not (tmp_path / "first").exists()
    second = command.message(type="error")
    assert (second["job"], second["code"]) == ("second", "too_few")
    command.process.stdin.close()
    command.process.stdin = None
    assert command.finish()[0] == 0


def test_memory_that_runs_out_is_named(shell: Any, tmp_path: Path, many_pictures: Path) -> None:
    command = start_reading(shell, many_pictures, tmp_path / "out")
    os.kill(command.worker(), signal.SIGKILL)
    failure = command.message(type="error")
    assert failure["code"] == "crashed"
    assert "memory" in failure["message"]
    assert command.finish()[0] == 1


@pytest.mark.parametrize("stopped", [False, True])
def test_without_its_supervisor_the_worker_ends(
    shell: Any, tmp_path: Path, many_pictures: Path, silent_video: Path, stopped: bool
) -> None:
    """`stopped`: it hangs in a call that never returns."""
    command = shell.start(
        "reconstruct", silent_video if stopped else many_pictures, "--output", tmp_path / "out", "--engine", "colmap"
    )
    shell.wait_until(lambda: bool(list((tmp_path / "out").glob(".partial-*"))))
    worker = command.worker()
    os.kill(command.pid, signal.SIGKILL)
    shell.wait_until_gone(worker)
    assert not (tmp_path / "out").exists()


PATIENT = """
from vggt_blender.backend import supervisor
supervisor.GRACE_S = float("inf")
"""


def test_serve_cancels_waiting_and_running_jobs_by_name(shell: Any, tmp_path: Path, many_pictures: Path) -> None:
    """With all the time that its worker needs to stop by itself; the tests of one that does not are above."""
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/sitecustomize.py").write_text(PATIENT)
    command = shell.start("serve", beside=tmp_path / "beside")
    for name in ("a", "b", "c"):
        command.tell(type="job", id=name, inputs=[str(many_pictures)], output=str(tmp_path / name), engine="colmap")
    command.message(type="progress", job="a")
    worker = command.worker()
    command.tell(type="cancel", job="b")
    assert command.message(type="error")["job"] == "b"
    command.tell(type="cancel", job="a")
    assert command.message(type="error")["job"] == "a"
    command.message(type="progress", job="c")
    assert command.worker() == worker, "a worker that stopped by itself is kept"
    command.tell(type="cancel")
    assert command.message(type="error")["job"] == "c"


def test_jobs_of_one_id_or_none_are_told_apart(shell: Any, tmp_path: Path, many_pictures: Path) -> None:
    command = shell.start("serve")

    def submit(name: str, **entries: str) -> None:
        command.tell(type="job", inputs=[str(many_pictures)], output=str(tmp_path / name), engine="colmap", **entries)

    submit("a")
    command.message(type="progress", job="job")
    submit("b", id="job")  # neither this one, nor what is no job, ends the one that runs
    assert (command.message(type="error")["job"], command.message()["type"]) == ("", "progress")
    command.tell(type="job", id="job", inputs=[])
    assert command.message(type="error")["job"] == ""
    submit("c")
    command.tell(type="cancel", job=7)
    refused = command.message(type="error")
    assert (refused["job"], refused["code"]) == ("", "usage")
    command.tell(type="cancel", job="job-2")
    assert command.message(type="error", code="cancelled")["job"] == "job-2"
    command.message(type="progress", job="job")
    command.tell(type="cancel", job=None)
    assert command.message(type="error", code="cancelled")["job"] == "job"
    submit("d")  # the same id again: it was not this one that was cancelled
    assert command.message(job="job")["type"] == "progress"
    command.tell(type="cancel")
    assert command.message(type="error", code="cancelled")["job"] == "job"


def test_serve_stops_when_nobody_reads(shell: Any, tmp_path: Path, many_pictures: Path) -> None:
    """The program that started it died: both pipes are closed."""
    command = shell.start("serve")
    command.tell(type="job", inputs=[str(many_pictures)], output=str(tmp_path / "out"), engine="colmap")
    command.message(type="progress")
    worker = command.worker()
    command.process.stdin.close()
    command.process.stdout.close()
    command.process.stdin = command.process.stdout = None
    shell.wait_until_gone(command.pid, worker)
    assert not (tmp_path / "out").exists()


def test_serve_answers_what_makes_no_sense(shell: Any, tmp_path: Path) -> None:
    command = shell.start("serve")
    command.process.stdin.write("what?\n[]\n\n" + "[" * 100_000 + "\n")
    command.tell(type=[])
    command.tell(type="dance", job="x")
    command.tell(type="job", id="y", inputs=["a"], output="b", colour="blue")
    command.tell(type="job", id="z", inputs="a", output="b")
    command.tell(type="job", id="w", inputs=["a"], output="b", smooth=10**400)
    command.tell(type="unload")
    status, output, _ = command.finish()
    answers = [json.loads(line) for line in output.splitlines()]
    assert [(answer["type"], answer["code"], answer["job"]) for answer in answers] == [
        *[("error", "usage", "")] * 4,
        ("error", "usage", "x"),
        ("error", "usage", "y"),
        ("error", "usage", "z"),
        ("error", "usage", ""),
    ]
    assert "colour" in answers[5]["message"]
    assert status == 0


def test_paths_that_cannot_be_are_the_failure_of_their_job_alone(shell: Any, tmp_path: Path) -> None:
    command = shell.start("serve")
    long, one = tmp_path / ("x" * 300), tmp_path / "one"
    one.mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(one / "a.png")
    jobs = {
        "no such user": ("~old plates/shot", tmp_path / "a", "not_found"),
        "long input": (long, tmp_path / "a", "not_found"),
        "long output": (one, long, "output"),
        "output in a file": (one, one / "a.png/deep/out", "output"),
        "as ever": (one, tmp_path / "a", "too_few"),
    }
    for name, (source, output, _) in jobs.items():
        command.tell(type="job", id=name, inputs=[str(source)], output=str(output), engine="colmap")
    status, output, errors = command.finish()
    answers = [json.loads(line) for line in output.splitlines()]
    last = {answer["job"]: answer for answer in answers if answer["type"] == "error"}
    assert {name: answer["code"] for name, answer in last.items()} == {name: code for name, (*_, code) in jobs.items()}
    assert last["output in a file"]["message"].startswith(f"'{one / 'a.png'}' is a file")
    assert "Traceback" not in errors
    assert status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_remaining_time_is_estimated_once_something_was_measured(
    shell: Any, tmp_path: Path, slow_pictures: Path
) -> None:
    command = start_reading(shell, slow_pictures, tmp_path / "out")
    while (message := command.message(type="progress"))["remaining_s"] is None:
        assert message["stage"] in ("reading", "features")
    assert message["stage"] == "features"
    assert message["remaining_s"] > 0
    command.process.send_signal(signal.SIGINT)
    command.finish()


def test_a_terminal_sees_one_line_that_is_rewritten(programs: Any, tmp_path: Path, slow_pictures: Path) -> None:
    import fcntl
    import pty
    import termios

    terminal, inner = pty.openpty()
    arguments = ["reconstruct", slow_pictures, "--output", tmp_path / "out", "--engine", "colmap"]
    process = programs.start(
        [sys.executable, "-m", "vggt_blender", *arguments],
        cwd=Path(__file__).parents[2],
        **dict.fromkeys(("stdin", "stdout", "stderr"), inner),
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # what is typed there reaches it as signals
    )
    os.close(inner)
    seen = read_terminal(terminal, until=b" left")
    os.write(terminal, b"\x03")  # Ctrl-C, as typed
    seen += read_terminal(terminal, until=None)
    os.close(terminal)
    assert process.wait() == 130
    bars = [line for line in seen.split(b"\r") if b"/60" in line]
    assert len(bars) > 3
    assert all(b"\n" not in line for line in bars[:-1])
    assert b" left" in bars[-1]
    assert b"Cancelled." in seen
    assert not (tmp_path / "out").exists()


def read_terminal(terminal: int, until: bytes | None) -> bytes:
    """What it shows until it shows `until`, or to its end."""
    seen = b""
    try:
        while until is None or until not in seen:
            seen += os.read(terminal, 4096)
    except OSError:  # the terminal closes with its last process
        assert until is None, f"it ended without {until!r}: {seen!r}"
    return seen


NOISE = """
import os, sys, threading, time

def print_without_end():
    while True:
        for _ in range(20):
            os.write(1, b"a library talks ")
            time.sleep(0.001)
        os.write(1, b"\\n")

if sys.argv[0] == "-m" and "worker" in sys.orig_argv:
    threading.Thread(target=print_without_end, daemon=True).start()
"""


def test_what_libraries_print_is_no_message(shell: Any, tmp_path: Path) -> None:
    for folder in ("beside", "in"):
        (tmp_path / folder).mkdir()
    (tmp_path / "beside/sitecustomize.py").write_text(NOISE)
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "in" / name)
    (tmp_path / "in/d.png").write_text("broken")
    options = ["--output", tmp_path / "o", "--engine", "colmap", "--frames", "2:", "--messages", "json"]
    status, output, errors = shell.run("reconstruct", tmp_path / "in", *options, beside=tmp_path / "beside")
    assert "a library talks" in errors
    assert [json.loads(line)["type"] for line in output.splitlines()] == ["progress", "warning", "progress", "error"]
    assert (json.loads(output.splitlines()[-1])["code"], status) == ("too_few", 1)
