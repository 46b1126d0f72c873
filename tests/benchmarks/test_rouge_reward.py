"""The reward's speed counts only if it is the same reward: the row must say so, and be able to say no."""

from __future__ import annotations

import pytest

from benchmarks import rouge


def test_the_row_has_rates_their_ratio_and_no_difference():
    row = rouge.measure(rouge.random_pairs(3, 20), rounds=1)
    assert row["ratio"] == pytest.approx(row["labkit, pairs/s"] / row["rouge-score, pairs/s"])
    assert row["largest difference"] == 0


def test_a_wrong_reward_shows_in_the_row(monkeypatch):
    """A quick reward that is off in the last digit must not come out as equal."""
    honest = rouge.rouge_l
    monkeypatch.setattr(rouge, "rouge_l", lambda *pair: honest(*pair) + 2**-50)
    assert 0 < rouge.measure(rouge.random_pairs(3, 20), rounds=1)["largest difference"] < 1e-14


def test_pairs_have_the_length_that_is_claimed_and_something_in_common():
    """Pairs without a common word would be scored in no time by any scorer."""
    pairs = rouge.random_pairs(5, 30)
    assert pairs == rouge.random_pairs(5, 30) != rouge.random_pairs(5, 30, seed=1)
    for first, second in pairs:
        assert len(first.split()) == len(second.split()) == 30 and rouge.rouge_l(first, second) > 0
