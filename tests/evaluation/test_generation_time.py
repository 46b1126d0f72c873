"""The clock is no test's business; that the contenders take turns, and what they have to do, is."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_neo import tiny_neo

from labkit.evaluation import generation_time
from labkit.evaluation.generation_time import Timing, greedy, time_generation, work
from labkit.models.lora import LoRA, add_lora
from labkit.models.qwen import new_qwen
from labkit.models.unload import unload

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft 0.21
IDS = torch.randint(97, (3, 5), generator=torch.Generator().manual_seed(0))


def qwen():
    torch.manual_seed(0)
    model = new_qwen(97, 32, 2, 4, 2, 40)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model


def tuned():
    model = add_lora(qwen(), r=4, alpha=8)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LoRA):
                module.B.normal_(std=0.1)
    return model


@pytest.mark.parametrize("make", [qwen, tiny_neo])
def test_greedy_writes_what_transformers_writes(make):
    model = make()
    theirs = model.generate(
        IDS, attention_mask=torch.ones_like(IDS), max_new_tokens=12, do_sample=False, pad_token_id=0
    )
    assert torch.equal(greedy(model, IDS, 12), theirs[:, 5:])


def test_merged_lora_does_the_work_of_a_plain_model_and_writes_what_lora_wrote():
    """By hand and `peft`'s: as many multiplications and calls as full fine-tuning's; unmerged, more of both."""
    models = {"full": qwen(), "LoRA": tuned(), "merged": unload(tuned())}
    theirs = get_peft_model(qwen(), LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])).eval()
    models |= {"peft": theirs, "peft merged": copy.deepcopy(theirs).merge_and_unload()}
    done = {name: work(model, IDS) for name, model in models.items()}
    assert done["full"] == done["merged"] == done["peft merged"]
    tokens = IDS.numel()
    assert done["LoRA"].flops - done["full"].flops == 2 * tokens * 2 * 4 * ((32 + 32) + (32 + 16))
    assert done["peft"].flops == done["LoRA"].flops
    assert min(done["peft"].calls, done["LoRA"].calls) > done["full"].calls
    written = {name: greedy(model, IDS, 20) for name, model in models.items()}
    assert torch.equal(written["LoRA"], written["merged"])
    assert not torch.equal(written["full"], written["merged"])


def test_they_take_turns_and_each_is_first_in_its_round(monkeypatch):
    """One after the other, a neighbour's load would fall on one of them; always first, its caches would be cold."""
    order, clock = [], iter(range(1000))
    monkeypatch.setattr(generation_time, "greedy", lambda model, ids, n: order.append(model) or ids)
    monkeypatch.setattr(generation_time.time, "perf_counter", lambda: float(next(clock)))
    timing = time_generation(dict(zip("abc", "abc", strict=True)), IDS, 4, rounds=4)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab" + "abc"
    assert timing.seconds == {name: [1.0] * 4 for name in "abc"} and torch.equal(timing.tokens["b"], IDS)


def test_a_ratio_is_of_neighbours():
    """One round was slow for both, one for one of them: neither moves the median; medians of times would give 0.75."""
    timing = Timing({"LoRA": [3.0, 30.0, 3.0], "full": [2.0, 20.0, 4.0]}, {})
    assert timing.ratio("LoRA", "full") == 1.5
