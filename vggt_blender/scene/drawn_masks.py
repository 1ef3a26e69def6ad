"""Masks of Blender's mask editor as mask pictures: what their shapes cover is left out of a solve.

Blender itself draws them, in the compositor of a scene that is made for it and removed again: feather, holes, blending
of layers, keyed shapes and points that follow tracks are what the artist sees in the Clip Editor.

The compositor draws a mask as it stands: where it changes, the artist's own scene is taken through the frames, as only
that one's evaluation writes keyed shapes, followed tracks and curves back into the mask, and then put back.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import bpy

from ..exchange.documents import read_json
from ..exchange.messages import JobError
from ..exchange.staging import remove_empty
from .versions import compositor_tree, math_node

MARK, FORMAT = "drawn_mask.json", "vggt-drawn-mask"
"""A file beside the pictures that names them: a folder without it is somebody's own."""

LONGEST_SIDE = 2048  # of a mask picture: a solve draws masks wider by more than such a pixel


def draw_masks(
    mask: bpy.types.Mask,
    clip: bpy.types.MovieClip,
    names: Mapping[int, str],
    folder: Path,
    context_scene: bpy.types.Scene,
) -> Path:
    """Write `mask` as it lies over `clip`, black where its shapes are and white elsewhere, and return what to solve
    with: ``folder`` with a picture ``NAME.png`` for each of `names` (by frame of `context_scene`), or one picture for
    all of them where the mask stays the same.

    Raises `JobError` where it covers nothing or cannot be drawn.
    """
    if not any(layer.splines for layer in mask.layers if not layer.hide_render):
        raise JobError("mask", f"The mask '{mask.name}' has no shapes: draw some in the Clip Editor, or choose none.")
    width, height = clip.size
    if not (width and height):
        raise JobError("mask", f"The clip '{clip.name}' cannot be read: the mask is drawn on it.")
    shrink = min(1.0, LONGEST_SIDE / max(width, height))
    stored = max(1, round(width * shrink)), max(1, round(height * shrink))
    with _drawing_scene(mask, clip, stored) as scene:
        try:
            folder.mkdir(parents=True)
            if not _changes(mask, scene, names):
                _mark(folder, ["mask.png"])
                _draw(scene, folder / "mask.png", stored)
                return folder / "mask.png"
            _mark(folder, [f"{name}.png" for name in names.values()])
            with _kept_frame(context_scene):
                for frame, name in names.items():
                    context_scene.frame_set(frame)
                    _draw(scene, folder / f"{name}.png", stored)
        except (OSError, RuntimeError) as failure:
            with contextlib.suppress(OSError):
                remove_drawn_masks(folder)
            raise JobError("mask", f"The mask '{mask.name}' cannot be drawn: {str(failure).strip()}.") from None
    return folder


def remove_drawn_masks(folder: Path) -> None:
    """Remove what `draw_masks` wrote into `folder`, and the folder where nothing else is in it; any other stays as it
    is. Raises OSError."""
    try:
        document = read_json(folder / MARK)
    except (OSError, ValueError):
        return
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return
    for name in map(str, document.get("files", ())):
        if Path(name).name == name:
            (folder / name).unlink(missing_ok=True)
    (folder / MARK).unlink(missing_ok=True)
    remove_empty([folder])


def _mark(folder: Path, names: Sequence[str]) -> None:
    text = json.dumps({"format": FORMAT, "files": names}, indent=1)
    (folder / MARK).write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _kept_frame(scene: bpy.types.Scene) -> Iterator[None]:
    frame, part = scene.frame_current, scene.frame_subframe
    try:
        yield
    finally:
        scene.frame_set(frame, subframe=part)


def _draw(scene: bpy.types.Scene, path: Path, size: tuple[int, int]) -> None:
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True, scene=scene.name)
    if (scene.render.resolution_x, scene.render.resolution_y) != size:
        picture = bpy.data.images.load(str(path))
        picture.scale(*size)
        picture.save()
        bpy.data.images.remove(picture)


def _changes(mask: bpy.types.Mask, scene: bpy.types.Scene, names: Mapping[int, str]) -> bool:
    """Whether the mask may look different on different frames. Keyed shapes show in its points; what follows a track
    or is animated otherwise is taken to change."""
    points = [point for layer in mask.layers for spline in layer.splines for point in spline.points]
    if mask.animation_data is not None or any(point.parent.id is not None for point in points):
        return True
    seen = set()
    for frame in names:
        scene.frame_set(frame)
        seen.add(_shape(mask.evaluated_get(scene.view_layers[0].depsgraph)))
        if len(seen) > 1:
            return True
    return False


def _shape(mask: bpy.types.Mask) -> tuple[float, ...]:
    return tuple(
        value
        for layer in mask.layers
        for spline in layer.splines
        for point in spline.points
        for where in (point.co, point.handle_left, point.handle_right, (point.weight,))
        for value in where
    )


@contextlib.contextmanager
def _drawing_scene(mask: bpy.types.Mask, clip: bpy.types.MovieClip, stored: tuple[int, int]) -> Iterator[Any]:
    """A scene that renders nothing but the mask, in the shape in which the Clip Editor shows the clip."""
    before = {kind: set(getattr(bpy.data, kind)) for kind in ("node_groups", "images", "cameras", "objects")}
    scene = bpy.data.scenes.new("VGGT mask")
    try:
        scene.camera = bpy.data.objects.new("VGGT mask", bpy.data.cameras.new("VGGT mask"))
        scene.collection.objects.link(scene.camera)
        _set_up(scene, clip, stored)
        _connect(scene, mask)
        yield scene
    finally:
        bpy.data.scenes.remove(scene)
        made = [thing for kind, known in before.items() for thing in set(getattr(bpy.data, kind)) - known]
        bpy.data.batch_remove(made)


def _set_up(scene: Any, clip: bpy.types.MovieClip, stored: tuple[int, int]) -> None:
    render = scene.render
    aspect = clip.tracking.camera.pixel_aspect * clip.display_aspect[0] / clip.display_aspect[1]
    render.resolution_x, render.resolution_y = stored[0], max(1, round(stored[1] / aspect))
    render.resolution_percentage = 100
    render.use_sequencer = False
    render.compositor_device = "CPU"  # a machine without a display may have no other; Blender 5.2 dies looking for it
    with contextlib.suppress(TypeError):  # a studio's own color configuration; black and white stay what they are
        scene.view_settings.view_transform = "Raw"
    picture = render.image_settings
    picture.file_format, picture.color_mode, picture.color_depth = "PNG", "BW", "8"


def _connect(scene: bpy.types.Scene, mask: bpy.types.Mask) -> None:
    tree, output = compositor_tree(scene, "VGGT mask")
    shapes = tree.nodes.new("CompositorNodeMask")
    shapes.mask = mask
    free = math_node(tree, "LESS_THAN")
    free.inputs[1].default_value = 0.5
    tree.links.new(shapes.outputs[0], free.inputs[0])
    tree.links.new(free.outputs[0], output)
