"""Speed-ups of generation count only between ways that do the same: the benchmark has to notice when they don't."""

from __future__ import annotations

import pytest
import torch

from benchmarks import generation
from labkit.profile import LabError


def test_rows_have_rates_and_the_ratios_of_them():
    (row,) = generation.measure("smoke", new_tokens=6, rounds=1, batches=(2,))
    assert row["batch"] == 2
    assert row["cached / naive"] == pytest.approx(row["cached, tokens/s"] / row["naive, tokens/s"])
    assert row["cached / transformers"] == pytest.approx(row["cached, tokens/s"] / row["transformers, tokens/s"])


def test_all_ways_make_as_many_tokens_as_are_counted():
    """An end-of-text token that stops `transformers` early would flatter it."""
    for way in generation.contenders("smoke", 3, 9).values():
        assert way().shape == (3, 10)


def test_other_tokens_are_an_error(monkeypatch):
    """A cache that is fast and wrong must not come out as a number."""

    def wrong(*args, **kwargs):
        ways = honest(*args, **kwargs)
        return ways | {"cached": lambda: torch.zeros_like(ways["naive"]())}

    honest = generation.contenders
    monkeypatch.setattr(generation, "contenders", wrong)
    with pytest.raises(LabError, match="cached: other tokens"):
        generation.measure("smoke", new_tokens=3, rounds=1, batches=(1,))
