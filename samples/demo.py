"""The demo: solve the sample shot, compare it with the truth, build the Blender scene and render a picture of it.

Run by ``make demo``; everything it writes lies in ``demo/``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHOT = ROOT / "samples" / "courtyard"
DEMO = ROOT / "demo"
RESULT = DEMO / "reconstruction"


def main() -> int:
    DEMO.mkdir(exist_ok=True)
    started = time.monotonic()
    say(f"Solving {SHOT.relative_to(ROOT)}")
    command("reconstruct", str(SHOT), "--output", str(RESULT), "--engine", "colmap", "--overwrite")
    say(f"Solved in {time.monotonic() - started:.0f} s. Compared with the true cameras and depth of the rendered shot:")
    command("evaluate", str(RESULT), "--truth", str(SHOT / "truth.json"))
    scene, picture = DEMO / "scene.blend", DEMO / "preview.png"
    say("Building the scene")
    command("blend", str(RESULT), "--output", str(scene), quiet=True)
    say("Rendering the picture")
    draw(scene, picture)
    say(f"Done in {time.monotonic() - started:.0f} s:")
    for what, path in (("reconstruction", RESULT), ("Blender scene", scene), ("picture", picture)):
        print(f"  {what:<15} {path}")
    return 0


def command(*arguments: str, quiet: bool = False) -> None:
    """One verb of the command line, as a user would run it; ends the demo where it fails."""
    result = subprocess.run(
        [sys.executable, "-m", "vggt_blender", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL if quiet else None
    )
    if result.returncode:
        sys.exit(result.returncode)


def draw(scene: Path, picture: Path) -> None:
    sys.path.insert(0, str(ROOT))
    from preview import render_preview

    from vggt_blender.exchange.reconstruction import load_reconstruction

    render_preview(load_reconstruction(RESULT), scene, picture)


def say(line: str) -> None:
    print(f"\n{line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
