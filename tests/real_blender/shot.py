"""The tools of a solved shot in a Blender window: drawn, clicked, and what only a window shows about them."""

from __future__ import annotations

import os
from pathlib import Path

import bpy
from driver import Steps, check, click, picture, place, say

SCRATCH = Path(os.environ["VGGT_CHECK_SCRATCH"])


def shot_tools() -> Steps:
    """On the shot that is in the scene."""
    scene = bpy.context.window_manager.windows[0].scene
    yield from filtered(scene)
    click(bpy.ops.vggt.go_to_frame, frame_name=_a_frame(scene))
    check("a frame's button looks through its camera", _view() == "CAMERA", _view())
    yield from picture("go-to-frame")
    click(bpy.ops.vggt.add_moving_plane)
    scene.frame_set(scene.frame_end)
    yield from picture("moving-plane")
    check("the moving plane has a surface", _faces(_role("moving plane")) > 1000, _faces(_role("moving plane")))
    for kind in ("POINTS", "EMPTIES", "MARKERS"):
        click(bpy.ops.vggt.add_tracks, kind=kind, count=60)
    yield from picture("tracks")
    yield from solved_by_blender(scene)
    click(bpy.ops.vggt.set_up_compositing)
    check("the shot is set up for compositing", scene.render.film_transparent)
    for kind, name in (("CHAN", "shot.chan"), ("PLY", "shot.ply"), ("STMAP", "lens")):
        with bpy.context.temp_override(**place()):
            bpy.ops.vggt.export(filepath=str(SCRATCH / name), format=kind)
        check(f"{kind} is written", (SCRATCH / name).exists())
    handlers = [name for name in dir(bpy.types) if name.startswith("VGGT_FH_")]
    check("files can be dropped", len(handlers) == 2, handlers)
    yield from picture("shot-tools")


def filtered(scene: bpy.types.Scene) -> Steps:
    """The filters act through drivers, whose paths differ between versions."""
    cloud, root = _role("cloud"), _role("root")
    before = _points(cloud)
    root["Confidence"] = 0.5
    root.update_tag()
    yield from picture("filtered")
    after = _points(cloud)
    check("the confidence filter hides its share", 0 < after < 0.7 * before, (before, after))
    click(bpy.ops.vggt.reset_filters)
    yield 0.2
    check("reset shows it again", _points(cloud) == before, (before, _points(cloud)))


def solved_by_blender(scene: bpy.types.Scene) -> Steps:
    """Blender's own solver takes the markers and the lens over."""
    (clip,) = bpy.data.movieclips
    area = place()["area"]
    area.type = "CLIP_EDITOR"
    yield 0.5
    area.spaces.active.clip = clip
    yield 0.5
    tracking = clip.tracking.objects[0]
    tracking.keyframe_a, tracking.keyframe_b = 1, scene.frame_end - scene.frame_start + 1
    say("EXPECT Average re-projection error")  # what Blender reports of a solve that went well
    with bpy.context.temp_override(**place("CLIP_EDITOR", "WINDOW")):
        bpy.ops.clip.solve_camera()
    yield from picture("clip")
    error = tracking.reconstruction.average_error
    check("Blender's solver agrees with the markers", tracking.reconstruction.is_valid and error < 0.5, error)
    area.type = "VIEW_3D"
    yield 0.5


def _role(name: str) -> bpy.types.Object:
    return next(thing for thing in bpy.data.objects if thing.get("vggt_role") == name)


def _a_frame(scene: bpy.types.Scene) -> str:
    collection = next(child for child in scene.collection.children_recursive if "vggt_frames" in child)
    return str(collection["vggt_frames"]).split("\n")[2]


def _view() -> str:
    return str(place()["area"].spaces.active.region_3d.view_perspective)


def _points(cloud: bpy.types.Object) -> int:
    """How many points the cloud really draws."""
    for instance in bpy.context.evaluated_depsgraph_get().object_instances:
        if instance.object.original == cloud and instance.object.type == "POINTCLOUD":
            return len(instance.object.data.attributes["position"].data)
    return 0


def _faces(thing: bpy.types.Object) -> int:
    return len(thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.polygons)
