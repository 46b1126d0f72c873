"""A recipe must be what its name says: a matrix with the wrong optimiser trains, only worse."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.training.recipes import GPT3_LR, RECIPES, Recipe, set_rate


@pytest.fixture(scope="module")
def model() -> GPT2:
    return GPT2(GPT2Config(vocab_size=50, block_size=16, n_layer=2, n_head=2, n_embd=8))


@pytest.mark.parametrize("name", RECIPES)
def test_every_parameter_has_one_optimiser_and_matrices_alone_decay(model, name):
    groups = [group for optimizer in RECIPES[name].optimizers(model, 1e-3) for group in optimizer.param_groups]
    held = [p for group in groups for p in group["params"]]
    assert sorted(map(id, held)) == sorted(map(id, model.parameters()))
    for group in groups:
        assert all((p.dim() == 2) == (group["weight_decay"] > 0) for p in group["params"])


def test_muon_has_the_matrices_of_the_blocks_and_nothing_else(model):
    """Embeddings are tables of rows, not maps between directions: orthogonal updates would spoil them."""
    adamw, muon = RECIPES["default"].optimizers(model, 1e-3)
    names = {id(p): name for name, p in model.named_parameters()}
    theirs = [names[id(p)] for p in muon.param_groups[0]["params"]]
    assert len(theirs) == 2 * 4 and all(name.startswith("h.") and name.endswith("weight") for name in theirs)
    assert "wte.weight" in [names[id(p)] for p in adamw.param_groups[0]["params"]]


def test_a_muon_step_moves_a_matrix_in_all_directions_alike():
    """By hand: the update is the momentum made orthogonal, as long as an AdamW step of the same rate would be."""
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=50, block_size=16, n_layer=1, n_head=2, n_embd=32))
    weight = model.h[0].mlp.c_fc.weight
    before = weight.detach().clone()
    *_, muon = Recipe("", muon_lr=1e-2).optimizers(model, 1e-3)
    muon.param_groups[0]["weight_decay"] = 0.0
    weight.grad = torch.randn(128, 2) @ torch.randn(2, 32) + 0.5 * torch.randn(128, 32)  # two loud directions
    set_rate([muon], 1.0)
    muon.step()
    update = before - weight.detach()
    loud, quiet = (torch.linalg.svdvals(m)[[0, -1]] for m in (weight.grad, update))
    assert loud[0] / loud[1] > 10 and quiet[0] / quiet[1] < 3
    assert update.square().mean().sqrt().item() == pytest.approx(0.2 * 1e-2, rel=0.3)  # AdamW's usual step: 0.2 lr


def test_the_paper_is_adamw_at_three_times_gpt3s_rate(model):
    (optimizer,) = RECIPES["paper"].optimizers(model, max_lr=99.0)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(3 * GPT3_LR) == pytest.approx(1.8e-3)
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.95)


def test_rates_are_shares_of_each_groups_own(model):
    optimizers = RECIPES["default"].optimizers(model, 1e-3)
    assert set_rate(optimizers, 0.5) == pytest.approx(0.5 * optimizers[0].param_groups[0]["max_lr"])
    assert optimizers[1].param_groups[0]["lr"] == pytest.approx(0.5 * RECIPES["default"].muon_lr)


@given(st.sampled_from(sorted(RECIPES)), st.integers(1, 400))
def test_rows_grow_to_the_whole_context(name, max_steps):
    """A run that ends on short rows has a model that never saw its later positions."""
    lengths = [RECIPES[name].length(step, max_steps, 256) for step in range(max_steps)]
    assert lengths == sorted(lengths) and all(256 % length == 0 for length in lengths)
    assert lengths[-1] == 256 or max_steps < len(RECIPES[name].lengths)
