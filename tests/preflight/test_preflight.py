"""Before hours on a GPU: what is counted must be right, and what is refused or rehearsed must be what would fail."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_neo import tiny_neo
from torch._subclasses.fake_tensor import FakeTensorMode

from labkit.batch.plan import discover, notebooks_dir
from labkit.models.fast import FastLoss
from labkit.models.flops import flops_per_token
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.models.kept import kept_bytes
from labkit.preflight import check
from labkit.preflight import rehearsal as rehearsing
from labkit.preflight.check import DryRunEnds, preflight, refuse
from labkit.preflight.fit import Machine, fit
from labkit.preflight.footprint import Footprint, footprint
from labkit.preflight.parts import PARTS, Part, every_token, gpt2_loss, text
from labkit.preflight.rehearsal import rehearse
from labkit.profile import LabError, resolve

TINY = Part("tiny", start=tiny_neo, loss=every_token, batch=text(97), rows=4, tokens=16, steps=3, parameters=29_664)
SMALL_LORA = replace(TINY, method="lora", sizes={"r": 2}, trained=2 * 2 * 2 * 2 * 32)
TINY_GPT2 = replace(
    TINY, start=lambda: FastLoss(GPT2(GPT2Config(97, 64, 2, 2, 16))), loss=gpt2_loss, parameters=9_168, by="pretrain"
)
H200, A10 = Machine("H200", 141e9, 1, 7e14), Machine("A10", 24e9, 1, 1.2e14)


def part(notebook: str, name: str) -> Part:
    return next(p for p in PARTS[notebook] if p.name == name)


def test_every_notebook_that_can_be_rehearsed_has_parts():
    """Else `--set dry_run=true` would fail at that notebook, or a part would never be rehearsed."""
    notebooks = discover(notebooks_dir())
    assert {n.number for n in notebooks.values() if "dry_run" in n.parameters} == set(PARTS)
    calls = {id_: f'preflight("{id_}", lab, dry_run)' for id_, n in notebooks.items() if n.number in PARTS}
    assert all(any(call in cell.source for cell in notebooks[id_].cells) for id_, call in calls.items())


@pytest.mark.parametrize(
    ("notebook", "name"),
    [("02", "pretraining"), ("04", "student"), ("07", "LoRA"), ("08", "prompt tuning"), ("12", "Qwen"), ("13", "LoRA")],
)
def test_real_models_have_the_numbers_of_the_literature(notebook: str, name: str):
    """Else what is counted, and refused, is another model."""
    p = part(notebook, name)
    found = footprint(p)
    assert (found.start, found.trained) == (p.parameters, p.n_trained)
    assert found.kept_recomputing <= found.kept


def test_fake_tensors_keep_what_real_ones_keep():
    """Else the memory that is promised is not what is needed."""

    def kept() -> int:
        torch.manual_seed(0)
        model = tiny_neo().train()
        batch = TINY.batch(4, 16)
        return kept_bytes(model, lambda: every_token(model, batch))[0]

    real = kept()
    with FakeTensorMode():
        model = tiny_neo_fake()
        batch = TINY.batch(4, 16)
        assert kept_bytes(model, lambda: every_token(model, batch))[0] == real > 0


def tiny_neo_fake():
    from labkit.models.neo import new_neo

    return new_neo(97, 32, 2, 4, 40, 5).train()


def test_flops_are_those_of_the_formula():
    """Else hours are estimated wrongly; torch's counter leaves out the scores of fused attention."""
    config = GPT2Config()
    whole = flops_per_token(config, 1024)
    scores = 3 * config.n_layer * 2 * 2 * config.n_embd * 1024
    per_token = footprint(part("02", "pretraining")).flops / (16 * 1024)
    assert whole - scores == pytest.approx(per_token, rel=0.01)


def test_full_fine_tuning_of_1_3_billion_wants_a_large_gpu_or_several():
    """21 GB of weights, gradients and averages, a copy of 5, and activations."""
    p = part("10", "full fine-tuning")
    count = footprint(p)
    large, small, four = (fit(p, count, m) for m in (H200, A10, replace(A10, gpus=4)))
    assert large.pieces == 1 and not large.recomputes and 21e9 < large.memory < 60e9
    assert small.pieces == 0 and small.recomputes
    assert four.pieces and four.shards == 4 and four.memory < 24e9
    with pytest.raises(LabError, match=r"full fine-tuning needs \d+ GB even row by row, and A10 has 24: .*or several"):
        refuse("10_compare_tuning", (p,), [small], A10, 1e9)


def test_too_long_a_run_is_refused_with_what_to_do():
    found = fit(TINY, Footprint(1, 1, 1, 1, 1, 10**15), Machine("a CPU", 1e10, 0, 1e11))
    with pytest.raises(LabError, match=r"would train for 21 hours on a CPU, and the profile allows 1: take a GPU"):
        refuse("02_pretrain_ddp", (TINY,), [found], Machine("a CPU", 1e10, 0, 1e11), 3600)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**11),
    st.floats(1e9, 2e11), st.floats(1.0, 4.0), st.integers(1, 8),
)  # fmt: skip
def test_more_memory_never_needs_more_pieces(n: int, trained: int, kept: int, memory: float, more: float, gpus: int):
    count = Footprint(n, n, min(n, trained), kept, kept // 2, 10**12)
    p = replace(TINY, rows=16)
    first, second = (fit(p, count, Machine("GPU", m, gpus, 1e14)) for m in (memory, memory * more))
    if first.pieces:
        assert first.memory <= memory and second.pieces
        assert second.pieces <= first.pieces or first.recomputes > second.recomputes


@pytest.mark.parametrize("p", [TINY, SMALL_LORA, TINY_GPT2, replace(TINY_GPT2, by="write", trained=0)],
                         ids=["full", "lora", "pretrain", "write"])  # fmt: skip
def test_a_sound_part_passes(p: Part):
    row = rehearse(p)
    assert row["trained"] == p.n_trained and row["parameters"] == p.parameters
    assert (row["then"] == row["loss"]) == (p.by == "write")


def test_too_few_words_are_found(monkeypatch):
    """Else a model that stops writing passes."""
    monkeypatch.setattr(rehearsing, "generate", lambda model, ids, n: ids)
    with pytest.raises(LabError, match=r"the shape of what it writes: \(2, 0\), where \(2, 32\)"):
        rehearse(replace(TINY_GPT2, by="write", trained=0))


def nan_loss(model, batch):
    return every_token(model, batch) * float("nan")


def forgetful(model, batch):
    """Its first call in evaluation mode differs from its second: as if saving had lost something."""
    forgetful.calls += not model.training
    return every_token(model, batch) + forgetful.calls


def detached(model, batch):
    logits = model(input_ids=batch["input_ids"]).logits
    return F.cross_entropy(logits.detach().flatten(0, 1), batch["labels"].flatten()) + 0 * model.lm_head.weight.sum()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"parameters": 1}, "parameters: 29664, where 1 was expected"),
        ({"method": "lora", "sizes": {"r": 2}, "trained": 7}, "trained parameters: 512, where 7"),
        ({"loss": nan_loss}, "the loss is nan at step 1"),
        ({"loss": forgetful}, "the loss after saving and loading"),
        ({"loss": detached}, "trained matrices that stayed"),
    ],
)
def test_a_planted_fault_is_found(fault: dict, message: str):
    """Else a dry run passes what fails after hours."""
    forgetful.calls = 0
    with pytest.raises(LabError, match=message):
        rehearse(replace(TINY, **fault))


def test_below_the_full_profile_nothing_happens():
    preflight("07_lora_ner", resolve("smoke"))
    with pytest.raises(LabError, match="a dry run rehearses the full profile: set PROFILE=full"):
        preflight("07_lora_ner", resolve("smoke"), dry_run=True)


def test_a_dry_run_leaves_the_results_alone(monkeypatch, tmp_path):
    """Else trying a machine out would cost the results of days."""
    monkeypatch.setenv("LABKIT_RESULTS", str(tmp_path))
    monkeypatch.setitem(check.PARTS, "07", (TINY, SMALL_LORA))
    lab = resolve("full")
    real = lab.results / "07_lora_ner" / "metrics.json"
    real.parent.mkdir(parents=True)
    real.write_text("days of work")
    with pytest.raises(DryRunEnds, match="2 of 2 parts of 07_lora_ner ran"):
        preflight("07_lora_ner", lab, dry_run=True)
    assert real.read_text() == "days of work"
    found = json.loads((tmp_path / "full-dry-run" / "07_lora_ner" / "metrics.json").read_text())
    assert found["metrics"]["parts_rehearsed"]["value"] == 2


def test_the_full_profile_is_shown_before_it_starts_or_refused(monkeypatch, capsys):
    monkeypatch.setitem(check.PARTS, "07", (TINY,))
    preflight("07_lora_ner", resolve("full"))
    assert "tiny" in capsys.readouterr().out
    monkeypatch.setattr(check.Machine, "this", lambda: Machine("a very small GPU", 1e9, 1, 1e14))
    with pytest.raises(LabError, match="tiny needs 1 GB even row by row, and a very small GPU has 1"):
        preflight("07_lora_ner", resolve("full"))
