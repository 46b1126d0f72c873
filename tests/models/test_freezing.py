"""What is meant to be frozen must be, or the comparison of methods compares something else."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_neo import tiny_neo
from torch import nn
from transformers import GPTNeoForCausalLM, GPTNeoForTokenClassification

from labkit.models.freezing import bitfit, full, head_only, top_layers, trainable
from labkit.models.neo import gpt_neo_1_3b_config

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft 0.21
IDS = torch.randint(97, (3, 12), generator=torch.Generator().manual_seed(0))
HEAD = {"classifier.weight", "classifier.bias"}


def classifier() -> GPTNeoForTokenClassification:
    config = tiny_neo(n_layer=4).config
    config.num_labels = 5
    return GPTNeoForTokenClassification(config).eval()


def names(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_bitfit_frees_what_peft_calls_all_biases_and_gives_their_gradients():
    """`peft` has no BitFit, but LoRA with bias="all", and LoRA adds nothing while B is zero: the rest is BitFit.

    The biases are moved first, so that each plays a part; logits within 1e-6, gradients within 1e-5.
    """
    ours = bitfit(tiny_neo(n_layer=4))
    theirs = get_peft_model(tiny_neo(n_layer=4), LoraConfig(task_type="CAUSAL_LM", bias="all"))
    mine = {name: p for name, p in ours.named_parameters() if p.requires_grad}
    peft = {
        name.removeprefix("base_model.model."): p
        for name, p in theirs.named_parameters()
        if p.requires_grad and "lora_" not in name
    }
    assert mine.keys() == peft.keys() and len(mine) == 4 * 5 + 1
    with torch.no_grad():
        for name, p in mine.items():
            p.normal_()
            peft[name].copy_(p)
    a, b = ours(input_ids=IDS, labels=IDS), theirs(input_ids=IDS, labels=IDS)
    a.loss.backward()
    b.loss.backward()
    assert (a.logits - b.logits).abs().max() <= 1e-6
    assert max((mine[name].grad - peft[name].grad).abs().max() for name in mine) <= 1e-5
    assert min(p.grad.abs().max() for p in mine.values()) > 1e-6


def test_bitfit_of_gpt_neo_1_3b():
    """24 blocks with biases of 2048 (attention), 8192 + 2048 (MLP), 2 · 2048 (norms), and the last norm's."""
    with torch.device("meta"):
        model = bitfit(GPTNeoForCausalLM(gpt_neo_1_3b_config()))
    assert trainable(model) == (24 * (2048 + 8192 + 2048 + 2 * 2048) + 2048, 1_315_575_808)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_top_layers_are_the_last_ones(k):
    blocks = {f"transformer.h.{i}." for i in range(4 - k, 4)} | {"transformer.ln_f."}
    model = top_layers(tiny_neo(n_layer=4), k)
    assert names(model) == {n for n, _ in model.named_parameters() if any(n.startswith(block) for block in blocks)}
    assert HEAD <= names(top_layers(classifier(), k))


@pytest.mark.parametrize("k", [0, 5])
def test_more_layers_than_there_are_is_refused(k):
    with pytest.raises(ValueError, match=f"1 to 4 layers to train, not {k}"):
        top_layers(tiny_neo(n_layer=4), k)


def test_a_language_models_head_leaves_the_embeddings_alone():
    """They are one matrix at first: training it as the head would change what the frozen model reads."""
    model = head_only(tiny_neo(n_layer=4))
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model(IDS).logits, tiny_neo(n_layer=4)(IDS).logits)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(input_ids=IDS, labels=IDS).loss.backward()
    optimizer.step()
    assert {name for name, p in model.state_dict().items() if not torch.equal(p, before[name])} == {"lm_head.weight"}


def test_a_classification_head_is_always_trained():
    assert names(head_only(classifier())) == HEAD
    assert names(bitfit(classifier())) == HEAD | {n for n, _ in classifier().named_parameters() if n.endswith("bias")}


def test_full_undoes_freezing():
    n = tiny_neo(n_layer=4).num_parameters()
    assert trainable(full(bitfit(tiny_neo(n_layer=4)))) == (n, n)
