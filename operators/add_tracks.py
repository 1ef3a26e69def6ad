"""The shot's tracks: in the scene, or in the clip for Blender's own solver."""

import bpy
from bpy.props import EnumProperty, IntProperty

from ..vggt_blender.exchange.messages import JobError
from ..vggt_blender.exchange.undistorted import with_straight_plates
from ..vggt_blender.scene.alignment import ROOT
from ..vggt_blender.scene.clip import build_clip
from ..vggt_blender.scene.collection import KIND, Holder
from ..vggt_blender.scene.timeline import Timeline
from ..vggt_blender.scene.track_objects import build_track_empties, build_track_points, write_markers
from ..vggt_blender.scene.tracks import on_straight_plates, shot_tracks
from .make_clip import show_clip
from .shots import NeedsShot, shot_reconstruction, shot_size


class VGGT_OT_add_tracks(NeedsShot, bpy.types.Operator):
    """Bring in the points that were followed through the shot"""

    bl_idname = "vggt.add_tracks"
    bl_label = "Add Tracks"

    kind: EnumProperty(
        name="As",
        description="What the tracks become",
        items=(
            ("POINTS", "Points", "One object: every track is a point that shows while it is seen"),
            ("EMPTIES", "Empties", "An empty for each track, to parent and to constrain to"),
            ("MARKERS", "Clip Markers", "Sub-pixel markers in the movie clip: Blender's own solver can take over"),
        ),
    )
    count: IntProperty(
        name="Tracks",
        description="At most so many, long ones first and spread over the picture",
        default=100,
        min=8,
        max=5000,
    )

    def work(self, context: bpy.types.Context, shot: Holder) -> None:
        if self.kind == "MARKERS" and shot.collection.get(KIND) == "images":
            raise JobError("stills", "Separate photos are no clip: markers need a video or an image sequence.")
        reconstruction = shot_reconstruction(shot)
        timeline = Timeline.of(reconstruction)
        tracks = shot_tracks(reconstruction, self.count)
        if tracks.visible.shape[1] == 0:
            raise JobError("nothing", "This reconstruction has neither tracks nor solved points.")
        root = shot.find(ROOT)
        if self.kind == "POINTS":
            build_track_points(shot, root, tracks, timeline, shot_size(shot))
        elif self.kind == "EMPTIES":
            build_track_empties(shot, root, tracks, shot_size(shot))
        else:
            plates = with_straight_plates(reconstruction)
            if plates is not reconstruction:
                tracks = on_straight_plates(tracks, reconstruction, plates)
            clip = build_clip(shot, plates, Timeline.of(plates), context.scene)
            write_markers(clip, tracks, plates, Timeline.of(plates))
            show_clip(context, clip)
        self.report({"INFO"}, f"{tracks.visible.shape[1]} tracks")
