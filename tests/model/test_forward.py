"""What must hold for any weights: chunks, heads, order of frames, precision and training."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from vggt_blender.model import VGGT, Chunks, VGGTConfig, tables  # noqa: E402

DENSE = ("depth", "depth_conf", "world_points", "world_points_conf")


@pytest.fixture(scope="module")
def whole(references):
    with torch.inference_mode():
        return {
            name: each.model(each.images, each.queries, chunks=Chunks(frames=99, maps=99))
            for name, each in references.items()
        }


def compare(ours, theirs, close):
    for name, value in ours.items():
        if isinstance(value, torch.Tensor):
            noisy = name.startswith(("track", "vis", "conf"))  # tracks amplify rounding
            close(value, theirs[name], 2e-3 if noisy else 2e-5 * theirs[name].abs().max())


@torch.inference_mode()
@pytest.mark.parametrize("chunks", [Chunks(1, 1), Chunks(2, 1, torch.device("cpu")), Chunks(1, 2)], ids=str)
def test_chunks_do_not_change_numbers(reference, whole, close, chunks):
    ours = reference.model(reference.images, reference.queries, chunks=chunks)
    theirs = whole[reference.description["name"]]
    assert ours.keys() == theirs.keys()
    compare(ours, theirs, close)


@torch.inference_mode()
@pytest.mark.parametrize("heads", [["camera"], ["depth"], ["point", "camera"], ["track"], []], ids="+".join)
@pytest.mark.parametrize("frames", [1, 99])
def test_fewer_heads_same_numbers(reference, whole, close, heads, frames):
    ours = reference.model(reference.images, reference.queries, heads, Chunks(frames))
    first = {"camera": "pose_enc", "depth": "depth", "point": "world_points", "track": "track"}
    assert {head for head, result in first.items() if result in ours} == set(heads)
    compare(ours, whole[reference.description["name"]], close)


@torch.inference_mode()
def test_streamed_maps_are_those_of_forward(reference, whole, close):
    model = reference.model
    features = model.features(reference.images, ["depth", "point"], Chunks(maps=1))
    assert features.camera_tokens is None
    theirs = whole[reference.description["name"]]
    seen = []
    for frames, depth, confidence in model.maps(features, "depth"):
        close(depth, theirs["depth"][:, frames], 1e-5)
        close(confidence, theirs["depth_conf"][:, frames], 1e-5)
        seen += range(frames.start, frames.stop)
    assert seen == list(range(reference.images.shape[1]))


@torch.inference_mode()
def test_later_frames_may_change_places(references, whole, close):
    """Frame 0 is the reference; the order of the others carries no information."""
    conv = references["conv"]
    order = [0, 2, 1]
    ours = conv.model(conv.images[:, order], heads=["camera", "depth", "point"])
    for name in ("pose_enc", *DENSE):
        close(ours[name], whole["conv"][name][:, order], 2e-5 * whole["conv"][name].abs().max())
    swapped = conv.model(conv.images[:, [1, 0, 2]], heads=["camera"])["pose_enc"]
    assert (swapped - whole["conv"]["pose_enc"][:, [1, 0, 2]]).abs().max() > 1e-3


@torch.inference_mode()
def test_scenes_do_not_mix(references, whole, close):
    vit = references["vit"]
    for scene in range(len(vit.images)):
        ours = vit.model(vit.images[scene], heads=["camera", "depth"])  # four dimensions: one scene
        for name in ("pose_enc", "depth"):
            close(ours[name][0], whole["vit"][name][scene], 2e-5 * whole["vit"][name].abs().max())


@torch.inference_mode()
def test_several_blocks_of_a_kind_in_a_row(weight_by_name, close):
    """`aa_block_size` 2 against the definition, written out with the same blocks."""
    sizes = {"embed_dim": 32, "depth": 4, "num_heads": 2, "patch_embed": "conv", "aa_block_size": 2}
    dpt = {"features": 8, "out_channels": [8, 8, 8, 8], "layers": [0, 1, 2, 3]}
    config = VGGTConfig.from_dict({"aggregator": sizes, "dpt": dpt, "camera_head": None, "track_head": None})
    model = VGGT(config).eval()
    weights = {name: weight_by_name(name, tuple(value.shape)) for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    images = torch.rand(1, 3, 3, 28, 42)
    trunk, kept = model.aggregator, {}
    for frames in (1, 3):
        trunk(
            images,
            lambda layer, where, frame, scene: kept.setdefault(layer, []).append(torch.cat([frame, scene], -1)),
            {0, 1, 2},
            True,
            Chunks(frames),
        )
        rotation = tables.rotation(2, 3, 5, 16, 100.0, torch.device("cpu"))
        x = trunk.embed(images, Chunks(3))
        expected = []
        for pair in (0, 2):
            after_frame, after_global = [], []
            for layer in (pair, pair + 1):
                x = trunk.frame_blocks[layer](x.flatten(0, 1), rotation).view_as(x)
                after_frame.append(x)
            for layer in (pair, pair + 1):
                x = trunk.global_blocks[layer](x.flatten(1, 2), rotation).view_as(x)
                after_global.append(x)
            expected += [torch.cat(both, -1) for both in zip(after_frame, after_global, strict=True)]
        for layer in (0, 1, 2):
            close(torch.cat(kept.pop(layer), 1), expected[layer])
        assert not kept


@torch.inference_mode()
def test_bfloat16_stays_near_float32(weight_by_name, references, close):
    conv = references["conv"]
    with torch.device("meta"):
        model = VGGT(VGGTConfig.from_dict(conv.description)).eval()
    halves = model.half_precision_keys()
    weights = {name: value.bfloat16() if name in halves else value for name, value in conv.model.state_dict().items()}
    model.load_state_dict(weights, assign=True)
    assert {name.split(".")[0] for name in halves} == {"aggregator"}
    ours = model(conv.images, heads=["camera", "depth"])
    assert {ours[name].dtype for name in ("pose_enc", "depth", "depth_conf")} == {torch.float32}
    for name, truth in (("pose_enc", conv["pose_enc_list"][-1]), ("depth", conv["depth"])):
        close(ours[name], truth, 0.02 * truth.abs().max())
    model.to_precision(torch.float32)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}


def small() -> VGGT:
    dpt = {"features": 16, "out_channels": [8, 8, 8, 8], "layers": [0, 0, 1, 1]}
    torch.manual_seed(0)
    return VGGT(
        VGGTConfig.from_dict(
            {
                "aggregator": {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 56},
                "vit": {"depth": 2, "num_heads": 2},
                "camera_head": {"trunk_depth": 1, "num_heads": 2},
                "dpt": dpt,
                "track_head": {
                    "layers": dpt["layers"],
                    "out_channels": dpt["out_channels"],
                    "latent_dim": 16,
                    "hidden_size": 32,
                    "depth": 1,
                    "num_heads": 4,
                    "corr_levels": 3,
                },
            }
        )
    )


def loss_of(model, images, queries):
    results = model(images, queries)
    parts = [results[name] for name in (*DENSE, "track", "vis_logits", "conf_logits")] + results["pose_enc_list"]
    return sum(part.square().mean() for part in parts)


def test_every_weight_but_the_mask_token_learns():
    model = small().train()
    loss_of(model, torch.rand(2, 2, 3, 42, 56), torch.rand(2, 5, 2) * 40).backward()
    without = {name for name, weight in model.named_parameters() if weight.grad is None}
    assert without == {"aggregator.patch_embed.mask_token"}


def test_checkpointed_blocks_give_the_same_gradients(close):
    images, queries = torch.rand(1, 3, 3, 42, 56), torch.rand(1, 5, 2) * 40
    gradients = []
    for on in (False, True):
        model = small().train()
        model.checkpoint_blocks(on)
        loss_of(model, images, queries).backward()
        gradients.append({name: each.grad for name, each in model.named_parameters() if each.grad is not None})
    for name, gradient in gradients[0].items():
        close(gradients[1][name], gradient, 1e-5 * gradient.abs().max() + 1e-9)


def test_checkpointing_keeps_less(monkeypatch):
    images, kept = torch.rand(1, 3, 3, 42, 56), []
    for on in (False, True):
        model = small().train()
        model.checkpoint_blocks(on)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, s=sizes: s.append(x.numel()) or x, lambda x: x):
            model(images, heads=["camera"])
        kept.append(sum(sizes))
    assert kept[1] < 0.6 * kept[0]


def test_tables_made_in_inference_serve_training():
    model = small()
    images = torch.rand(1, 2, 3, 42, 56)
    with torch.inference_mode():
        model(images, heads=["camera", "depth", "point"])
    model.train()(images, heads=["camera", "depth", "point"])["depth"].sum().backward()
    assert model.aggregator.camera_token.grad is not None


def test_autocast_reaches_the_blocks_and_not_the_heads(close):
    model = small().train()
    images = torch.rand(1, 2, 3, 42, 56)
    seen = {}
    model.aggregator.frame_blocks[0].mlp.register_forward_hook(lambda *a: seen.update(block=a[-1].dtype))
    model.camera_head.trunk[0].mlp.register_forward_hook(lambda *a: seen.update(camera=a[-1].dtype))
    model.depth_head.scratch.output_conv1.register_forward_hook(lambda *a: seen.update(depth=a[-1].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        results = model(images, heads=["camera", "depth"])
    assert seen == {"block": torch.bfloat16, "camera": torch.float32, "depth": torch.float32}
    (results["depth"].mean() + results["pose_enc"].mean()).backward()


@torch.inference_mode()
def test_a_pose_only_pass_makes_no_maps_and_leaves_out_the_rest_of_the_last_block():
    model = small().eval()
    tokens = []
    model.aggregator.global_blocks[-1].mlp.register_forward_pre_hook(lambda _m, inputs: tokens.append(inputs[0].shape))
    features = model.features(torch.rand(1, 3, 3, 42, 56), ["camera"])
    assert features.levels == {}
    assert sum(shape[1] for shape in tokens) == 3  # the camera token of each frame


class TestRefusals:
    def test_sides_that_are_no_whole_patches(self):
        with pytest.raises(ValueError, match="multiples of 14"):
            small()(torch.rand(1, 3, 40, 56))

    def test_heads_that_are_not_there(self):
        model = VGGT(replace(small().config, track=None))
        with pytest.raises(ValueError, match="no head track"):
            model(torch.rand(1, 3, 42, 56), heads=["track"])
        with pytest.raises(ValueError, match="no head normals"):
            model(torch.rand(1, 3, 42, 56), heads=["normals"])

    def test_maps_of_a_head_that_the_features_are_not_for(self):
        model = small()
        features = model.features(torch.rand(1, 3, 42, 56), ["camera"])
        with pytest.raises(ValueError, match="without the depth head"):
            next(model.maps(features, "depth"))

    def test_images_too_small_to_track(self):
        model = small()
        with pytest.raises(ValueError, match="at least 8 pixels"):
            model.track_head.tracker(torch.rand(1, 2, 3, 3, 16), torch.zeros(1, 1, 2))


@torch.inference_mode()
@pytest.mark.parametrize("chunks", [Chunks(1, 1), Chunks(9, 9)], ids=str)
def test_inputs_may_stay_on_another_device_than_the_model(chunks):
    """The meta device stands for an accelerator: mixing it with tensors on the CPU fails in the same way."""
    with torch.device("meta"):
        model = VGGT(small().config).eval().to_precision(torch.bfloat16)
    results = model(torch.rand(3, 3, 42, 56), torch.rand(5, 2), chunks=chunks)
    assert {value.device.type for value in results.values() if isinstance(value, torch.Tensor)} == {"meta"}
    assert results["track"].shape == (1, 3, 5, 2)
    assert results["world_points"].shape == (1, 3, 42, 56, 3)
