"""The table behind notebook 10: a method that trains the wrong numbers, or is saved wrongly, is compared unfairly."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers import GPTNeoForCausalLM, GPTNeoForTokenClassification

from labkit.models.adapters import METHODS, Adapters, adapt, fingerprint, load_adapter, report_counts, save_adapter
from labkit.models.freezing import in_head, trainable
from labkit.models.lora import merge
from labkit.models.neo import gpt_neo_1_3b_config, new_neo
from labkit.profile import LabError

IDS = torch.randint(97, (3, 12), generator=torch.Generator().manual_seed(0))
SIZES = {"top_layers": {"k": 1}, "bottleneck": {"size": 4}, "lora": {"r": 4}, "prompt_tuning": {"n_tokens": 4}}
HEADS = pytest.mark.parametrize("labels", [0, 5])  # of a language model; of a classifier of tokens


def tiny(labels: int = 0, seed: int = 0) -> GPTNeoForCausalLM | GPTNeoForTokenClassification:
    torch.manual_seed(seed)
    model = new_neo(97, 32, 2, 4, 40, 5)
    if labels:
        model.config.num_labels = labels
        head = GPTNeoForTokenClassification(model.config)
        head.transformer = model.transformer
        return head.eval()
    return model


def train(model: nn.Module, labels: int = 0, steps: int = 2) -> nn.Module:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    for _ in range(steps):
        model(input_ids=IDS, labels=IDS % labels if labels else IDS).loss.backward()
        optimizer.step()
    return model.eval()


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


@HEADS
@pytest.mark.parametrize("method", METHODS)
def test_a_step_moves_what_is_trained_and_nothing_else(method, labels):
    """One loop for all: the same shape of logits, a loss that falls, no frozen number moved, no trained one left."""
    model = adapt(tiny(labels), method, **SIZES.get(method, {}))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    target = IDS % labels if labels else IDS
    first = model(input_ids=IDS, attention_mask=torch.ones_like(IDS), labels=target)
    train(model, labels, steps=4)
    assert model(input_ids=IDS, labels=target).loss < first.loss and first.logits.shape == (3, 12, labels or 97)
    assert {name for name, p in model.named_parameters() if torch.equal(p, before[name])} == frozen
    assert (method == "full") == (not frozen)
    assert not labels or any(in_head(name) for name in before.keys() - frozen)


@HEADS
@pytest.mark.parametrize("method", METHODS)
def test_only_what_was_trained_is_saved_and_a_fresh_backbone_gets_it_back(method, labels, tmp_path):
    model = train(adapt(tiny(labels), method, **SIZES.get(method, {})), labels)
    file = save_adapter(model, tmp_path)
    assert 4 * trainable(model)[0] < file.stat().st_size < 4 * trainable(model)[0] + 8_000
    again = load_adapter(tiny(labels), tmp_path)
    assert torch.equal(logits(again), logits(model)) and trainable(again) == trainable(model)


def test_odd_sizes_are_saved_and_come_back(tmp_path):
    model = train(adapt(tiny(), "lora", r=4, alpha=3, bias="all", targets=("k_proj", "c_fc")))
    save_adapter(model, tmp_path)
    assert torch.equal(logits(load_adapter(tiny(), tmp_path)), logits(model))


def test_an_adapter_of_another_backbone_is_refused_before_the_model_is_touched(tmp_path):
    """Its shapes fit, so without the fingerprint it would answer, with noise."""
    file = save_adapter(adapt(tiny(seed=0), "lora"), tmp_path)
    other = tiny(seed=1)
    with pytest.raises(LabError, match=f"{file} was trained on another backbone .*: load the model that it was"):
        load_adapter(other, tmp_path)
    assert torch.equal(logits(other), logits(tiny(seed=1))) and not hasattr(other, "recipe")


def test_the_fingerprint_is_of_the_backbone():
    """Not of its head, precision or task; and a pretrained backbone that was trained on is another."""
    mine = fingerprint(tiny())
    assert mine == fingerprint(tiny(labels=5)) == fingerprint(tiny(labels=3)) == fingerprint(tiny().bfloat16())
    assert mine not in (fingerprint(tiny(seed=1)), fingerprint(train(adapt(tiny(), "bitfit"))))


def test_a_fingerprint_is_the_same_tomorrow():
    """In another process, on another machine: it is what makes an old file loadable."""
    model = tiny()
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(torch.arange(p.numel()).view_as(p) / p.numel() + i)
    assert fingerprint(model) == "4faa0628a1259a99"


def test_missing_and_damaged_files_say_what_to_do(tmp_path):
    with pytest.raises(LabError, match=f"no adapter in {tmp_path}: save one"):
        load_adapter(tiny(), tmp_path)
    file = save_adapter(adapt(tiny(), "lora"), tmp_path)
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:40], b"", b"version https://git-lfs"):
        file.write_bytes(damaged)
        with pytest.raises(LabError, match=rf"{file} is damaged, or no adapter .*: save it again"):
            load_adapter(tiny(), tmp_path)
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, file)  # a file of somebody else's
    with pytest.raises(LabError, match="no adapter of this course"):
        load_adapter(tiny(), tmp_path)


def test_a_head_for_other_labels_is_refused_by_name(tmp_path):
    save_adapter(adapt(tiny(labels=5), "lora"), tmp_path)
    with pytest.raises(LabError, match=r"doesn't fit this model at classifier\.bias"):
        load_adapter(tiny(labels=4), tmp_path)
    with pytest.raises(LabError, match=r"doesn't fit this model at classifier\.bias"):
        load_adapter(tiny(), tmp_path)


def test_wrong_names_and_second_adapters_are_refused():
    with pytest.raises(LabError, match=r"unknown method 'lorra': did you mean 'lora'\?"):
        adapt(tiny(), "lorra")
    with pytest.raises(LabError, match="adapted already, by lora"):
        adapt(adapt(tiny(), "lora"), "bitfit")
    with pytest.raises(LabError, match="no adapter to save"):
        save_adapter(tiny(), "nowhere")


@pytest.mark.parametrize("method", ["lora", "bitfit", "prompt_tuning", "prefix_tuning"])
def test_several_adapters_take_turns_on_one_backbone(method, tmp_path):
    """Each answers as it did in training, whatever was in use before, and the backbone is not copied."""
    answers = {}
    for steps, name in enumerate(("finance", "biology", "news"), 1):
        sizes = {"text_ids": [steps]} if method == "prompt_tuning" else {}
        model = train(adapt(tiny(), method, **sizes), steps=steps)
        save_adapter(model, tmp_path / name)
        answers[name] = logits(model)
    backbone = tiny()
    embeddings = backbone.get_input_embeddings().weight
    served = Adapters(backbone, {name: tmp_path / name for name in answers})
    for name in ("news", "finance", "biology", "finance"):
        assert torch.equal(logits(served.use(name)), answers[name])
        merge(served.model)  # what is merged must not stay behind in the next one's answers
    assert embeddings.data_ptr() in {p.data_ptr() for p in served.model.parameters()}
    with pytest.raises(LabError, match="unknown adapter 'bilogy': did you mean 'biology'"):
        served.use("bilogy")


def test_adapters_that_are_not_alike_are_not_served_together(tmp_path):
    """Same shapes but another alpha: the correction would come out twice as strong, unnoticed."""
    for name, alpha in (("a", 8), ("b", 16)):
        save_adapter(adapt(tiny(), "lora", r=8, alpha=alpha), tmp_path / name)
    save_adapter(adapt(tiny(seed=1), "lora", r=8, alpha=8), tmp_path / "c")
    with pytest.raises(LabError, match="another method or other sizes"):
        Adapters(tiny(), {name: tmp_path / name for name in "ab"})
    with pytest.raises(LabError, match="another backbone"):
        Adapters(tiny(), {name: tmp_path / name for name in "ac"})


def test_the_reports_counts():
    """Its LoRA numbers are roberta-large's: 1,855,499, of 355,894,283 without the head that `peft` counts again."""
    counts = report_counts()
    assert counts == {
        "LoRA, GPT-Neo 1.3B": (3_563_531, 1_318_766_614),
        "LoRA, roberta-large": (1_855_499, 355_905_558),
        "prompt tuning, GPT-Neo 1.3B": (16_384, 1_315_592_192),
    }
    assert counts["LoRA, roberta-large"][1] - 355_894_283 == (1024 + 1) * 11


def test_counts_of_every_method_for_gpt_neo_1_3b():
    """On the meta device, in a second and without weights; each number by the method's own arithmetic."""
    expected = {
        "full": 1_315_575_808,
        "top_layers": 12 * 2048**2 + 12 * 2048,
        "head_only": 50_257 * 2048,
        "bitfit": 24 * 8 * 2048 + 2048,
        "bottleneck": 48 * (2 * 8 * 2048 + 8 + 2048),
        "lora": 48 * 2 * 16 * 2048,
        "prompt_tuning": 8 * 2048,
        "prefix_tuning": 8 * 2 * 24 * 2048,
        "ia3": 24 * (2048 + 2048 + 8192),
    }
    found = {}
    for method in METHODS:
        with torch.device("meta"):
            model = GPTNeoForCausalLM(gpt_neo_1_3b_config())
            found[method] = trainable(adapt(model, method))[0]
    assert found == expected


def test_two_models_from_one_backbone_need_a_copy():
    """`adapt` changes the model it is given; a copy keeps the original whole."""
    backbone = tiny()
    before = logits(backbone)
    train(adapt(copy.deepcopy(backbone), "full"))
    assert torch.equal(logits(backbone), before)
