"""What each method saves of the first task, over seeds: its arithmetic, and that Ctrl-C loses no finished seed."""

from __future__ import annotations

import json

import pytest

from benchmarks import continual
from labkit.profile import resolve
from labkit.training.continual import load_tasks
from labkit.training.learners import LEARNERS


def seed(recovered: float | None, average: float = 0.6) -> continual.Rows:
    same = {"first": 0.5, "forgotten": 0.1, "backward": -0.1, "forward": 0.0, "kept_kb": 2.0, "seconds": 1.0}
    return {"ewc": {"recovered": recovered, "average": average, "matrix": [[1.0]], **same}}


def test_a_row_is_the_mean_of_its_seeds_with_their_interval():
    (row,) = continual.table([seed(0.5), seed(0.6), seed(0.7)])
    assert row["recovered"] == pytest.approx(0.6) and row["kept_kb"] == 2.0
    assert row["recovered low"] < 0.5 and row["recovered high"] > 0.7  # Student's, of three
    assert row["forgotten low"] == row["forgotten high"] == pytest.approx(0.1)


def test_one_number_has_no_interval_and_nothing_lost_no_share():
    """A seed in which naive tuning forgot nothing says nothing about who saves what."""
    (row,) = continual.table([seed(None, 0.6), seed(0.4, 0.7)])
    assert (row["recovered"], row["recovered low"]) == (0.4, None) and row["average"] == pytest.approx(0.65)
    assert continual.table([seed(None)])[0]["recovered"] is None


@pytest.fixture(scope="module")
def sequence(corpus_cache):
    return load_tasks(resolve("smoke", "embedded", 0))


def test_every_method_is_run_once_and_held_against_naive(sequence):
    found = continual.run_seed(sequence, 0, steps=1, n_test=6)
    assert list(found) == list(LEARNERS) and len(found["naive"]["matrix"]) == 3
    lost = found["naive"]["forgotten"]
    assert found["naive"]["recovered"] == (0 if lost > 0 else None)
    again = continual.run_seed(sequence, 0, steps=1, n_test=6, methods=["naive", "lora"])
    assert again["lora"]["matrix"] == found["lora"]["matrix"], "a method before it changed the backbone"


def test_ctrl_c_keeps_the_seeds_that_were_finished(sequence, tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_RESULTS", str(tmp_path))
    monkeypatch.setattr(continual, "load_tasks", lambda lab: sequence)
    done = iter([seed(0.5), seed(0.7)])

    def run(sequence, number, steps):
        if number == 2:
            raise KeyboardInterrupt
        return next(done)

    monkeypatch.setattr(continual, "run_seed", run)
    continual.main(["--profile", "smoke", "--seeds", "5"])
    written = json.loads((tmp_path / "bench" / "continual.json").read_text())
    assert len(written["seeds"]) == 2 and written["rows"][0]["recovered"] == pytest.approx(0.6)
