"""A backend for the tests: a real process that speaks the protocol and misbehaves as it is told.

What a job does is its first input: ``solve`` writes a small reconstruction, ``hold`` reports once and then waits to be
cancelled, ``deaf`` never reacts, ``flood`` prints 20000 progress lines, ``noise`` prints what is no message, ``fail``
ends in an error, ``die`` ends the process. Frames to solve again
stay as they are. Run with ``--broken`` it fails before it reads anything.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from vggt_blender.exchange import messages
from vggt_blender.exchange.job import Job
from vggt_blender.exchange.messages import JobError
from vggt_blender.exchange.reconstruction import Frame, Points, Pose, Source
from vggt_blender.exchange.writer import ReconstructionWriter


def say(message: messages.Message) -> None:
    sys.stdout.write(messages.encode(message))
    sys.stdout.flush()


def write_reconstruction(folder: str, pictures: list[str]) -> Path:
    """Five frames of a camera that moves sideways before a wall of 500 points; the fifth is not registered."""
    frames = []
    for index in range(5):
        path = pictures[index] if index < len(pictures) else f"/nowhere/shot.{index + 1:04d}.png"
        pose = Pose(np.hstack([np.eye(3), [[-0.1 * index], [0], [0]]]), 70.0, 70.0, 32.0, 18.0)
        frames.append(
            Frame(
                Path(path).name, path, index, index + 1, 64, 36, pose if index < 4 else None, np.eye(3)[:2] * [2, 2, 1]
            )
        )
    count = 500
    with ReconstructionWriter(folder) as writer:
        writer.open_dense(5, 18, 32)
        writer.depth[:4], writer.confidence[:4] = 4.0, 1.0
        generator = np.random.default_rng(0)
        writer.write_points(
            Points(
                generator.uniform([-2, -1, 4], [2, 1, 4.5], (count, 3)).astype(np.float32),
                generator.integers(0, 255, (count, 3)).astype(np.uint8),
                np.full(count, 0.4, np.float32),
                np.full(count, 4, np.int32),
            )
        )
        return writer.finish(
            engine={"name": "speaker", "model": None, "settings": {}},
            source=Source("sequence", str(Path(frames[0].path).parent), 24.0),
            frames=frames,
        )


def work(job: Job, pending: list[str]) -> None:
    if job.resolve:
        masks = [] if job.mask is None else sorted(path.name for path in Path(job.mask).glob("*.png"))
        say(messages.status(job.id, f"frames {job.frames}, masks {', '.join(masks)}"))
        say(messages.done(job.id, job.output))
        return
    deed = Path(job.inputs[0]).name
    if deed == "die":
        print("about to die", file=sys.stderr, flush=True)
        os._exit(3)
    if deed == "fail":
        raise JobError("no_overlap", "The pictures do not overlap: take more.", "all the\ndetails")
    if deed == "noise":
        print("a library says hello\n{not json}\n[]", flush=True)
        sys.stdout.flush()
    for step in range(20000 if deed == "flood" else 5):
        say(messages.progress(job.id, "features", step, 5, 12.5))
    while deed in ("hold", "deaf"):
        line = sys.stdin.readline()
        if not line:
            if deed == "hold":
                sys.exit()
            time.sleep(60)
        if deed == "hold" and json.loads(line).get("type") == "cancel":
            raise messages.Cancelled
    say(messages.warning(job.id, "1 picture was skipped"))
    say(messages.done(job.id, str(write_reconstruction(job.output, []))))


def main() -> None:
    if "--broken" in sys.argv:
        sys.exit("No module named 'numpy'")
    while line := sys.stdin.readline():
        request = json.loads(line)
        if request.pop("type") != "job":
            continue
        job = Job.from_dict(request)
        try:
            work(job, [])
        except JobError as failure:
            say(messages.error(job.id, failure))


if __name__ == "__main__":
    main()
