"""Jump to a frame of the shot and look through its camera."""

import bpy
from bpy.props import BoolProperty, StringProperty

from ..vggt_blender.scene.collection import Holder
from ..vggt_blender.scene.look import go_to_frame
from ..vggt_blender.scene.quality import FrameQuality, Quality, bad_frames, kept_quality
from .aligning import current_shot, needs_shot


def shot_quality(context: bpy.types.Context) -> tuple[Holder, Quality] | None:
    """The current shot with what is known of its quality."""
    shot = current_shot(context)
    quality = None if shot is None else kept_quality(shot.collection)
    return None if shot is None or quality is None else (shot, quality)


class _LooksAtFrame:
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return needs_shot(cls, shot_quality(context))

    def look(self, context: bpy.types.Context, shot: Holder, frame: FrameQuality) -> None:
        """Go there; a 3D View that this was called from looks through the camera."""
        if not go_to_frame(context.scene, shot, frame.name, frame.frame):
            self.report({"INFO"}, f"{frame.name} was not placed: it has no camera")
        elif context.area is not None and context.area.type == "VIEW_3D":
            context.space_data.region_3d.view_perspective = "CAMERA"


class VGGT_OT_go_to_frame(_LooksAtFrame, bpy.types.Operator):
    """Go to this frame and look through its camera"""

    bl_idname = "vggt.go_to_frame"
    bl_label = "Go to Frame"

    frame_name: StringProperty(name="Name", description="The frame's name in the source")

    def execute(self, context: bpy.types.Context) -> set[str]:
        shot, quality = shot_quality(context)
        frame = next((frame for frame in quality.frames if frame.name == self.frame_name), None)
        if frame is None:
            self.report({"ERROR"}, f"There is no frame '{self.frame_name}' in this shot.")
            return {"CANCELLED"}
        self.look(context, shot, frame)
        return {"FINISHED"}


class VGGT_OT_next_bad_frame(_LooksAtFrame, bpy.types.Operator):
    """Go to the next frame that was not placed, has a high error or few points"""

    bl_idname = "vggt.next_bad_frame"
    bl_label = "Next Bad Frame"

    back: BoolProperty(name="Back", description="Go to the one before instead", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if not bad_frames(shot_quality(context)[1]):
            cls.poll_message_set("No frame of this shot stands out")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        shot, quality = shot_quality(context)
        found = [bad.quality for bad in bad_frames(quality)]
        now = context.scene.frame_current
        if self.back:
            frame = next((bad for bad in reversed(found) if bad.frame < now), found[-1])
        else:
            frame = next((bad for bad in found if bad.frame > now), found[0])
        self.look(context, shot, frame)
        return {"FINISHED"}
