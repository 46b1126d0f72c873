"""That notes make prompt tuning possible is a claim over seeds, and its arithmetic is within a seed."""

from __future__ import annotations

import json

import pytest

from benchmarks import prompt_tuning
from benchmarks.prompt_tuning import WITH, WITHOUT


def seed(notes: float, none: float) -> prompt_tuning.Scores:
    values = {"majority": 0.6, "TF-IDF": 0.75, WITH: notes, WITHOUT: none}
    return {name: {"accuracy": value, "macro_f1": value / 2, "seconds": 1.0} for name, value in values.items()}


def test_what_notes_are_worth_is_taken_within_a_seed():
    """Seeds differ more than backbones do: their spread must not widen the interval."""
    rows = {row["system"]: row for row in prompt_tuning.table([seed(0.8, 0.6), seed(0.9, 0.71), seed(0.7, 0.49)])}
    gain = rows["notes minus no notes"]
    assert gain["accuracy"] == pytest.approx(0.2) and gain["macro_f1"] == pytest.approx(0.1)
    assert 0.17 < gain["accuracy low"] < gain["accuracy"] < gain["accuracy high"] < 0.23
    assert rows["notes minus majority"]["accuracy"] == pytest.approx(0.2)
    assert rows[WITH]["accuracy high"] > 0.95 and len({tuple(row) for row in rows.values()}) == 1


def test_one_seed_has_no_interval_and_one_backbone_no_difference():
    alone = seed(0.8, 0.6)
    del alone[WITHOUT]
    rows = prompt_tuning.table([alone])
    assert {row["accuracy low"] for row in rows} == {None}
    assert "notes minus no notes" not in [row["system"] for row in rows]


@pytest.mark.parametrize("task", prompt_tuning.TASKS)
def test_it_runs_and_ctrl_c_keeps_what_was_finished(task, monkeypatch, tmp_path, capsys, corpus_cache):
    monkeypatch.setenv("LABKIT_RESULTS", str(tmp_path))
    honest = prompt_tuning.run_seed

    def run_seed(*args):
        if args[-1] == 1:
            raise KeyboardInterrupt
        return honest(*args)

    monkeypatch.setattr(prompt_tuning, "run_seed", run_seed)
    prompt_tuning.main(["--task", task, "--profile", "smoke", "--seeds", "2", "--train", "32", "--epochs", "0.5"])
    kept = json.loads((tmp_path / "bench" / f"prompt_tuning_{task}.json").read_text())
    assert [row["system"] for row in kept["rows"][:4]] == ["majority", "TF-IDF", WITH, WITHOUT]
    assert len(kept["seeds"]) == 1 and kept["task"] == task and kept["tested"] == 60
    assert "interrupted" in capsys.readouterr().out
