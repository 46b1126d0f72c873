"""The comparison of tuning methods over seeds: its arithmetic, and that Ctrl-C loses no finished seed."""

from __future__ import annotations

import json

import pytest

from benchmarks import tuning
from labkit.models.adapters import METHODS
from labkit.profile import resolve
from labkit.training.compare_tuning import load_task


def seed(accuracy: float) -> tuning.Rows:
    same = {"trainable": 7, "macro_f1": 0.5, "forgetting": 0.1, "seconds": 1.0, "memory_mb": 2.0, "disk_kb": 3.0}
    return {"lora": {"accuracy": accuracy, **same}}


def test_a_row_is_the_mean_of_its_seeds_with_their_interval():
    (row,) = tuning.table([seed(0.7), seed(0.8), seed(0.9)])
    assert row["accuracy"] == pytest.approx(0.8) and row["trainable"] == 7
    assert row["accuracy low"] < 0.7 and row["accuracy high"] > 0.9  # Student's, of three
    assert row["forgetting low"] == row["forgetting high"] == pytest.approx(0.1)


def test_one_seed_has_no_interval():
    assert tuning.table([seed(0.7)])[0]["accuracy low"] is None


@pytest.fixture(scope="module")
def task():
    return load_task(resolve("smoke", "embedded", 0), n_test=6, n_prose=4)


def test_every_method_is_run_once_from_the_same_backbone(task):
    found = tuning.run_seed(task, 0, steps=1)
    assert list(found) == list(METHODS)
    again = tuning.run_seed(task, 0, steps=1, methods=["lora"])
    for name in tuning.MEASURED:
        assert again["lora"][name] == pytest.approx(found["lora"][name]), "a method before it changed the backbone"


def test_ctrl_c_keeps_the_seeds_that_were_finished(task, tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_RESULTS", str(tmp_path))
    monkeypatch.setattr(tuning, "load_task", lambda lab: task)
    done = iter([seed(0.7), seed(0.9)])

    def run(task, number, steps):
        if number == 2:
            raise KeyboardInterrupt
        return next(done)

    monkeypatch.setattr(tuning, "run_seed", run)
    tuning.main(["--profile", "smoke", "--seeds", "5"])
    written = json.loads((tmp_path / "bench" / "tuning.json").read_text())
    assert len(written["seeds"]) == 2 and written["rows"][0]["accuracy"] == pytest.approx(0.8)
