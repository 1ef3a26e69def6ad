"""What the backend writes of the shot in the scene, read back: it stands where the scene has it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pycolmap = pytest.importorskip("pycolmap")
Image = pytest.importorskip("PIL.Image")

SIZE = (64, 36)
BARREL = [-0.25, 0.04, 0.0, 0.0, 0.0]


@pytest.fixture
def shot(bpy: ModuleType, addon: ModuleType, tmp_path: Path) -> SimpleNamespace:
    """An imported shot through a barrel lens, moved, turned and scaled by the artist; the real backend."""
    spec = importlib.util.spec_from_file_location("speaker", Path(__file__).with_name("speaker.py"))
    speaker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speaker)
    plates = []
    for number in range(1, 6):
        plates.append(tmp_path / f"plate.{number:04d}.png")
        gradient = np.tile(np.linspace(0, 255, SIZE[0], dtype=np.uint8)[None, :, None], (SIZE[1], 1, 3))
        Image.fromarray(gradient).save(plates[-1])
    folder = speaker.write_reconstruction(str(tmp_path / "shot"), [str(plate) for plate in plates])
    document = json.loads((folder / "reconstruction.json").read_text())
    for frame in document["frames"][:4]:
        frame["distortion"] = BARREL
    (folder / "reconstruction.json").write_text(json.dumps(document))
    bpy.context.preferences.addons["vggt_matchmove"].preferences.interpreter = sys.executable
    bpy.ops.vggt.import_reconstruction(filepath=str(folder))
    root = role(bpy, "root")
    root.location, root.rotation_euler, root.scale = (2, -1, 0.5), (0.1, 0.05, 0.8), (2.5, 2.5, 2.5)
    bpy.context.view_layer.update()
    return SimpleNamespace(root=root, camera=role(bpy, "camera"), folder=folder)


def role(bpy: ModuleType, name: str) -> object:
    return next(thing for thing in bpy.data.objects if thing.get("vggt_role") == name)


def house(name: str) -> ModuleType:
    return importlib.import_module(f"vggt_matchmove.vggt_blender.{name}")


def sparse_points(bpy: ModuleType) -> np.ndarray:
    """The solved points where the scene has them: (P, 3) in the world."""
    cloud = role(bpy, "sparse cloud")
    flat = np.empty(3 * len(cloud.data.vertices), np.float32)
    cloud.data.vertices.foreach_get("co", flat)
    matrix = np.array(cloud.matrix_world)
    return flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


def view(bpy: ModuleType, camera: object, world: np.ndarray) -> np.ndarray:
    """Where Blender sees world points (N, 3) at the current frame: (N, 2) in 0..1, from the lower left."""
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    return np.array([world_to_camera_view(bpy.context.scene, camera, Vector(place)) for place in world])[:, :2]


def test_glb_comes_back_to_where_the_scene_has_it(bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path) -> None:
    assert bpy.ops.vggt.export_in_backend(filepath=str(tmp_path / "shot"), format="GLB") == {"FINISHED"}
    before = set(bpy.data.objects)
    bpy.ops.import_scene.gltf(filepath=str(tmp_path / "shot.glb"))
    new = set(bpy.data.objects) - before
    world = sparse_points(bpy)[:40]
    for frame in (1, 4):
        bpy.context.scene.frame_set(frame)
        (camera,) = [thing for thing in new if thing.type == "CAMERA" and f".{frame:04d}." in thing.name]
        np.testing.assert_allclose(view(bpy, camera, world), view(bpy, shot.camera, world), atol=1e-4)
    (cloud,) = [thing for thing in new if thing.type == "MESH"]
    depth = [
        -(shot.camera.matrix_world.normalized().inverted() @ (cloud.matrix_world @ vertex.co)).z
        for vertex in list(cloud.data.vertices)[::50]
    ]
    np.testing.assert_allclose(depth, 2.5 * 4, rtol=1e-3)  # the wall stands 4 of the solve's units away


def test_colmap_sees_the_scenes_points_at_the_same_pixels(
    bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path
) -> None:
    assert bpy.ops.vggt.export_in_backend(filepath=str(tmp_path / "model"), format="COLMAP") == {"FINISHED"}
    model = pycolmap.Reconstruction(tmp_path / "model")
    world = sparse_points(bpy)
    solved = np.array([model.points3D[identity].xyz for identity in sorted(model.points3D)])
    np.testing.assert_allclose(house("geometry.blender_axes").points_to_blender(solved), world, atol=1e-4)
    distort = house("geometry.cameras").distort
    images = {image.name: image for image in model.images.values()}
    for frame in (1, 4):
        bpy.context.scene.frame_set(frame)
        rays = (view(bpy, shot.camera, world[:40]) - 0.5) * [SIZE[0], -SIZE[1]] / 70.0
        wanted = distort(rays, tuple(BARREL)) * 70.0 + [32.0, 18.0]
        image = images[f"plate.{frame:04d}.png"]
        np.testing.assert_allclose([image.project_point(point) for point in solved[:40]], wanted, atol=0.01)


def test_straightened_plates_bring_camera_plate_and_scene_along(bpy: ModuleType, shot: SimpleNamespace) -> None:
    scene, camera = bpy.context.scene, shot.camera
    scene.render.fps = 50  # the artist's own, which is not for an update to change
    matrix = shot.root.matrix_world.copy()
    world = sparse_points(bpy)[:40]
    assert bpy.ops.vggt.export_in_backend(format="UNDISTORTED") == {"FINISHED"}
    assert len(list((shot.folder / "undistorted").glob("*.png"))) == 5
    assert role(bpy, "camera") == camera
    assert (shot.root.matrix_world, scene.render.fps) == (matrix, 50)
    assert len([child for child in scene.collection.children_recursive if "vggt_id" in child]) == 1
    plates = house("exchange.undistorted").with_straight_plates(
        house("exchange.reconstruction").load_reconstruction(shot.folder)
    )
    frame = plates.frames[3]
    assert (frame.width, frame.height) > SIZE
    assert (scene.render.resolution_x, scene.render.resolution_y) == (frame.width, frame.height)
    background = camera.data.background_images[0].image
    assert Path(bpy.path.abspath(background.filepath)).parent == shot.folder / "undistorted"
    scene.frame_set(4)
    pose = frame.pose
    lens = house("geometry.cameras").Lens(pose.fx, pose.fy, pose.cx, pose.cy)
    inverse = np.linalg.inv(np.array(matrix))
    local = house("geometry.blender_axes").points_from_blender(world @ inverse[:3, :3].T + inverse[:3, 3])
    wanted, _ = house("geometry.cameras").project(local, pose.camera_from_world, lens)
    seen = view(bpy, camera, world) * [frame.width, -frame.height] + [0, frame.height]
    np.testing.assert_allclose(seen, wanted, atol=0.01)


def test_clip_and_compositing_that_are_there_follow_the_straightened_plates(
    bpy: ModuleType, shot: SimpleNamespace
) -> None:
    assert bpy.ops.vggt.set_up_compositing() == {"FINISHED"}
    scene, (clip,) = bpy.context.scene, bpy.data.movieclips
    wider = role(bpy, "render camera")
    assert scene.camera == wider
    bpy.context.view_layer.update()
    assert wider.data.lens < shot.camera.data.lens
    assert wider.matrix_world == shot.camera.matrix_world
    assert bpy.ops.vggt.export_in_backend(format="UNDISTORTED") == {"FINISHED"}
    assert scene.camera == shot.camera
    assert "render camera" not in {thing.get("vggt_role") for thing in bpy.data.objects}
    assert Path(bpy.path.abspath(clip.filepath)).parent.name == "undistorted"
    assert tuple(clip.size) == (scene.render.resolution_x, scene.render.resolution_y)
    assert clip.tracking.camera.brown_k1 == 0


def test_a_scene_of_another_size_keeps_it(bpy: ModuleType, shot: SimpleNamespace) -> None:
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y = 1000, 500
    assert bpy.ops.vggt.export_in_backend(format="UNDISTORTED") == {"FINISHED"}
    assert (render.resolution_x, render.resolution_y) == (1000, 500)


def test_what_cannot_be_written_is_one_line(bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Name the file"):
        bpy.ops.vggt.export_in_backend(format="GLB")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    with pytest.raises(RuntimeError, match="already there"):
        bpy.ops.vggt.export_in_backend(format="COLMAP", filepath=str(tmp_path / "full"))
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    (tmp_path / "plate.0002.png").unlink()
    with pytest.raises(RuntimeError, match="still where it was solved from"):
        bpy.ops.vggt.export_in_backend(format="UNDISTORTED")
    assert not (shot.folder / "undistorted").exists()
    document = json.loads((shot.folder / "reconstruction.json").read_text())
    for frame in document["frames"]:
        frame["distortion"] = None
    (shot.folder / "reconstruction.json").write_text(json.dumps(document))
    with pytest.raises(RuntimeError, match="straight already"):
        bpy.ops.vggt.export_in_backend(format="UNDISTORTED")


def test_without_a_backend_the_button_says_so(bpy: ModuleType, shot: SimpleNamespace, tmp_path: Path) -> None:
    chosen = bpy.context.preferences.addons["vggt_matchmove"].preferences
    chosen.interpreter = str(tmp_path / "nothing")
    assert not bpy.ops.vggt.export_in_backend.poll()
