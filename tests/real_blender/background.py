"""The installed add-on in a Blender without a window: every operator callable, a failing solve is an exception.

At its end this Blender kills itself in the middle of a job, and the runner looks whether the backend outlives it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
from driver import EXTENSION, backend_runs, check, part, say

# without a window an operator's report goes to the console
say("EXPECT There is no file or folder")
say("EXPECT Warning: 1 of 5 frames could not be placed")
say("EXPECT Warning: 4 pictures are no longer where they were")

scratch = Path(os.environ["VGGT_CHECK_SCRATCH"])
settings = bpy.context.scene.vggt
preferences = bpy.context.preferences.addons[EXTENSION].preferences
preferences.results_folder = str(scratch / "background")
session = part("operators.session").session

check("everything is registered", {"solve", "cancel", "import_reconstruction"} <= set(dir(bpy.ops.vggt)))

if backend_runs():
    settings.source = str(scratch / "no such folder")
    try:
        bpy.ops.vggt.solve()
        message = ""
    except RuntimeError as failure:
        message = str(failure)
    check("the real backend's error is one line", "no such folder" in message and "Traceback" not in message, message)

preferences.interpreter = os.environ["VGGT_CHECK_SPEAKER"]
settings.source = "/pictures/solve"
check("solve waits for its result", bpy.ops.vggt.solve() == {"FINISHED"} and len(settings.results) == 1)
check("the import is in the scene", any(o.type == "CAMERA" and o.name != "Camera" for o in bpy.context.scene.objects))
bpy.ops.vggt.import_reconstruction(filepath=settings.results[0].folder, placement="new")
check("a new scene is made on request", len(bpy.data.scenes) == 2)

solve = part("operators.solve")
job = solve.Job(("/pictures/hold",), str(scratch / "never"))
session.start(Path(preferences.interpreter), job, "never", bpy.context.scene, "keep")
deadline = time.monotonic() + 120
while session.task.total == 0 and time.monotonic() < deadline:
    session.step(wait_s=0.1)
say(f"LEFT {session.client.pid}")
say("END")
os.kill(os.getpid(), signal.SIGKILL)
