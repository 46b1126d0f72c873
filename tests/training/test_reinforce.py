"""Reinforcement on processes of its own: gradients truly averaged, whatever the number of processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from training.conftest import gloo_threads

from labkit.models.bart import load_bart, new_bart, train_tokenizer
from labkit.profile import LabError, resolve
from labkit.tasks.summarisation import load_papers
from labkit.training.launch import launch
from labkit.training.reinforce import ReinforceConfig, parse_args, reinforce

SHORT = {"profile": "smoke", "updates": 4, "papers": 4, "samples": 2, "eval_every": 2, "method": "rloo"}


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> str:
    """A tiny untrained model in a folder, as a notebook leaves one."""
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    papers = load_papers(resolve("smoke")).train[:50]
    tokenizer = train_tokenizer([text for paper in papers for text in (paper.article, paper.abstract)], 300)
    new_bart(tokenizer, 16, 1, 1, 128).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def alone(start, tmp_path_factory) -> tuple[list[dict], str]:
    out = str(tmp_path_factory.mktemp("one"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = reinforce(ReinforceConfig(model=start, out=out, **SHORT), echo=lambda line: None)
    torch.set_num_threads(before)
    return rows["rloo"], out + "/rloo"


def test_the_log_has_every_update_and_every_evaluation(alone):
    rows, _ = alone
    assert [row["step"] for row in rows if "reward" in row] == [0, 1, 2, 3]
    assert [row["step"] for row in rows if "rougeL" in row] == [0, 2, 4]
    assert all(0 <= row["reward"] <= 1 for row in rows if "reward" in row)


def test_the_model_moved_and_can_be_loaded(alone, start):
    (before, _), (after, tokenizer) = load_bart(Path(start)), load_bart(Path(alone[1]) / "model")
    assert not torch.equal(before.model.shared.weight, after.model.shared.weight) and len(tokenizer) <= 300


def test_two_processes_take_the_steps_of_one(alone, start, tmp_path):
    """The report called the bare model past DDP's wrapper: each process then trains a copy of its own.

    The method that ran before leaves no trace.
    """
    both = {**SHORT, "method": "cross-entropy,rloo"}
    with gloo_threads(tmp_path / "threads") as left:
        launch("labkit.training.reinforce", nproc=2, model=start, out=tmp_path, echo=lambda line: None, **both)
    assert left() == {"0": [], "1": []}
    assert (tmp_path / "cross-entropy" / "model").is_dir()
    theirs = [json.loads(line) for line in (tmp_path / "rloo" / "log.jsonl").read_text().splitlines()]
    for one, two in zip(alone[0], theirs, strict=True):
        for name in set(one) - {"seconds"}:
            assert two[name] == pytest.approx(one[name], abs=1e-4), (one["step"], name)
    (a, _), (b, _) = load_bart(Path(alone[1]) / "model"), load_bart(tmp_path / "rloo" / "model")
    torch.testing.assert_close(a.state_dict(), b.state_dict(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "scst,rlo"}, "did you mean 'rloo'"),
        ({"reward": "rouge"}, "did you mean 'rougeL'"),
        ({"papers": 5}, "divide"),
        ({"model": "nowhere"}, "train one first"),
    ],
)
def test_what_cannot_run_says_why(start, tmp_path, change, said):
    settings = {"model": start, "out": str(tmp_path), **SHORT, **change}
    with pytest.raises(LabError, match=said):
        reinforce(ReinforceConfig(**settings), echo=lambda line: None)


def test_the_command_line_has_every_setting():
    c = parse_args(["--model", "a", "--out", "b", "--method", "scst", "--eval-every", "7", "--lr", "1e-3"])
    assert c == ReinforceConfig(model="a", out="b", method="scst", eval_every=7, lr=1e-3)
