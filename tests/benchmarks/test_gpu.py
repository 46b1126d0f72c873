"""Nobody can check a rented GPU's numbers afterwards: the benchmark must time what it says, and lose nothing."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from benchmarks import gpu, gpu_parts, speed
from benchmarks.gpu_models import FULL, TINY, distilbart, papers, word_tokenizer
from benchmarks.gpu_parts import RUNGS, SECTIONS, Job
from labkit.evaluation.seq2seq import write
from labkit.models.bart import SPECIAL
from labkit.models.fast import FastLoss
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import LabError
from labkit.tasks.pairs import encode, seq2seq
from labkit.training import policy


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """Nothing of a test lands among a user's results; returns the file that the benchmark writes."""
    monkeypatch.setenv("LABKIT_RESULTS", str(tmp_path))
    return tmp_path / "bench" / "gpu.json"


class Clock:
    """Time that passes only in a job, `seconds` a round."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.now, self.seconds = 0.0, seconds

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic

    def work(self) -> None:
        self.now += self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(gpu, "time", clock)
    return clock


def job(work, amount: float = 10.0, flops: float | None = None) -> Job:
    """A job whose round is `work`."""
    return Job("work", "tokens", amount, lambda: work, flops)


def sections(monkeypatch, **jobs) -> None:
    """Let the benchmark have these sections, with equal shares."""
    table = {name: (1 / len(jobs), lambda sizes, some=some: some) for name, some in jobs.items()}
    monkeypatch.setattr(gpu, "SECTIONS", table)


def fails(error: BaseException):
    """A round that raises."""

    def work():
        raise error

    return work


def test_the_whole_benchmark_runs_on_small_models(results):
    """Code that only a GPU would reach breaks there, after the money is spent."""
    gpu.main(["--tiny"])
    content = json.loads(results.read_text())
    rows = content["rows"]
    assert [row["what"] for row in rows] == [job.what for _, jobs in SECTIONS.values() for job in jobs(TINY)]
    for row in rows:
        assert row["note"] == "" and 0 < row["low"] <= row["rate"] <= row["high"]
        assert row["rounds"] == len(content["seconds"][f"{row['section']}: {row['what']}"]) <= TINY.rounds
    assert content["tiny"] and content["sizes"]["new_tokens"] == TINY.new_tokens


def test_rungs_are_the_ladders_levers_that_a_gpu_has_and_compiling():
    """A rung that pulls two levers at once would credit one with the other's gain."""
    ours = [name for name, rung in RUNGS.items() if not rung.transformers]
    assert ours == [name for name in speed.LADDER if name not in ("allocator", "attention")] + ["compiled blocks"]
    levers = ("bf16", "head", "fused_adamw", "compiled")
    pulled = [{lever for lever in levers if getattr(RUNGS[name], lever)} for name in ours]
    assert [len(some) for some in pulled] == [0, 1, 2, 3, 4] and all(a < b for a, b in pairwise(pulled))
    theirs = [rung for rung in RUNGS.values() if rung.transformers]
    assert all(rung.bf16 and rung.fused_adamw for rung in theirs) and [r.compiled for r in theirs] == [False, True]


@pytest.mark.parametrize("name", RUNGS)
def test_all_of_a_rung_is_on_the_device_and_only_what_is_compiled_was_there_before(name, monkeypatch):
    """`FastLoss` compiles what it finds on a GPU: "fused head" would be the compiled model under another name."""
    found = []

    class Watched(FastLoss):
        def __init__(self, model: GPT2, dtype: torch.dtype) -> None:
            found.append(model.wte.weight.device.type)
            super().__init__(model, dtype)

    monkeypatch.setattr(gpu_parts, "pick_device", lambda: torch.device("meta"))  # the only other one that is everywhere
    monkeypatch.setattr(gpu_parts, "FastLoss", Watched)
    rung = RUNGS[name]
    make = gpu_parts._their_loss if rung.transformers else gpu_parts._our_loss
    trained, _ = make(GPT2(GPT2Config(50, 8, 1, 2, 8)), rung, torch.bfloat16)
    assert {p.device.type for p in trained.parameters()} == {"meta"}
    expected = [] if rung.transformers or not rung.head else ["meta" if rung.compiled else "cpu"]
    assert found == expected


def test_the_full_models_are_the_documents_own():
    """A smaller DistilBART or GPT-Neo would be faster, and nobody would see it in the number."""
    from transformers import BartConfig, BartForConditionalGeneration

    with torch.device("meta"):
        bart, neo = BartForConditionalGeneration(BartConfig(**FULL.bart)), FULL.neo()
    assert round(sum(p.numel() for p in bart.parameters()) / 1e6, -1) == 230
    assert sum(p.numel() for p in neo.parameters()) == 1_315_575_808
    assert FULL.profile.source_tokens <= bart.config.max_position_embeddings
    assert (FULL.profile.block_size, FULL.profile.source_tokens, FULL.profile.summary_tokens) == (1024, 1024, 256)


def test_papers_are_as_long_as_the_profile_reads():
    """Shorter articles would take less time than those that the row speaks of."""
    p, tokenizer = TINY.profile, word_tokenizer(TINY.bart["vocab_size"])
    batch = seq2seq(encode(tokenizer, papers(TINY, 3), p.source_tokens, p.summary_tokens), tokenizer.pad_token_id)
    assert batch["input_ids"].shape == (3, p.source_tokens) and batch["attention_mask"].all()
    assert batch["labels"].shape == (3, p.summary_tokens) and len(tokenizer) == TINY.bart["vocab_size"]
    assert batch["labels"].min() >= len(SPECIAL)  # no padding, and no end, which no text of these models has


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_no_text_ends_before_its_last_token(temperature):
    """Random weights may end at the first token: the rate would count tokens that were never written."""
    model, _ = distilbart(TINY)
    ids = torch.randint(len(SPECIAL), TINY.bart["vocab_size"], (4, 20))
    texts = write(model, ids, torch.ones_like(ids), 24, temperature, torch.Generator().manual_seed(0))
    assert texts.shape == (4, 24) and texts.min() >= len(SPECIAL)


def test_an_update_reaches_every_weight(monkeypatch):
    """Autocast keeps copies of weights: made while texts are written, they would cut the gradient off, and be fast."""
    monkeypatch.setattr(policy, "mixed_precision", lambda model: torch.autocast("cpu", torch.bfloat16))
    seen = []
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda ps, norm: seen.extend(p.grad is not None for p in ps))
    gpu_parts.reinforce(TINY)()
    assert len(seen) > 30 and all(seen)


@pytest.mark.parametrize(
    ("build", "expected"),
    [(gpu_parts.supervise, torch.bfloat16), (partial(gpu_parts.supervise, fp32=True), torch.float32)],
)
def test_products_are_in_the_precision_of_the_rows_name(build, expected, monkeypatch):
    """Both rows would show the same number, and mixed precision would seem to give nothing."""
    monkeypatch.setattr(gpu_parts, "pick_dtype", lambda device: torch.bfloat16)
    products, linear = set(), nn.functional.linear
    monkeypatch.setattr(nn.functional, "linear", lambda *a: products.add((y := linear(*a)).dtype) or y)
    work = build(TINY)
    with torch.autocast("cpu", torch.bfloat16):  # as `finetune` does it on a GPU
        work()
    assert products == {expected}


@pytest.mark.parametrize(("method", "trained"), [(gpu_parts.LoRA, (16, 16)), (gpu_parts.PROMPT, (8, 16))])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_tuning_trains_what_it_says_and_checkpoints_when_it_says(method, trained, checkpointing):
    """With checkpointing off, or without effect, the row would promise memory that isn't saved."""
    work = gpu_parts.tune_neo(TINY, *method, checkpointing)
    model, calls = work.args[0], []
    neo = getattr(model, "backbone", model)
    neo.transformer.h[0].mlp.c_fc.register_forward_hook(lambda *_: calls.append(1))
    work()
    assert {tuple(p.shape) for p in model.parameters() if p.requires_grad} == {trained}
    assert len(calls) == (1 + checkpointing) * TINY.steps


def test_rounds_fit_into_the_time_that_the_waiting_jobs_leave(clock):
    """A slow GPU would need an hour for eight minutes' worth of rounds."""
    assert len(gpu.time_rounds(clock.work, most=9, ends=100)) == 9
    assert clock.now == 10  # one round warms up
    assert len(gpu.time_rounds(clock.work, most=9, ends=23, waiting=3)) == 4  # a third of the 12 s after warming up
    assert len(gpu.time_rounds(clock.work, most=9, ends=0)) == 1


def test_a_job_whose_time_is_over_is_not_begun(clock):
    """Building a model of 1.3 billion numbers takes time, too."""
    row = gpu.measure("tuning", Job("late", "texts", 1, partial(fails, AssertionError())), 9, ends=0, waiting=1)
    assert row["note"] == "no time left" and row["rate"] is None


def test_a_row_has_the_median_and_the_extremes(clock, monkeypatch):
    """A mean would let one stumble of the machine decide."""
    seconds = iter([9, 1, 2, 5])

    def work():
        clock.now += next(seconds)

    row = gpu.measure("a", job(work), 3, ends=100, waiting=1)
    assert (row["rate"], row["low"], row["high"], row["seconds"]) == (5, 2, 10, [1, 2, 5])


def test_what_does_not_fit_or_fails_is_a_row_and_the_rest_is_measured(clock, monkeypatch, results, capsys):
    """One model too large for a GPU would otherwise cost all that comes after it."""
    large = fails(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    sections(monkeypatch, a=[job(large), job(fails(RuntimeError("no compiler\nat all")))], b=[job(clock.work)])
    with pytest.raises(SystemExit, match="1 of 3 failed"):
        gpu.main(["--tiny"])
    rows = json.loads(results.read_text())["rows"]
    assert [row["note"] for row in rows] == ["out of memory", "failed: RuntimeError: no compiler", ""]
    assert [row["rate"] for row in rows] == [None, None, 10]
    assert "raise error" in capsys.readouterr().err  # where it failed, for whoever has to mend it


def test_a_batch_that_was_cut_is_called_so(clock, monkeypatch):
    """`finetune` goes on with smaller batches where memory runs out: another speed than that of whole ones."""
    monkeypatch.setattr(gpu, "memory_errors", iter([3, 4]).__next__)
    row = gpu.measure("tuning", job(clock.work), 1, ends=100, waiting=1)
    assert row["rate"] == 10 and "pieces" in row["note"]


def test_after_ctrl_c_what_was_measured_is_in_the_file(clock, monkeypatch, results):
    """Minutes of a rented GPU would be lost with the last one."""
    sections(monkeypatch, a=[job(clock.work)], b=[job(clock.work), job(fails(KeyboardInterrupt()))])
    with pytest.raises(SystemExit, match="interrupted"):
        gpu.main(["--tiny"])
    assert [row["section"] for row in json.loads(results.read_text())["rows"]] == ["a", "b"]


def test_each_section_is_written_when_it_ends(clock, monkeypatch, results):
    """A machine that is taken away takes no more than the section it was in."""
    found = []

    def look():
        clock.work()
        found.append([row["section"] for row in json.loads(results.read_text())["rows"]])

    sections(monkeypatch, a=[job(clock.work)], b=[job(look)])
    gpu.main(["--tiny"])
    assert found[0] == ["a"]


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA A100-SXM4-40GB", 312e12), ("NVIDIA H100 80GB HBM3", 989e12),
     ("NVIDIA H200", 989e12), ("NVIDIA H100 PCIe", None), ("NVIDIA A100-PCIE-40GB", None), ("NVIDIA H200 NVL", None),
     ("NVIDIA GH200 480GB", None), ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", None), ("Tesla T4", None)],
)  # fmt: skip
def test_mfu_is_against_the_sheet_of_this_gpu_or_of_none(name, peak, clock, monkeypatch):
    """A peak of another GPU makes any MFU come out, and none of them right."""
    found = gpu.sheet(name)
    assert (found and found.peak) == peak
    monkeypatch.setattr(gpu, "machine", lambda: name)
    row = gpu.measure("a", job(clock.work, amount=100e12, flops=2.0), 1, ends=100, waiting=1)
    assert row["MFU"] == (peak and pytest.approx(200e12 / peak))


def test_without_a_gpu_it_says_what_to_do(monkeypatch, results):
    """On a laptop the full models would seem to hang."""
    monkeypatch.setattr(gpu, "pick_device", lambda: torch.device("cpu"))
    with pytest.raises(SystemExit, match=r"no GPU.*--tiny"):
        gpu.main([])
    with pytest.raises(SystemExit, match="no time"):
        gpu.main(["--tiny", "--minutes", "0"])
    assert not results.exists()


def test_help_tells_what_it_costs(capsys):
    """Who rents a GPU wants to know before."""
    with pytest.raises(SystemExit) as done:
        gpu.main(["--help"])
    out = capsys.readouterr().out
    assert done.value.code == 0 and "eight minutes" in out and "--save" in out


@pytest.fixture
def published(tmp_path):
    """What a run on a GPU would have written, as `publish` does."""
    path = tmp_path / "published.json"
    content = {"rows": [{"what": "work", "rate": 1.0}], "tiny": False, "versions": {"torch": "2"},
               "hardware": {"gpus": ["NVIDIA H200, 150 GB"]}}  # fmt: skip
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def fake_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(gpu, "machine", lambda: "NVIDIA H200")


def test_a_gpus_numbers_are_kept_with_where_they_came_from(published, fake_gpu, tmp_path):
    """A number without its code, versions and machine can't be measured again."""
    path = gpu.save(published, tmp_path)
    kept = json.loads(path.read_text())
    assert path.name == "gpu-nvidia-h200.json" and kept["rows"] == [{"what": "work", "rate": 1.0}]
    assert kept["provenance"]["hardware"]["gpus"] and kept["provenance"]["versions"] == {"torch": "2", "cuda": "13.0"}
    assert "git" in kept["provenance"]


@pytest.mark.parametrize("change", [{"tiny": True}, {"hardware": {"gpus": []}}, {"rows": [{"rate": None}]}], ids=str)
def test_what_no_gpu_measured_is_not_kept(change, published, fake_gpu, tmp_path):
    """A laptop's or a small model's numbers under a GPU's name would be believed."""
    published.write_text(json.dumps(json.loads(published.read_text()) | change))
    with pytest.raises(LabError, match="run it again"):
        gpu.save(published, tmp_path)
    assert not list(tmp_path.glob("gpu-*.json"))


@pytest.mark.parametrize("arguments", [["--save"], ["--save", "--tiny"]])
def test_saving_is_refused_before_the_minutes_are_spent(arguments, monkeypatch, results):
    """Eight minutes for numbers that can't be kept."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="--save keeps what a"):
        gpu.main(arguments)
    assert not results.exists()
