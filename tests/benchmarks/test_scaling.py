"""The course quotes hours, bytes and money from these formulas: each test holds one against something independent."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import scaling
from benchmarks.published import A100, H100, H200_MEASURED, RUNS, STEP, published_rows
from labkit.evaluation.loss import batch_loss
from labkit.models.flops import flops_per_token, mfu
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import PROFILES, LabError

FULL = scaling.model_config(PROFILES["full"])


def test_the_document_shows_what_the_script_computes():
    """Otherwise formulas and text drift apart, and readers plan with old numbers."""
    document = scaling.DOCUMENT.read_text(encoding="utf-8")
    fresh = scaling.renew(document, scaling.tables())
    assert document == fresh, "renew the tables: python -m benchmarks.scaling --markdown"


def test_a_table_without_a_place_is_not_dropped_silently():
    with pytest.raises(LabError, match="<!-- speed -->"):
        scaling.renew("<!-- speed -->\nno end", {"speed": [{"a": 1}]})


@pytest.mark.parametrize("run", [run for run in RUNS if run.stated], ids=lambda run: run.name)
def test_mfu_agrees_with_what_published_runs_state(run):
    """Five shapes, two GPUs and two ways of counting: a wrong power of T, L or C would be far off in one of them."""
    row = next(row for row in published_rows() if row["run"] == run.name)
    assert row[f"MFU, {row['stated counts']}, %"] == pytest.approx(row["stated, %"], rel=0.03)


@pytest.mark.parametrize(
    ("rate", "peak", "stated"),
    [(176e3, A100.peak, 0.49), (182e3, A100.peak, 0.49), (218e3, A100.peak, 0.60), (475e3, H100.peak, 0.41),
     (462e3, H200_MEASURED.peak, 0.5), (555e3, H200_MEASURED.peak, 0.6), (647e3, H200_MEASURED.peak, 0.7)],
)  # fmt: skip
def test_mfu_of_rates_worked_out_by_hand(rate, peak, stated):
    flops = flops_per_token(FULL, 1024)
    assert mfu(rate, flops, peak) == pytest.approx(stated, rel=0.02)
    assert scaling.tokens_per_second(flops, peak, mfu(rate, flops, peak)) == pytest.approx(rate)


def test_laptop_and_full_profiles_take_the_known_flops():
    """34.6 and 855 MFLOP a token, and 10 billion tokens: the scale on which both runs are compared."""
    laptop, full = scaling.model_rows()
    assert laptop["exact, forward and backward"] == pytest.approx(34.6, rel=1e-3)
    assert full["exact, forward and backward"] == pytest.approx(855, rel=1e-3)
    assert full["parameters"] == 124_439_808
    assert full["tokens of a run"] == 19_073 * STEP


@pytest.mark.parametrize("config", [GPT2Config(1000, 48, 2, 2, 128), GPT2Config(3000, 48, 3, 2, 64)], ids=str)
def test_activations_are_what_autograd_keeps(config):
    """A forgotten activation means a micro-batch that fits on paper and runs out of memory on the GPU."""
    torch.manual_seed(0)
    model, idx = GPT2(config), torch.randint(config.vocab_size, (2, 49))
    shapes = {shape for p in model.parameters() for shape in (p.shape, p.shape[::-1])}
    kept: dict[int, torch.Tensor] = {}

    def keep(t: torch.Tensor) -> torch.Tensor:
        if t.shape not in shapes:  # weights and their bf16 copies are counted elsewhere
            kept[t.untyped_storage().data_ptr()] = t
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        batch_loss(model, idx[:, :-1], idx[:, 1:], torch.bfloat16)
    found = sum(t.untyped_storage().nbytes() for t in kept.values()) / 96
    assert found == pytest.approx(sum(scaling.activation_bytes_per_token(config).values()), rel=0.02)


def test_state_is_what_the_model_and_adamw_hold():
    model = GPT2(GPT2Config(97, 32, 2, 2, 32))
    batch_loss(model, torch.zeros(1, 8, dtype=torch.long), torch.zeros(1, 8, dtype=torch.long)).backward()
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step()
    held = [t for s in optimizer.state.values() for t in s.values() if t.dim()]
    held += [t for p in model.parameters() for t in (p, p.grad, p.to(torch.bfloat16))]
    assert sum(t.nbytes for t in held) == sum(scaling.state_bytes(model.config).values())


@pytest.mark.parametrize("n", [2, 3, 8])
def test_ring_all_reduce_sends_what_a_ring_sends(n):
    """Played step by step: n − 1 rounds to add up, n − 1 to hand out, one n-th of the bytes in each."""
    seconds = scaling.all_reduce_seconds(n, size=1200, bandwidth=100)
    assert seconds == pytest.approx(sum(1200 / n / 100 for _ in range(2 * (n - 1))))
    assert scaling.all_reduce_seconds(1, size=1200, bandwidth=100) == 0


def test_thresholds_are_where_the_cost_crosses_them():
    """At the threshold all but the embedding is hidden, just below it is not; at the other, the cost is 5 %."""
    for link, row in zip(scaling.LINKS, scaling.all_reduce_rows(FULL), strict=True):
        rate = scaling.tokens_per_second(flops_per_token(FULL, 1024), H100.peak, 0.5)
        seconds = scaling.all_reduce_seconds(link.gpus, 4 * 124_439_808, link.bandwidth)
        tied = scaling.tied_share(FULL) * seconds
        tokens = row["hidden* from, tokens a micro-batch"]
        assert scaling.exposed_seconds(FULL, seconds, (tokens + 1) / rate) == tied
        assert scaling.exposed_seconds(FULL, seconds, 0.9 * tokens / rate) > tied
        assert seconds / (row["below 5 % from, tokens a step and GPU"] / rate) == pytest.approx(0.05, rel=1e-3)


def test_the_embeddings_gradient_is_the_last_to_be_complete():
    """Why a third of the all-reduce can't overlap: the tied matrix waits for both of its uses."""
    model = GPT2(GPT2Config(97, 32, 2, 2, 32))
    order: list[str] = []
    for name, p in model.named_parameters():
        p.register_post_accumulate_grad_hook(lambda _, name=name: order.append(name))
    batch_loss(model, torch.zeros(1, 8, dtype=torch.long), torch.zeros(1, 8, dtype=torch.long)).backward()
    assert set(order[-2:]) == {"wte.weight", "wpe.weight"}


def test_hours_and_money_follow_price_gpus_and_tokens():
    base, eight = scaling.speed_rows(FULL, [1, 8], 1e10, price=2.0)[:2]
    assert base["hours at 50%"] == pytest.approx(1e10 / (0.5 * 312e12 / flops_per_token(FULL, 1024)) / 3600)
    assert eight["hours at 50%"] == pytest.approx(base["hours at 50%"] / 8)
    assert eight["$ at 50%"] == pytest.approx(base["$ at 50%"]) == 2 * base["hours at 50%"]


def test_the_command_writes_its_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_RESULTS", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["scaling", "--gpus", "4", "--tokens", "1e9", "--price", "3"])
    scaling.main()
    written = json.loads((tmp_path / "bench" / "scaling.json").read_text())
    assert set(written["tables"]) == set(scaling.tables())
    assert {row["GPUs"] for row in written["rows"]} == {4}
    assert "MLP: widen" in capsys.readouterr().out
