"""Engine `vggt` end to end with a small random network: its folder against the network called directly."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from vggt_blender.engines import run_job, vggt  # noqa: E402
from vggt_blender.exchange.job import Job  # noqa: E402
from vggt_blender.exchange.known import Known  # noqa: E402
from vggt_blender.exchange.messages import JobError  # noqa: E402
from vggt_blender.exchange.reconstruction import load_reconstruction  # noqa: E402
from vggt_blender.inference import memory  # noqa: E402
from vggt_blender.inference.checkpoints import load_model, save  # noqa: E402
from vggt_blender.inference.devices import Device, choose_device  # noqa: E402
from vggt_blender.inference.predictor import Predictor  # noqa: E402
from vggt_blender.inference.preprocessing import prepare  # noqa: E402
from vggt_blender.model import VGGT, VGGTConfig, decode_pose  # noqa: E402
from vggt_blender.model.vggt import with_middle_first  # noqa: E402

ROOT = Path(__file__).parents[2]

SMALL = {
    "aggregator": {"embed_dim": 32, "depth": 4, "num_heads": 2, "patch_embed": "conv"},
    "camera_head": {"trunk_depth": 1, "num_heads": 2},
    "dpt": {"features": 16, "out_channels": [8, 8, 16, 16], "layers": [0, 1, 2, 3]},
    "track_head": {
        "out_channels": [8, 8, 16, 16],
        "layers": [0, 1, 2, 3],
        "latent_dim": 16,
        "hidden_size": 32,
        "depth": 1,
        "num_heads": 2,
        "corr_levels": 3,
        "corr_radius": 2,
        "iters": 2,
    },
}


class Silent:
    """Keeps what a job reports."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.lines: list[str] = []

    def progress(self, stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        self.stages.append(stage)

    def status(self, message: str) -> None:
        self.lines.append(message)

    warning = status


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    config = VGGTConfig.from_dict(SMALL)
    model = VGGT(config)
    state = model.state_dict()
    state["camera_head.pose_branch.fc2.bias"][7:] += 1.0  # a field of view of about a radian
    [file] = save(state, config, tmp_path_factory.mktemp("weights") / "small.safetensors")
    return file


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    files = []
    for index in range(3):
        noise = Image.fromarray(rng.integers(0, 255, (9, 16, 3), np.uint8)).resize((640, 360), Image.Resampling.BICUBIC)
        files.append(tmp_path / f"plate.{1001 + index}.png")
        noise.save(files[-1])
    return files


@pytest.fixture(autouse=True)
def nothing_stays_loaded() -> None:
    vggt.unload()


def job(pictures: list[Path], output: Path, checkpoint: Path, **options: object) -> Job:
    return Job(tuple(map(str, pictures)), str(output), engine="vggt", model=str(checkpoint), device="cpu", **options)


def test_folder_holds_what_the_network_says(pictures: list[Path], checkpoint: Path, tmp_path: Path) -> None:
    report = Silent()
    folder = run_job(job(pictures, tmp_path / "out", checkpoint, tracks=12, point_head=True), report)
    result = load_reconstruction(folder)

    model = load_model(checkpoint, half=choose_device("cpu").half)
    prepared = [prepare(Image.open(path)) for path in pictures]
    images = torch.from_numpy(np.stack([picture.pixels for picture in prepared])).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        expected = model(images)
    np.testing.assert_allclose(result.depth, expected["depth"][0, ..., 0], rtol=1e-5)
    np.testing.assert_allclose(result.confidence, expected["depth_conf"][0], rtol=1e-5)
    assert [frame.number for frame in result.frames] == [1001, 1002, 1003]
    assert result.source.kind == "sequence"
    assert {"network", "depth maps", "point maps"} <= set(report.stages)

    for frame, picture in zip(result.frames, prepared, strict=True):
        np.testing.assert_allclose(frame.depth_to_image, picture.image_from_network)
        assert (frame.pose.cx, frame.pose.cy) == (320, 180)
    assert len({frame.pose.fx for frame in result.frames}) == 1, "one lens for one shot"
    fov = expected["pose_enc"][0, :, 7:].double().numpy()
    focal = np.array([320, 180]) / np.tan(fov[:, ::-1] / 2)  # horizontal, vertical; of the 640 x 360 source
    assert result.frames[0].pose.fx == pytest.approx(np.median(np.sqrt(focal.prod(axis=1))), rel=1e-5)
    np.testing.assert_allclose(result.frames[0].pose.camera_from_world, np.eye(3, 4), atol=1e-9)

    assert result.tracks is not None
    queries = (result.tracks.xy[0] - [0, 0]) * [518 / 640, 294 / 360] - 0.5
    with torch.inference_mode():
        followed = model(images, torch.from_numpy(queries[None]).float(), heads=["track"])["track"][0].numpy()
    np.testing.assert_allclose((followed + 0.5) * [640 / 518, 360 / 294], result.tracks.xy, atol=0.05)
    assert result.points is not None
    assert len(result.points.xyz) == min(3 * (vggt.MOST_POINTS // 3), 3 * 294 * 518)


def test_masked_pixels_are_painted_out_and_have_no_depth(
    pictures: list[Path], checkpoint: Path, tmp_path: Path
) -> None:
    mask = np.full((360, 640), 255, np.uint8)
    mask[100:250, 200:420] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    folder = run_job(job(pictures, tmp_path / "out", checkpoint, mask=str(tmp_path / "mask.png")), Silent())
    result = load_reconstruction(folder)
    hidden = np.isnan(result.depth)
    rows, columns = np.nonzero(hidden[1])
    x, y = (columns + 0.5) * 640 / 518, (rows + 0.5) * 360 / 294
    grown = 4  # pixels at this size
    edges = [x.min() - 200 + grown, x.max() - 420 - grown, y.min() - 100 + grown, y.max() - 250 - grown]
    assert (np.abs(edges) < 2.5).all()
    assert (result.confidence[hidden] == 0).all()
    assert (result.color[hidden] == 255).all(), "the network must not see what is under a mask"
    assert hidden.mean() == pytest.approx(158 * 228 / (360 * 640), rel=0.05)


def test_what_is_known_of_the_lens_is_held(pictures: list[Path], checkpoint: Path, tmp_path: Path) -> None:
    known = Known(fov=60, distortion=(-0.1, 0.02))
    folder = run_job(job(pictures, tmp_path / "out", checkpoint, known=known), Silent())
    result = load_reconstruction(folder)
    for frame in result.frames:
        assert frame.pose.fx == frame.pose.fy == pytest.approx(320 / np.tan(np.radians(30)))
        assert frame.pose.distortion == (-0.1, 0.02, 0, 0, 0)
    assert result.engine["settings"]["known"] == {"fov": 60, "distortion": [-0.1, 0.02, 0, 0, 0]}
    known = Known(zooms=True, locked_off=True)
    frames = load_reconstruction(run_job(job(pictures, tmp_path / "zoom", checkpoint, known=known), Silent())).frames
    raw = [frame.pose.fx for frame in frames]
    assert len(set(raw)) == 3
    known = Known(zooms=True, fov=60, focal_is_start=True)
    begun = load_reconstruction(run_job(job(pictures, tmp_path / "begun", checkpoint, known=known), Silent())).frames
    curve = np.array([frame.pose.fx for frame in begun])
    assert np.median(curve) == pytest.approx(320 / np.tan(np.radians(30)))
    np.testing.assert_allclose(curve / curve[0], np.array(raw) / raw[0], rtol=1e-6)
    assert not np.any([frame.pose.camera_from_world[:, 3] for frame in frames])
    assert not np.allclose(frames[0].pose.camera_from_world, frames[2].pose.camera_from_world)


def test_mixed_sizes_are_centred_and_portrait_is_whole(checkpoint: Path, tmp_path: Path) -> None:
    files = []
    for name, size in (("a", (640, 360)), ("b", (360, 640))):
        files.append(tmp_path / f"{name}.png")
        Image.new("RGB", size, (90, 120, 60)).save(files[-1])
    result = load_reconstruction(run_job(job(files, tmp_path / "out", checkpoint), Silent()))
    for frame, depth in zip(result.frames, result.depth, strict=True):
        rows, columns = np.nonzero(np.isfinite(depth))
        corners = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], float)
        mapped = corners @ frame.depth_to_image[:, :2].T + frame.depth_to_image[:, 2]
        np.testing.assert_allclose(mapped, [[0, 0], [frame.width, frame.height]], atol=1e-6)


@pytest.mark.parametrize(
    ("side", "size", "network"),
    [(0, (640, 360), (126, 224)), (0, (360, 640), (224, 126)), (252, (640, 360), (140, 252))],
)
def test_a_small_network_gets_pictures_of_the_size_it_was_trained_with_or_asks_for(
    side: int, size: tuple[int, int], network: tuple[int, int], tmp_path: Path
) -> None:
    encoder = {"img_size": 224, "embed_dim": 32, "depth": 1, "num_heads": 2}
    aggregator = {**SMALL["aggregator"], "patch_embed": "vit"}
    sizes = {"aggregator": aggregator, "vit": encoder, "track_head": None, "picture_side": side}
    config = VGGTConfig.from_dict(SMALL | sizes)
    torch.manual_seed(3)
    state = VGGT(config).state_dict()
    state["camera_head.pose_branch.fc2.weight"].zero_()
    state["camera_head.pose_branch.fc2.bias"][6:] = 0.25  # in each of four rounds: a field of view of a radian
    [file] = save(state, config, tmp_path / "mini.safetensors")
    picture = tmp_path / "picture.png"
    Image.new("RGB", size, (90, 120, 60)).save(picture)
    result = load_reconstruction(run_job(job([picture], tmp_path / "out", file), Silent()))
    assert result.depth.shape == (1, *network)
    assert np.isfinite(result.depth).all(), "no border"
    corner = result.frames[0].depth_to_image @ [network[1], network[0], 1]
    np.testing.assert_allclose(corner, size)


def test_one_picture_is_enough(pictures: list[Path], checkpoint: Path, tmp_path: Path) -> None:
    result = load_reconstruction(run_job(job(pictures[:1], tmp_path / "out", checkpoint), Silent()))
    assert np.isfinite(result.depth).all()


def test_model_stays_loaded_between_jobs(pictures: list[Path], checkpoint: Path, tmp_path: Path) -> None:
    first, second = Silent(), Silent()
    run_job(job(pictures[:1], tmp_path / "a", checkpoint), first)
    run_job(job(pictures[:1], tmp_path / "b", checkpoint), second)
    assert any("Loading" in line for line in first.lines)
    assert not any("Loading" in line for line in second.lines)


def test_unknown_model_says_what_there_is(pictures: list[Path], tmp_path: Path) -> None:
    with pytest.raises(JobError, match="VGGT-1B"):
        run_job(job(pictures, tmp_path / "out", tmp_path / "nowhere.safetensors"), Silent())
    assert not (tmp_path / "out").exists()


def run_of(frames: int, heads: tuple[str, ...] = ("camera", "depth"), half: bool = True) -> memory.Run:
    return memory.Run(VGGTConfig(), frames, (350, 518), heads, torch.bfloat16 if half else None)


def test_plan_refuses_what_cannot_fit_and_names_what_would() -> None:
    free = 3_000_000_000
    fits = memory.most_frames(run_of(1), "cpu", free)
    assert fits > 10
    memory.plan(run_of(fits), "cpu", free)
    with pytest.raises(JobError, match=rf"about {fits} frames fit: .*--frames ::2"):
        memory.plan(run_of(fits + 1), "cpu", free)
    with pytest.raises(JobError, match="not even one frame"):
        memory.plan(run_of(5), "cpu", 10_000_000)


def test_plan_prefers_large_chunks_and_keeps_to_the_memory() -> None:
    sizes = [memory.plan(run_of(100), "cuda", int(free * 1e9)) for free in (40, 6, 5.2, 3.5)]
    assert sizes[0] == memory.SIZES["cuda"][0]
    positions = [memory.SIZES["cuda"].index(size) for size in sizes]
    assert positions == sorted(positions)
    assert positions[-1] > positions[0]


def test_plan_leaves_room_for_the_scores_of_apple_s_attention() -> None:
    assert memory.most_frames(run_of(1), "mps", 4_000_000_000) < memory.most_frames(run_of(1), "cuda", 4_000_000_000)


def test_tracks_that_do_not_fit_do_not_lose_the_rest(
    pictures: list[Path], checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("vggt_blender.model.track_head.Tracker.forward", full)
    said = Silent()
    result = load_reconstruction(run_job(job(pictures, tmp_path / "out", checkpoint, tracks=20), said))
    assert result.tracks is None
    assert np.isfinite(result.depth).all()
    assert any("no tracks in the result" in line for line in said.lines), said.lines


def test_weights_that_do_not_fit_are_refused_before_they_move(checkpoint: Path) -> None:
    class Full(Device):
        def free_bytes(self) -> int:
            return 10_000

    with pytest.raises(JobError, match=r"weights need 0\..* GB, 0\.0 GB is free .*--device cpu"):
        Predictor(checkpoint, Full("cuda", None, "a small card"))


def test_numbers_that_overflow_are_no_result(pictures: list[Path], checkpoint: Path, tmp_path: Path) -> None:
    state = load_model(checkpoint).state_dict()
    state["aggregator.frame_blocks.3.mlp.fc2.bias"][0] = torch.inf
    [broken] = save(state, VGGTConfig.from_dict(SMALL), tmp_path / "overflows.safetensors")
    with pytest.raises(JobError, match=r"no finite numbers .*--device cpu"):
        run_job(job(pictures, tmp_path / "out", broken), Silent())
    assert not (tmp_path / "out").exists()


EXHAUSTED = """
import resource, sys
import numpy as np, torch
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from vggt_blender.inference import memory
from vggt_blender.inference.devices import Device
from vggt_blender.inference.predictor import Predictor
from vggt_blender.model import Chunks

torch.set_num_threads(1)

class Hopeful(Device):
    def free_bytes(self):
        return 10**15

class Report:
    def progress(self, *_): pass
    def warning(self, message): print(message)
    status = warning

predictor = Predictor(Path(sys.argv[2]), Hopeful("cpu", None, "CPU"))
images = np.random.default_rng(0).integers(0, 255, (24, 294, 518, 3), np.uint8)

def depth():
    with predictor.scene(images, ("camera", "depth"), Report()) as scene:
        return np.concatenate([values for _, values, _ in scene.maps("depth")])

exact = depth()
memory.SIZES["cpu"] = (Chunks(frames=24, maps=24), Chunks(frames=24, maps=8), Chunks(frames=1, maps=1))
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 250 * 2**20,) * 2)
print("same" if np.allclose(depth(), exact, rtol=1e-5) else "different")
"""


def test_a_network_that_wants_the_middle_frame_first_gets_it(
    pictures: list[Path], checkpoint: Path, tmp_path: Path
) -> None:
    """The folder has the frames as they are, and of each what the network says of the order that it wants."""
    state = load_model(checkpoint, half=None).state_dict()
    config = VGGTConfig.from_dict(SMALL | {"middle_first": True})
    [file] = save(state, config, tmp_path / "middle.safetensors")
    result = load_reconstruction(run_job(job(pictures, tmp_path / "out", file), Silent()))

    model = load_model(checkpoint, half=choose_device("cpu").half)
    prepared = [prepare(Image.open(pictures[index])).pixels for index in (1, 0, 2)]
    images = torch.from_numpy(np.stack(prepared)).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        expected = model(images, heads=("camera", "depth"))
    np.testing.assert_allclose(result.depth[[1, 0, 2]], expected["depth"][0, ..., 0], rtol=1e-5)
    poses = decode_pose(expected["pose_enc"].double(), images.shape[-2:])[0][0]
    poses = torch.cat([poses, torch.tensor([0, 0, 0, 1.0]).expand(3, 1, 4)], dim=1)
    for index, pose in zip((1, 0, 2), poses, strict=True):
        from_first = (pose @ torch.linalg.inv(poses[1]))[:3]
        np.testing.assert_allclose(result.frames[index].pose.camera_from_world, from_first, atol=1e-5)


@pytest.mark.parametrize(("count", "order"), [(1, [0]), (2, [0, 1]), (3, [1, 0, 2]), (4, [1, 0, 2, 3])])
def test_the_middle_frame_comes_first(count: int, order: list[int]) -> None:
    assert with_middle_first(count) == order


@pytest.mark.skipif(sys.platform != "linux", reason="limits its own address space as Linux does")
def test_run_goes_on_with_smaller_chunks_when_memory_runs_out(checkpoint: Path, programs: Any) -> None:
    process = programs.run([sys.executable, "-c", EXHAUSTED, ROOT, checkpoint])
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert lines[-1] == "same"
    assert any("Memory ran out; going on with" in line for line in lines)


def test_an_anamorphic_plate_is_seen_as_it_was_shot(pictures: list[Path], checkpoint: Path, tmp_path: Path) -> None:
    """Half as wide, and said to be so: the network sees the shot, and the folder has the plate's own pixels."""
    thin = []
    (tmp_path / "thin").mkdir()
    for path in pictures:
        thin.append(tmp_path / "thin" / path.name)
        Image.open(path).resize((320, 360), Image.Resampling.BOX).save(thin[-1])
    results = [
        load_reconstruction(run_job(job(chosen, tmp_path / name, checkpoint, known=known, tracks=12), Silent()))
        for name, chosen, known in (("a", pictures, Known()), ("b", thin, Known(pixel_aspect=2.0)))
    ]
    for wide, frame in zip(*(result.frames for result in results), strict=True):
        assert (frame.width, frame.height) == (320, 360)
        assert frame.pose.fy == pytest.approx(2 * frame.pose.fx)
        assert frame.pose.fx == pytest.approx(wide.pose.fx / 2, rel=0.02)
        assert (frame.pose.cx, frame.pose.cy) == pytest.approx((160, 180))
        np.testing.assert_allclose(frame.depth_to_image, wide.depth_to_image * [[0.5], [1]], atol=1e-9)
    assert results[0].depth.shape == results[1].depth.shape
    assert results[1].tracks.xy[0, :, 0].max() < 320
