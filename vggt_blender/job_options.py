"""Options that more than one verb turns into a job, and the verb that solves frames again."""

from __future__ import annotations

import argparse
from typing import Any

from .exchange.hand_tracks import HandTracks, load_hand_tracks
from .exchange.job import FrameRange, Job


def add_hand_tracks(verb: Any) -> None:
    verb.add_argument(
        "--hand-tracks", metavar="FILE", help="tracks placed by hand and measured points (docs/refinement.md)"
    )


def hand_tracks_of(options: argparse.Namespace) -> HandTracks:
    """Raises `JobError` where the file cannot be used."""
    return HandTracks() if options.hand_tracks is None else load_hand_tracks(options.hand_tracks)


def add_resolve_options(verb: Any) -> None:
    verb.add_argument("folder", metavar="DIR", help="a reconstruction folder; it changes where the frames get better")
    verb.add_argument("--frames", required=True, metavar="START:STOP:STEP", help="counted as in reconstruct")
    verb.add_argument("--mask", metavar="PATH", help="one picture or a folder of pictures: black is left out")
    add_hand_tracks(verb)
    verb.add_argument("--messages", choices=("text", "json"), default="text", help="json: one object a line")
    verb.add_argument("--verbose", action="store_true", help="show the libraries' own logs and a failure's details")


def job_again(options: argparse.Namespace) -> Job:
    """Some frames of a finished reconstruction once more. Raises `JobError`."""
    from .exchange.reconstruction import load_reconstruction

    return Job(
        inputs=load_reconstruction(options.folder).inputs(),
        output=options.folder,
        frames=FrameRange.parse(options.frames),
        mask=options.mask,
        hand_tracks=hand_tracks_of(options),
        resolve=True,
    )
