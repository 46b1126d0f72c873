"""A claim over seeds is worth what its arithmetic is."""

from __future__ import annotations

import pytest

from benchmarks import reinforce
from labkit.tasks.synthetic_papers import synthetic_papers


def seed(rloo: float, control: float) -> dict[str, dict[str, float]]:
    other = {"words": 10.0, "clean": 1.0}
    return {"rloo": {"rougeL": rloo, **other}, "cross-entropy": {"rougeL": control, **other}}


def test_gains_are_taken_within_a_seed():
    """Seeds differ more than methods do: their spread must not widen the interval."""
    row, control = reinforce.table([seed(0.60, 0.57), seed(0.70, 0.66), seed(0.50, 0.48)])
    assert row["minus cross-entropy"] == pytest.approx(0.03)
    assert 0 < row["low"] < 0.03 < row["high"] < 0.06
    assert control["minus cross-entropy"] == 0 and control["low"] is None


def test_one_seed_has_no_interval():
    assert reinforce.table([seed(0.6, 0.5)])[0]["low"] is None


def test_a_seed_runs_every_method_from_its_own_start():
    papers = synthetic_papers(0, 4, optional=True).test
    found = reinforce.run_seed("smoke", 0, updates=1, papers=papers)
    assert list(found) == ["start", *reinforce.METHODS]
    assert all(0 <= value <= 1 for scores in found.values() for name, value in scores.items() if name != "words")
