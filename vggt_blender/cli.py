"""The verbs of ``python -m vggt_blender``. Each imports what it needs when it is called.

Exit status: 0 done, 1 failed (one line on standard error says what and what to do), 2 wrong usage, 130 cancelled.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .exchange.job import DEVICES, ENGINES, SOURCE_KINDS, FrameRange, Job
from .exchange.messages import CANCELLED, JobError, Message, Reporter
from .exchange.requests import Request
from .job_options import add_hand_tracks, add_known, add_resolve_options, hand_tracks_of, job_again, known_of

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
SMOOTH_PX = 0.1

Arguments = argparse.Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except JobError as failure:
        print(f"Error: {failure.message}", file=sys.stderr)
        return exit_status(failure.code)
    except ImportError as failure:
        print(f"Error: '{options.verb}' needs {failure.name}, which this Python does not have.", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return INTERRUPTED


def exit_status(code: str) -> int:
    """The exit status for a `JobError`'s code."""
    return {"usage": USAGE, CANCELLED: INTERRUPTED}.get(code, FAILED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vggt_blender", description="Photos and footage into a Blender scene: cameras, points and depth."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_reconstruct(verbs)
    again = partial(_solve, job=job_again)
    add_resolve_options(_add(verbs, "resolve", again, "solve some frames of a result again, the others held"))
    _add(verbs, "serve", _serve, "take jobs as JSON lines on standard input (docs/protocol.md)")
    _add_models(verbs)
    _add_blend(verbs)
    _add_evaluate(verbs)
    _add_export(verbs)
    train = _add(verbs, "train", _train, "train or fine-tune a model")
    train.add_argument("config", metavar="CONFIG")
    doctor = _add(verbs, "doctor", _doctor, "what would run on this machine, and why not")
    doctor.add_argument("--json", action="store_true", help="for machines")
    verbs.add_parser("worker").set_defaults(run=_worker)  # for the supervisor alone: no help, so not listed
    return parser


def _add(verbs: Any, name: str, run: Callable[[Arguments], int], text: str) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text.capitalize() + ".")
    verb.set_defaults(run=run)
    return verb


def _add_reconstruct(verbs: Any) -> None:
    verb = _add(verbs, "reconstruct", partial(_solve, job=_job), "solve cameras, depth and points of photos or footage")
    verb.add_argument("inputs", nargs="+", metavar="INPUT", help="image files, one folder, or one video")
    verb.add_argument("--output", required=True, metavar="DIR", help="the folder for the result")
    verb.add_argument("--as", dest="kind", choices=SOURCE_KINDS, default="auto", help="what the input is")
    verb.add_argument("--engine", choices=ENGINES, default="auto", help="auto: vggt with weights here, else colmap")
    verb.add_argument("--model", metavar="NAME_OR_PATH", help="a model of 'models', or a checkpoint file")
    verb.add_argument("--device", choices=DEVICES, default="auto")
    verb.add_argument(
        "--frames",
        default="::",
        metavar="START:STOP:STEP",
        help="half-open, counted from 0; a sequence counts the plate's own numbers",
    )
    verb.add_argument("--mask", metavar="PATH", help="one picture or a folder of pictures: black is left out")
    verb.add_argument(
        "--refine",
        action="store_true",
        help="bundle-adjust the result to sub-pixel (engine auto: only a network's, COLMAP does so itself)",
    )
    verb.add_argument("--smooth", action="store_true", help="smooth the camera path as far as the pictures allow")
    verb.add_argument("--smooth-budget", type=float, metavar="PX", help=f"a frame may slip by so much ({SMOOTH_PX})")
    add_known(verb.add_argument_group("what you know of the shot"))
    add_hand_tracks(verb)
    verb.add_argument("--tracks", type=int, default=0, metavar="N", help="vggt: follow N points of the first frame")
    verb.add_argument("--point-head", action="store_true", help="vggt: also write the network's own points")
    verb.add_argument("--overwrite", action="store_true", help="replace a result that DIR already holds")
    verb.add_argument("--messages", choices=("text", "json"), default="text", help="json: one object a line")
    verb.add_argument("--verbose", action="store_true", help="show the libraries' own logs and a failure's details")


def _add_models(verbs: Any) -> None:
    verb = _add(verbs, "models", _models, "list the models that can be had, download one, or convert a file")
    verb.add_argument("action", nargs="?", choices=("list", "download", "convert"), default="list")
    verb.add_argument("name", nargs="?", metavar="NAME", help="a model of the list; for convert a .pt file")
    verb.add_argument("--json", action="store_true", help="for machines")
    verb.add_argument("--messages", choices=("text", "json"), default="text", help="download: json: one object a line")
    verb.add_argument("--end-with-input", action="store_true", help="download: stop when standard input ends")


def _add_blend(verbs: Any) -> None:
    verb = _add(verbs, "blend", _blend, "build the Blender scene of a reconstruction")
    verb.add_argument("folder", metavar="DIR", help="a reconstruction folder")
    verb.add_argument("--output", required=True, metavar="FILE.blend")


def _add_evaluate(verbs: Any) -> None:
    verb = _add(verbs, "evaluate", _evaluate, "compare a reconstruction with known cameras and depth")
    verb.add_argument("folder", metavar="DIR", help="a reconstruction folder")
    verb.add_argument("--truth", required=True, metavar="truth.json")
    verb.add_argument("--json", action="store_true", help="for machines")


def _add_export(verbs: Any) -> None:
    from .delivery.formats import FORMATS

    verb = _add(verbs, "export", _export, "write a reconstruction for other programs")
    verb.add_argument("folder", metavar="DIR", help="a reconstruction folder")
    verb.add_argument("--to", required=True, choices=sorted(FORMATS), metavar="FORMAT", help=", ".join(sorted(FORMATS)))
    verb.add_argument("--output", required=True, metavar="PATH", help="a file; a folder for colmap, stmap, undistorted")
    verb.add_argument("--overwrite", action="store_true", help="replace what PATH already holds")


def _solve(options: Arguments, job: Callable[[Arguments], Job]) -> int:
    from .backend import serve
    from .backend.console import ConsoleView
    from .backend.supervisor import Supervisor

    as_json = options.messages == "json"
    view = ConsoleView(sys.stderr)
    show = serve.print_message if as_json else view.show
    last: list[Message] = []

    def deliver(message: Message) -> None:
        if message["job"]:  # what answers a line of standard input that is no request has none
            last[:] = [message]
        show(message)

    supervisor = Supervisor(deliver, serve.print_log if as_json or options.verbose else None)
    serve.stop_on_signals(supervisor)
    try:
        supervisor.submit(serve.absolute(job(options)))
    except JobError as failure:
        supervisor.refuse("job", failure)
        return exit_status(failure.code)
    if as_json and not sys.stdin.isatty():
        serve.listen(supervisor, only_cancel=True)
    supervisor.end()
    supervisor.run()
    view.close()
    return _conclude(last[0], as_json, options.verbose)


def _job(options: Arguments) -> Job:
    return Job(
        inputs=tuple(options.inputs),
        output=options.output,
        kind=options.kind,
        engine=options.engine,
        model=options.model,
        device=options.device,
        frames=FrameRange.parse(options.frames),
        mask=options.mask,
        refine=options.refine,
        smooth=_smooth_px(options),
        tracks=max(0, options.tracks),
        point_head=options.point_head,
        overwrite=options.overwrite,
        known=known_of(options),
        hand_tracks=hand_tracks_of(options),
    )


def _smooth_px(options: Arguments) -> float:
    if options.smooth_budget is not None and not options.smooth:
        raise JobError("usage", "--smooth-budget says how much --smooth may change: give both, or neither.")
    budget: float = SMOOTH_PX if options.smooth_budget is None else options.smooth_budget
    return budget if options.smooth else 0.0


def _conclude(message: Message, as_json: bool, verbose: bool) -> int:
    if message["type"] == "error":
        if verbose and message["detail"] and not as_json:
            print(message["detail"], file=sys.stderr)
        return exit_status(message["code"])
    if not as_json:
        document = json.loads((Path(message["path"]) / "reconstruction.json").read_text(encoding="utf-8"))
        placed = sum(1 for frame in document["frames"] if frame["registered"])
        print(f"{placed} of {len(document['frames'])} frames placed: {message['path']}")
    return DONE


def run_here(request: Request, report: Reporter) -> Path:
    """Run `request` in this process and return what it made. Raises `JobError`."""
    from .backend.serve import absolute
    from .engines.worker import run_request

    return run_request(absolute(request), report)


def unload_here() -> None:
    """Free the models that `run_here` keeps between jobs."""
    from .engines.run import unload_models

    unload_models()


def _serve(_: Arguments) -> int:
    from .backend import serve

    return DONE if serve.serve() else INTERRUPTED


def _worker(_: Arguments) -> int:
    from .engines import worker

    worker.main()
    return DONE


def _in_words(size: int) -> str:
    """Bytes as people say them."""
    return f"{size / 1e9:.1f} GB" if size > 1e9 else f"{size / 1e6:.0f} MB"


def _models(options: Arguments) -> int:
    from .inference import catalog

    if options.action == "download":
        return _download(options)
    if options.action == "convert":
        return _convert(options)
    rows = catalog.describe()
    if options.json:
        print(json.dumps(rows, indent=1))
        return DONE
    for row in rows:
        print(f"{row['name']}  ({_in_words(row['size'])})")
        print(f"    licence   {row['licence']}")
        print(f"    page      {row['page']}{'  (gated: needs your own access token)' if row['gated'] else ''}")
        here = row["path"] or f"not on this machine; 'models download {row['name']}' puts it into {row['folder']}"
        print(f"    {'here      ' if row['path'] else ''}{here}")
    return DONE


def _download(options: Arguments) -> int:
    from .backend import serve
    from .backend.console import ConsoleView
    from .backend.parent import end_with_input
    from .exchange import messages
    from .exchange.reporter import JobReporter
    from .inference import catalog

    if options.name is None:
        raise JobError("usage", f"Name the model to download: {', '.join(catalog.CATALOG)}.")
    if options.name in catalog.CATALOG:
        entry = catalog.CATALOG[options.name]
        print(f"{entry.name}, {_in_words(entry.size)}. {entry.licence}. See {entry.page}", file=sys.stderr)
    as_json = options.messages == "json"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.end_with_input:
        end_with_input()
    view = ConsoleView(sys.stderr)
    show = serve.print_message if as_json else view.show
    try:
        path = catalog.download(options.name, JobReporter("download", show, lambda: False))
    except (JobError, KeyboardInterrupt) as failure:
        if not as_json:
            raise
        ended = failure if isinstance(failure, JobError) else messages.Cancelled()
        show(messages.error("download", ended))
        return exit_status(ended.code)
    finally:
        view.close()
    if as_json:
        show(messages.done("download", str(path)))
    else:
        print(path)
    return DONE


def _convert(options: Arguments) -> int:
    if options.name is None or Path(options.name).suffix != ".pt":
        raise JobError("usage", "Name the .pt file to convert: 'models convert model.pt' writes model.safetensors.")
    if find_spec("torch") is None:
        raise JobError("no_engine", "Converting needs torch here: run pip install '.[vggt]' in the extension's folder.")
    from .inference.checkpoints import convert

    source = Path(options.name)
    target = source.with_suffix(".safetensors")
    if not source.is_file():
        raise JobError("not_found", f"There is no file '{source}'.")
    if target.exists():
        raise JobError("exists", f"'{target}' is already there: move it away first.")
    convert(source, target)
    print(target)
    return DONE


def _blend(options: Arguments) -> int:
    from .exchange.reconstruction import load_reconstruction

    reconstruction = load_reconstruction(options.folder)
    try:
        import bpy
    except ImportError as failure:
        raise JobError(
            "no_blender",
            f"'blend' needs Blender as a Python module ({failure}): pip install bpy, or import with the add-on.",
        ) from None
    from .scene.build import build_scene

    output = Path(options.output).absolute()
    if not output.parent.is_dir():
        raise JobError("output", f"There is no folder '{output.parent}': make it first.")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.preferences.filepaths.save_version = 0  # saved twice below: no backup of the first time
    for warning in build_scene(reconstruction).warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(output))
        bpy.ops.file.make_paths_relative()  # to the saved file, so that both can move together
        bpy.ops.wm.save_mainfile()
    except RuntimeError as failure:
        raise JobError("output", f"Cannot write '{output}': {str(failure).strip()}.") from None
    print(output)
    return DONE


def _evaluate(options: Arguments) -> int:
    from .evaluation import evaluate_folder

    report = evaluate_folder(options.folder, options.truth)
    print(json.dumps(report.to_dict(), indent=1) if options.json else report.table())
    return DONE


def _export(options: Arguments) -> int:
    from .backend.console import ConsoleView
    from .delivery.formats import export
    from .exchange.reconstruction import load_reconstruction
    from .exchange.reporter import JobReporter

    reconstruction = load_reconstruction(options.folder)
    view = ConsoleView(sys.stderr)
    report = JobReporter("export", view.show, lambda: False)
    try:
        path = export(reconstruction, options.to, Path(options.output), overwrite=options.overwrite, report=report)
    finally:
        view.close()
    print(path)
    return DONE


def _train(options: Arguments) -> int:
    if find_spec("torch") is None:
        raise JobError("no_engine", "Training needs torch: run pip install '.[vggt]' in the extension's folder.")
    from .training import train

    train(Path(options.config))
    return DONE


def _doctor(options: Arguments) -> int:
    from .doctor import examine, readable

    report = examine()
    print(json.dumps(report, indent=1) if options.json else readable(report))
    return DONE
