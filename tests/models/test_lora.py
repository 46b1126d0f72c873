"""LoRA by hand is what notebook 07 prints and trains; each test says which of its promises would be broken."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from tiny_neo import tiny_neo
from torch import nn
from transformers import GPTNeoForCausalLM, GPTNeoForTokenClassification

from labkit.models.freezing import trainable
from labkit.models.lora import LoRA, add_lora, merge, unmerge
from labkit.models.neo import gpt_neo_1_3b_config
from labkit.profile import LabError

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft 0.21
IDS = torch.randint(97, (3, 12), generator=torch.Generator().manual_seed(0))


def trained(**options) -> GPTNeoForCausalLM:
    """With B away from zero, as after training."""
    model = add_lora(tiny_neo(), r=4, alpha=8, **options)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LoRA):
                module.B.normal_(std=0.1)
    return model


def peft_twin(model: GPTNeoForCausalLM, **options) -> nn.Module:
    """`peft`'s LoRA with the same weights."""
    twin = get_peft_model(tiny_neo(), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **options))
    theirs = dict(twin.named_parameters())
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith((".A", ".B")):
                theirs[peft_name(name)].copy_(p)
    return twin


def peft_name(name: str) -> str:
    head, _, tail = name.rpartition(".")
    return f"base_model.model.{head}.lora_{tail}.default.weight" if tail in "AB" else f"base_model.model.{name}"


@pytest.mark.parametrize(("bias", "dropout"), [("none", 0.0), ("all", 0.0), ("all", 0.5)])
def test_equal_to_peft(bias, dropout):
    """Logits within 1e-6 and every gradient within 1e-5, in training with the same dropout: else it isn't LoRA."""
    ours = trained(bias=bias, dropout=dropout).train()
    theirs = peft_twin(ours, bias=bias, lora_dropout=dropout).train()
    outputs = []
    for model in (ours, theirs):
        torch.manual_seed(3)
        outputs.append(model(input_ids=IDS, labels=IDS))
        outputs[-1].loss.backward()
    assert (outputs[0].logits - outputs[1].logits).abs().max() <= 1e-6 < outputs[0].logits.abs().max()
    grads = {name: p.grad for name, p in theirs.named_parameters() if p.requires_grad}
    mine = {peft_name(name): p.grad for name, p in ours.named_parameters() if p.requires_grad}
    mine = {name if name in grads else name.replace(".bias", ".base_layer.bias"): g for name, g in mine.items()}
    assert mine.keys() == grads.keys()
    assert max((mine[name] - g).abs().max() for name, g in grads.items()) <= 1e-5
    assert min(g.abs().max() for g in grads.values()) > 1e-4  # there was something to compare


def test_begins_as_pefts_does():
    """A of the same distribution: uniform to ±1/√width, in a wide layer to tell it from others; B zero."""
    torch.manual_seed(0)
    layer = LoRA(nn.Linear(1024, 64), r=16, alpha=16)
    assert 0.99 / 32 < layer.A.abs().max() <= 1 / 32 and abs(layer.A.std().item() * 32 - 3**-0.5) < 0.01
    assert not layer.B.any()


def test_at_the_start_nothing_is_changed():
    with torch.no_grad():
        assert torch.equal(add_lora(tiny_neo(), r=4)(IDS).logits, tiny_neo()(IDS).logits)


def test_a_model_that_evaluates_goes_on_evaluating():
    """New layers begin in training, where dropout would make every answer a little random."""
    with torch.no_grad():
        assert torch.equal(trained(dropout=0.5)(IDS).logits, trained()(IDS).logits)


@settings(max_examples=30, deadline=None)
@given(inner=st.integers(1, 9), outer=st.integers(1, 9), r=st.integers(1, 5), alpha=st.floats(0.5, 32), b=st.booleans())
def test_one_layer_is_the_formula(inner, outer, r, alpha, b):
    torch.manual_seed(r)
    layer, x = LoRA(nn.Linear(inner, outer, bias=b, dtype=torch.float64), r, alpha), torch.randn(3, inner).double()
    with torch.no_grad():
        layer.B.normal_()
        W = layer.linear.weight + alpha / r * layer.B @ layer.A
        assert (layer(x) - F.linear(x, W, layer.linear.bias)).abs().max() < 1e-12


def test_merging_keeps_the_answers_and_unmerging_restores_every_bit():
    model = trained(bias="all").eval()
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        answers = model(IDS).logits
        merge(model)
        merge(model)  # twice must not add twice
        assert not torch.equal(model.transformer.h[0].attn.attention.q_proj.linear.weight,
                               before["transformer.h.0.attn.attention.q_proj.linear.weight"])  # fmt: skip
        assert (model(IDS).logits - answers).abs().max() < 1e-5 * answers.abs().max()
        unmerge(model)
        unmerge(model)
        assert torch.equal(model(IDS).logits, answers)
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_only_the_correction_moves():
    """Weight decay would shrink frozen weights if they were among the trained."""
    model = add_lora(tiny_neo(), r=4).train()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):  # at first A's gradient is 0, because B is
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()
    for name, p in model.named_parameters():
        is_correction = name.endswith((".A", ".B"))
        assert (p.grad is not None) == is_correction and torch.equal(p, before[name]) != is_correction


def test_the_reports_number_of_trained_parameters():
    """3,563,531, of 22,539 fewer than `peft` counts in all: it keeps the classification head as it was, too."""
    config = gpt_neo_1_3b_config()
    config.num_labels = 11
    with torch.device("meta"):
        model = add_lora(GPTNeoForTokenClassification(config), r=16, alpha=16, dropout=0.1, bias="all")
    assert trainable(model) == (3_563_531, 1_318_766_614 - (2048 + 1) * 11)


def test_an_unknown_target_is_an_error_that_lists_what_there_is():
    """Silence would train nothing: the names are another model's."""
    with pytest.raises(LabError, match=r"unknown target 'query'.*known: c_fc, c_proj, k_proj, lm_head, out_proj, q_pr"):
        add_lora(tiny_neo(), targets=("q_proj", "query"))
    with pytest.raises(LabError, match="unknown bias 'lora_only'"):
        add_lora(tiny_neo(), bias="lora_only")
