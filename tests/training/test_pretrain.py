"""The training loop: two processes are one, an interrupted run is an uninterrupted one, and it does learn."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import pytest
import torch
from training.conftest import gloo_threads

from labkit.models.files import load_model
from labkit.profile import LabError
from labkit.training.checkpoint import load_checkpoint, newest_checkpoint
from labkit.training.launch import LaunchError, launch, threads_per_process
from labkit.training.log import read_log
from labkit.training.pretrain import PretrainConfig, parse_args, pretrain

SHORT = {
    "profile": "smoke", "recipe": "adamw", "batch_size": 4, "micro_batch_size": 2, "max_steps": 40, "warmup_steps": 4,
    "eval_every": 10, "eval_tokens": 512, "dtype": "float32",
}  # fmt: skip

THREADS = threads_per_process(2)  # for every run here: the number of threads changes the order of additions


def losses(rows: list[dict]) -> list[float]:
    return [row["loss"] for row in rows if "loss" in row]


@pytest.fixture(scope="module")
def one(tmp_path_factory, corpus_cache):
    """Forty steps in this process, two micro-batches a step."""
    out, before = tmp_path_factory.mktemp("one"), torch.get_num_threads()
    torch.set_num_threads(THREADS)
    rows = pretrain(PretrainConfig(out=str(out), **SHORT), echo=lambda _: None)
    torch.set_num_threads(before)
    return out, rows


def test_it_starts_at_ln_v_and_learns(one):
    _, rows = one
    validation = [row["val_loss"] for row in rows if "val_loss" in row]
    assert validation[0] == pytest.approx(math.log(1024), abs=0.05)
    assert validation[-1] < validation[0] - 0.5


def test_two_processes_give_the_losses_of_one(one, tmp_path):
    """The bug this finds: gradients that are never averaged, or a loss divided by the wrong number."""
    with gloo_threads(tmp_path / "threads") as left:
        launch("labkit.training.pretrain", nproc=2, out=tmp_path, echo=lambda _: None, **SHORT)
    assert left() == {"0": [], "1": []}
    rows = read_log(tmp_path / "log.jsonl")
    assert losses(rows) == pytest.approx(losses(one[1]), abs=5e-6)
    two, alone = (load_model(folder / "model")[0] for folder in (tmp_path, one[0]))
    for p, q in zip(two.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-4, rtol=0)


def test_the_log_has_every_step_and_every_evaluation(one):
    out, rows = one
    assert read_log(out / "log.jsonl") == rows
    assert [row["step"] for row in rows if "loss" in row] == list(range(40))
    assert [row["step"] for row in rows if "val_loss" in row] == [0, 10, 20, 30, 40]


def test_the_model_it_leaves_is_the_one_it_trained(one):
    out, _ = one
    model, tokenizer = load_model(out / "model")
    saved = load_checkpoint(newest_checkpoint(out / "checkpoints"))
    assert saved["step"] == 40 and torch.equal(model.wte.weight, saved["model"]["wte.weight"])
    assert tokenizer.decode(tokenizer.encode("a list of strings")) == "a list of strings"


def test_resuming_another_run_is_refused(one):
    out, _ = one
    other = PretrainConfig(out=str(out), resume="auto", **{**SHORT, "max_lr": 0.5})
    with pytest.raises(LabError, match="another max_lr"):
        pretrain(other, echo=lambda _: None)


def test_a_batch_that_does_not_divide_says_what_would(tmp_path):
    with pytest.raises(LabError, match="take a multiple of 3"):
        pretrain(PretrainConfig(out=str(tmp_path), **{**SHORT, "micro_batch_size": 3}))


def test_a_mistake_on_the_command_line_is_one_clear_line(tmp_path):
    command = [sys.executable, "-m", "labkit.training.pretrain", "--profile=labtop", f"--out={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.strip().startswith("pretrain: unknown profile 'labtop': did you mean")
    with pytest.raises(LaunchError, match="did you mean 'smoke'"):
        launch("labkit.training.pretrain", nproc=2, echo=lambda _: None, profile="smok", out=tmp_path)


def test_the_reports_rate_is_three_times_gpt3s(tmp_path, corpus_cache):
    rates = []
    for recipe in ("gpt3", "paper"):
        config = PretrainConfig(out=str(tmp_path / recipe), **{**SHORT, "recipe": recipe, "max_steps": 6})
        rows = pretrain(config, echo=lambda _: None)
        rates.append([row["lr"] for row in rows if "lr" in row])
    assert rates[1] == pytest.approx([3 * lr for lr in rates[0]])


def test_an_unknown_recipe_is_named(tmp_path):
    with pytest.raises(LabError, match="did you mean 'muon'"):
        pretrain(PretrainConfig(out=str(tmp_path), **{**SHORT, "recipe": "moun"}))


def test_every_setting_is_a_command_line_option():
    config = parse_args(["--out", "x", "--max-steps", "7", "--max-lr", "0.5", "--resume", "auto", "--source", "local"])
    expected = {"max_steps": 7, "max_lr": 0.5, "resume": "auto", "source": "local"}
    assert config == dataclasses.replace(PretrainConfig(out="x"), **expected)
    with pytest.raises(SystemExit):
        parse_args(["--max-steps", "7"])  # without --out
