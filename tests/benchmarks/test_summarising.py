"""A faster writer counts only if it writes the same."""

from __future__ import annotations

import pytest

from benchmarks import summarising


def test_both_write_the_same_tokens(monkeypatch):
    row = summarising.measure("smoke", batch=2, rounds=1, sampled=False)
    assert row["same tokens"] and row["ratio"] == pytest.approx(
        row["labkit, abstracts/s"] / row["transformers, abstracts/s"]
    )
    honest = summarising.write
    monkeypatch.setattr(summarising, "write", lambda *args, **kwargs: honest(*args, **kwargs).flip(1))
    assert not summarising.measure("smoke", batch=2, rounds=1, sampled=False)["same tokens"]
