"""A gain by pretraining is one within a seed, on the same sentences."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import ner
from labkit.evaluation.entities import entity_scores

OTHER = "LoRA, random backbone"


def run(seed: int, way: str, right: int) -> ner.Run:
    """Of ten entities in each of 30 sentences, so many are found, and as many are made up."""
    counts = np.tile([10, 10, right], (30, 1))
    return ner.Run(seed, way, entity_scores([["B-DNA"]], [["B-DNA"]]), counts, 1.0)


def test_differences_are_taken_within_a_seed():
    """Also if the seeds themselves lie far apart."""
    rows = ner.table([run(0, "LoRA", 9), run(0, OTHER, 4), run(1, "LoRA", 6), run(1, OTHER, 2)])
    within = [row["entity F1"] for row in rows if row["way"] == "LoRA − random"]
    assert within == pytest.approx([0.5, 0.4])
    assert rows[-1]["entity F1"] == pytest.approx(0.45) and rows[-1]["low"] < 0.4 < 0.5 < rows[-1]["high"]
    assert len({tuple(row) for row in rows}) == 1, "a table has the same columns in each row"


def test_half_a_seed_has_no_difference():
    assert [row["way"] for row in ner.table([run(0, "LoRA", 9), run(0, "full", 9)])] == ["LoRA", "full"]


def test_it_runs_and_ctrl_c_keeps_what_was_finished(monkeypatch, tmp_path, capsys, corpus_cache):
    monkeypatch.setenv("LABKIT_RESULTS", str(tmp_path))
    honest = ner.train

    def train(*args):
        if args[4] == 1:
            raise KeyboardInterrupt
        return honest(*args)

    monkeypatch.setattr(ner, "train", train)
    ner.main(["--profile", "smoke", "--seeds", "2", "--epochs", "0.1", "--train", "40", "--test", "8"])
    kept = json.loads((tmp_path / "bench" / "ner.json").read_text())
    assert [row["way"] for row in kept["rows"]] == [*ner.WAYS, "LoRA − random"]
    assert kept["sentences"] == "synthetic biomedical sentences" and kept["epochs"] == 0.1
    assert "interrupted" in capsys.readouterr().out
