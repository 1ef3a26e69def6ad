"""What is known of a shot, as options of the command line, and the verb that solves frames again."""

from __future__ import annotations

import argparse
from typing import Any

from .exchange.hand_tracks import HandTracks, load_hand_tracks
from .exchange.job import FrameRange, Job
from .exchange.known import Distance, Known
from .exchange.messages import JobError


def add_known(group: Any) -> None:
    group.add_argument("--focal-px", type=float, metavar="PX", help="the focal length in pixels of the source")
    group.add_argument("--focal-mm", type=float, metavar="MM", help="the focal length in mm, with --sensor-mm")
    group.add_argument("--sensor-mm", type=float, metavar="MM", help="the sensor along the picture's longer side")
    group.add_argument("--fov", type=float, metavar="DEGREES", help="the field of view across the picture's width")
    group.add_argument("--focal-as-start", action="store_true", help="the focal length is a guess: solve for it")
    group.add_argument(
        "--distortion", type=float, nargs="+", metavar="K", help="K1 K2 [P1 P2 [K3]] of a lens grid, as OpenCV has them"
    )
    group.add_argument("--pixel-aspect", type=float, metavar="X", help="a pixel's width / height: 2 for 2:1 anamorphic")
    group.add_argument("--locked-off", action="store_true", help="the camera turns on the spot")
    group.add_argument("--zoom", action="store_true", help="the lens zooms: one focal length a frame")
    group.add_argument(
        "--distance",
        nargs=3,
        metavar=("FRAME", "FRAME", "METRES"),
        help="between the cameras of two frames, by number (as in --frames) or file name: the scene is in metres then",
    )


def known_of(options: argparse.Namespace) -> Known:
    distance = None
    if options.distance is not None:
        first, second, meters = options.distance
        try:
            distance = Distance(first, second, float(meters))
        except ValueError:
            raise JobError("usage", f"--distance is FRAME FRAME METRES; '{meters}' is no number.") from None
    return Known(
        focal_px=options.focal_px,
        focal_mm=options.focal_mm,
        sensor_mm=options.sensor_mm,
        fov=options.fov,
        focal_is_start=options.focal_as_start,
        distortion=None if options.distortion is None else tuple(options.distortion),
        locked_off=options.locked_off,
        zooms=options.zoom,
        distance=distance,
        pixel_aspect=options.pixel_aspect,
    )


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
    verb.add_argument("--mask", metavar="PATH", help="as in reconstruct; without it the mask of the first solve")
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
