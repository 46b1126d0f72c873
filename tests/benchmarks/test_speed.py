"""The ladder must time what its rungs are called: a lever that isn't pulled would still print a number."""

from __future__ import annotations

import pytest
import torch

from benchmarks import speed
from labkit.models import fast
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import PROFILES


def test_each_rung_pulls_one_lever_more():
    levers = ("bf16", "allocator", "head", "attention", "fused_adamw")
    pulled = [[getattr(speed.RUNGS[name], lever) for lever in levers] for name in speed.LADDER]
    assert [sum(row) for row in pulled] == [0, 1, 2, 3, 4, 5]


def test_a_rung_without_a_lever_is_the_plain_model(monkeypatch):
    model = GPT2(GPT2Config(vocab_size=50, block_size=8, n_layer=1, n_head=2, n_embd=8))
    calls = []
    monkeypatch.setattr(fast.FusedCrossEntropy, "apply", lambda *a: calls.append("head") or torch.zeros(()))
    x = torch.randint(50, (2, 8))
    speed._loss(speed.RUNGS["bf16"], model, torch.float32)[1](x, x)
    assert calls == [] and "attend" not in vars(model.h[0].attn)
    speed._loss(speed.RUNGS["attention"], model, torch.float32)[1](x, x)
    assert calls == ["head"] and model.h[0].attn.attend is fast.attend


@pytest.mark.parametrize("name", ["fp32", "fused AdamW", "transformers"])
def test_every_kind_of_step_trains(name):
    speed.training_step(speed.RUNGS[name], PROFILES["smoke"])()


def test_children_take_turns_and_report():
    """Real processes, as in notebook 02: rows in order, rates above 0, memory each process's own."""
    rows = speed.ladder("smoke", rounds=2, names=("fp32", "fused AdamW"))
    assert [row["rung"] for row in rows] == ["fp32", "fused AdamW"] and rows[0]["times"] == 1
    assert all(row["tokens_per_second"] > 0 and 0 < row["peak_share"] < 1 and row["memory_mb"] > 50 for row in rows)
