"""Muon: what it does to a matrix, what it shares with AdamW, and a step that is skipped without being looked at."""

from __future__ import annotations

import copy

import pytest
import torch

from vggt_blender.model.block import Block
from vggt_blender.training.config import OptimizerSection
from vggt_blender.training.optimizers import LIKE_ADAMW, Optimizer, block_matrices, orthogonal

MUON = OptimizerSection(kind="muon", rate=1e-2, weight_decay=0.0)


def block() -> Block:
    torch.manual_seed(2)
    return Block(24, 2, 3.0, layer_scale=0.5, qk_norm=True)


def gradients_of(network: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("shape", [(5, 12, 40), (5, 40, 12), (16, 16)])
def test_orthogonal_keeps_the_directions_and_makes_them_equally_long(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = left.mT @ orthogonal(matrix).float() @ right.mT
    lengths = inner.diagonal(dim1=-2, dim2=-1)
    assert lengths.min() > 0.5
    assert lengths.max() < 1.3
    assert (inner - torch.diag_embed(lengths)).abs().max() < 0.05


def test_a_matrix_of_zeros_stays_one():
    assert (orthogonal(torch.zeros(2, 4, 6)) == 0).all()


def test_queries_keys_and_values_are_turned_each_for_itself():
    """However small the gradient of the keys is beside the others', their step is as large."""
    network = block()
    before = network.attn.qkv.weight.detach().clone()
    optimizer = Optimizer(network, MUON, fused=False)
    gradients_of(network, 3)
    network.attn.qkv.weight.grad[24:48] *= 1e-3
    optimizer.step()
    queries, keys, values = (network.attn.qkv.weight.detach() - before).split(24)
    assert float(keys.norm() / queries.norm()) == pytest.approx(1, abs=0.1)
    assert float(values.norm() / queries.norm()) == pytest.approx(1, abs=0.1)


def test_steps_are_as_large_as_those_of_adamw():
    network = block()
    before = copy.deepcopy(network)
    gradients_of(network, 4)
    Optimizer(network, MUON, fused=False).step()
    for name in ("qkv", "proj"):
        change = getattr(network.attn, name).weight - getattr(before.attn, name).weight
        assert float(change.detach().square().mean().sqrt()) == pytest.approx(MUON.rate * LIKE_ADAMW, rel=0.25)
    # All others are AdamW's: its first step is the rate, whatever the gradient is.
    change = (network.norm1.weight - before.norm1.weight).detach()
    torch.testing.assert_close(change.abs(), torch.full_like(change, MUON.rate), rtol=1e-3, atol=0)
    assert {id(weight) for weight, _ in block_matrices(network)} == {
        id(layer.weight) for layer in (network.attn.qkv, network.attn.proj, network.mlp.fc1, network.mlp.fc2)
    }


def test_weights_decay():
    network = block()
    before = network.attn.proj.weight.detach().clone()
    optimizer = Optimizer(network, OptimizerSection(kind="muon", rate=1e-2, weight_decay=0.5), fused=False)
    network.attn.proj.weight.grad = torch.zeros_like(before)
    optimizer.step()
    torch.testing.assert_close(network.attn.proj.weight.detach(), before * (1 - 1e-2 * 0.5))


@pytest.mark.parametrize("broken", [0.0, 1.0])
def test_a_broken_step_changes_nothing_now_and_later(broken):
    networks = block(), block()
    optimizers = [Optimizer(one, MUON, fused=True) for one in networks]
    for network, optimizer in zip(networks, optimizers, strict=True):
        gradients_of(network, 5)
        optimizer.step(torch.tensor(0.0))
    gradients_of(networks[0], 6)
    for parameter in networks[0].parameters():
        parameter.grad.view(-1)[0] = torch.nan if broken else 1.0
    optimizers[0].step(torch.tensor(broken))
    pairs = [(a, b) for a, b in zip(networks[0].parameters(), networks[1].parameters(), strict=True)]
    assert all(torch.equal(a, b) == bool(broken) for a, b in pairs)
    for network, optimizer in zip(networks, optimizers, strict=True):
        gradients_of(network, 7)
        optimizer.step(torch.tensor(0.0))
    assert all(torch.equal(a, b) == bool(broken) for a, b in pairs)
    assert all(torch.isfinite(a).all() for a, _ in pairs)
