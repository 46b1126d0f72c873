"""LoRA merged for good must be the plain model again, else it isn't served at a plain model's speed."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_neo import tiny_neo
from torch import nn

from labkit.models.adapters import adapt
from labkit.models.lora import LoRA, merge
from labkit.models.qwen import new_qwen
from labkit.models.unload import unload

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft 0.21
IDS = torch.randint(97, (3, 12), generator=torch.Generator().manual_seed(0))
PROJECTIONS = ("q_proj", "v_proj")


def tiny_qwen() -> nn.Module:
    torch.manual_seed(0)
    return new_qwen(97, 32, 2, 4, 2, 40)


def trained(plain: nn.Module) -> nn.Module:
    """With B away from zero, as after training."""
    model = adapt(plain, "lora", r=4, alpha=8, targets=PROJECTIONS)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LoRA):
                module.B.normal_(std=0.1)
    return model


@pytest.mark.parametrize("make", [tiny_qwen, tiny_neo])
@pytest.mark.parametrize("merged", [False, True])
def test_a_plain_model_that_answers_as_the_tuned_one(make, merged):
    """Module by module and name by name; merged before or not."""
    tuned = trained(make())
    with torch.no_grad():
        answers = tuned(IDS).logits
        if merged:
            merge(tuned)
        plain = unload(tuned)
        moved = (make()(IDS).logits - answers).abs().max()
        assert (plain(IDS).logits - answers).abs().max() < 1e-5 < moved
    structure = [(name, type(module)) for name, module in plain.named_modules()]
    assert structure == [(name, type(module)) for name, module in make().named_modules()]
    make().load_state_dict(plain.state_dict())


def test_the_same_matrices_as_merge_and_unload_of_peft():
    tuned = trained(tiny_qwen())
    twin = get_peft_model(tiny_qwen(), LoraConfig(r=4, lora_alpha=8, target_modules=list(PROJECTIONS)))
    theirs = dict(twin.named_parameters())
    with torch.no_grad():
        for name, p in tuned.named_parameters():
            if name.endswith((".A", ".B")):
                theirs[f"base_model.model.{name[:-2]}.lora_{name[-1]}.default.weight"].copy_(p)
    ours, theirs = unload(copy.deepcopy(tuned)).state_dict(), twin.merge_and_unload().state_dict()
    assert ours.keys() == theirs.keys()
    assert all((ours[name] - theirs[name]).abs().max() < 1e-6 for name in ours)
    assert any(isinstance(module, LoRA) for module in tuned.modules())  # the copy was unloaded, not this


def test_it_can_be_tuned_again():
    """A recipe that is left over would make `adapt` refuse."""
    again = adapt(unload(trained(tiny_qwen())), "lora", r=2)
    assert sum(isinstance(module, LoRA) for module in again.modules()) == 4
