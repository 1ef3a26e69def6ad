"""Our numbers against the official model's, in float32 on the CPU, for every array of the reference networks."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from vggt_blender.model import VGGT, Chunks, VGGTConfig, decode_pose  # noqa: E402
from vggt_blender.model.correlation import correlate, pyramid, sample  # noqa: E402
from vggt_blender.model.pose import unproject  # noqa: E402

DATA = Path(__file__).parents[1] / "data" / "vggt"


@pytest.fixture(scope="module")
def results(references):
    with torch.inference_mode():
        return {name: each.model(each.images, each.queries) for name, each in references.items()}


@pytest.fixture
def result(results, reference):
    return results[reference.description["name"]]


@pytest.mark.parametrize("name", ["depth", "depth_conf", "world_points", "world_points_conf"])
def test_dense_heads(result, reference, close, name):
    close(result[name], reference[name])


def test_poses_of_every_iteration(result, reference, close):
    close(torch.stack(result["pose_enc_list"]), reference["pose_enc_list"])
    close(result["pose_enc"], reference["pose_enc_list"][-1])


def test_tracks_of_every_iteration(result, reference, close):
    for ours, theirs, tolerance in zip(
        result["track_list"], reference["track_list"], (None, None, 2e-3, 2e-3), strict=True
    ):
        close(ours, theirs, tolerance)
    close(result["track"], reference["track_list"][-1], 2e-3)
    close(result["vis"], reference["vis"], 1e-3)
    close(result["conf"], reference["conf"], 1e-3)


def test_decoded_cameras_and_points(result, reference, close):
    size = (reference.description["height"], reference.description["width"])
    extrinsics, intrinsics = decode_pose(result["pose_enc"], size)
    close(extrinsics, reference["extrinsics"])
    close(intrinsics, reference["intrinsics"])
    close(unproject(result["depth"][..., 0], extrinsics, intrinsics), reference["unprojected"])


def test_patch_tokens(reference, close):
    with torch.inference_mode():
        close(reference.model.aggregator.encode(reference.images).flatten(0, 1), reference["patch_tokens"])


def test_patch_tokens_on_the_training_grid(references, close):
    vit = references["vit"]
    images = vit["square_images_u8"].float() / 255
    with torch.inference_mode():
        close(vit.model.aggregator.encode(images).flatten(0, 1), vit["square_patch_tokens"])


@pytest.mark.parametrize("frames", [None, 1, 2])
def test_every_layer_of_the_aggregator(reference, close, frames):
    expected = reference["aggregated_tokens"]
    got = torch.full_like(expected, torch.nan)

    def emit(layer, where, after_frame, after_global):
        got[layer][:, where] = torch.cat([after_frame, after_global], dim=-1)

    with torch.inference_mode():
        layers = set(range(len(expected)))
        reference.model.aggregator(reference.images, emit, layers, True, Chunks(frames=frames))
    close(got, expected)


def test_first_iteration_of_the_tracker(reference, close):
    model, queries = reference.model, reference.queries
    tracker = model.track_head.tracker
    with torch.inference_mode():
        maps = model.track_maps(model.features(reference.images, ["track"]))
        close(maps.permute(0, 1, 4, 2, 3), reference["track_fmaps"])
        start = queries / tracker.config.stride
        points = start[:, None].expand(-1, maps.shape[1], -1, -1)
        scales = pyramid(tracker.fmap_norm(maps).flatten(0, 1), tracker.config.corr_levels)
        first = sample(tracker.fmap_norm(maps)[:, 0], start)[:, None].expand(*points.shape[:3], -1)
        seen = correlate(scales, first.flatten(0, 1), points.flatten(0, 1), tracker.config.corr_radius)
        by_track = seen.unflatten(0, points.shape[:2]).transpose(1, 2).flatten(0, 1)
        close(by_track, reference["track_first_corr"])
        tokens = tracker.tokens(scales, first, points) + tracker.constant(start, maps.shape[2:4], maps.shape[1])
        close(tokens, reference["track_first_update_in"])
        close(tracker.updateformer(tokens), reference["track_first_update_out"])


def test_vggt_1b_has_the_official_names_and_shapes():
    official = json.loads((DATA / "vggt_1b.json").read_text())["state_dict"]
    with torch.device("meta"):
        ours = VGGT().state_dict()
    assert {key: list(value.shape) for key, value in ours.items()} == {
        key: entry["shape"] for key, entry in official.items()
    }
    assert {str(value.dtype) for value in ours.values()} == {"torch.float32"}


def test_the_reference_networks_have_their_official_names_and_shapes(reference):
    with torch.device("meta"):
        ours = VGGT(VGGTConfig.from_dict(reference.description)).state_dict()
    assert {key: list(value.shape) for key, value in ours.items()} == reference.description["state_dict"]
