"""The shot for other programs, as it stands in the scene: what the backend writes, as it takes its libraries."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ..vggt_blender.exchange.export import Export
from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.exchange.undistorted import FOLDER
from ..vggt_blender.scene.cameras import HEIGHT, SHOT_CAMERA, WIDTH
from ..vggt_blender.scene.collection import Holder
from ..vggt_blender.scene.plate import shows_turned
from . import pump
from .aligning import current_shot
from .backend_setup import setup
from .locations import interpreter, runs_here, seen_interpreter
from .session import session
from .shots import NeedsShot, shot_in_the_scene

FORMATS = (
    ("GLB", "Points and Cameras (.glb)", "The colored points and a camera for each frame, as glTF"),
    ("COLMAP", "COLMAP", "A folder with cameras, lenses and solved points, for what reads COLMAP's models"),
    (
        "UNDISTORTED",
        "Straightened Plates",
        "The plate without the lens's distortion, into the reconstruction's folder; then the shot is updated to it",
    ),
)
ENDINGS = {"GLB": ".glb", "COLMAP": "_colmap"}


class VGGT_OT_export_in_backend(NeedsShot, bpy.types.Operator):
    """Have the backend write the shot for other programs. Blender stays usable meanwhile"""

    bl_idname = "vggt.export_in_backend"
    bl_label = "Export Shot in Backend"
    bl_options = {"REGISTER"}

    filepath: StringProperty(
        name="File",
        description="Where to write it. Straightened plates always go into the reconstruction's folder",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    format: EnumProperty(name="Format", description="What to write", items=FORMATS, options={"SKIP_SAVE"})
    check_existing: BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        text = next(text for name, _, text in FORMATS if name == properties.format)
        return text if properties.format == "UNDISTORTED" else f"{text}. As it stands in the scene"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        problem = None
        if setup.running:
            problem = "The backend is being set up"
        else:
            try:
                seen_interpreter(context)
            except JobError as failure:
                problem = failure.message
        if problem is not None:
            cls.poll_message_set(problem)
        return problem is None

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        if self.filepath or self.format == "UNDISTORTED":
            return self.execute(context)
        base = Path(bpy.data.filepath).parent if bpy.data.filepath else Path.home()
        self.filepath = str(base / f"{bpy.path.clean_name(current_shot(context).name)}{ENDINGS[self.format]}")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def work(self, context: bpy.types.Context, shot: Holder) -> None:
        request = self._request(shot)
        python = None if runs_here(context) else interpreter(context)
        title = f"{shot.name} plates" if self.format == "UNDISTORTED" else Path(request.output).name
        task = session.start(python, request, title, context.scene, "keep")
        pump.watch()
        if bpy.app.background:
            session.wait(task)
            if task.failure is not None:
                raise JobError("export", task.failure.message, task.failure.detail)

    def _request(self, shot: Holder) -> Export:
        """Raises `JobError`."""
        reconstruction, place = shot_in_the_scene(shot)
        rows = tuple(tuple(float(number) for number in row) for row in place.matrix()[:3])
        if self.format == "UNDISTORTED":
            frames = [frame.pose for frame in reconstruction.frames if frame.pose is not None]
            camera = shot.find(SHOT_CAMERA)
            turned = camera is not None and shows_turned(camera, (camera[WIDTH], camera[HEIGHT]))
            if not turned and not any(pose.distortion is not None and any(pose.distortion) for pose in frames):
                raise JobError("nothing", "The lens of this shot is straight already: there is nothing to straighten.")
            path, overwrite = reconstruction.folder.absolute() / FOLDER, True
        else:
            if not self.filepath:
                raise JobError("usage", "Name the file to write.")
            path, overwrite = Path(bpy.path.abspath(self.filepath)), self.format == "GLB"
            if overwrite and path.suffix.lower() != ".glb":
                path = path.with_name(f"{path.name}.glb")
        folder = str(reconstruction.folder.absolute())
        return Export(folder, self.format.lower(), str(path), place=rows, overwrite=overwrite)
