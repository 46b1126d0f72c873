"""The order in which a text is read: every window once an epoch, as if drawn, and known without being written down."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.tasks.corpus import shuffle


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 3000), seed=st.integers(-(2**40), 2**40), epoch=st.integers(0, 10**6))
def test_every_number_has_one_place(n, seed, epoch):
    """A number twice, or left out, is a window read twice an epoch, or never. Squares and their neighbours included."""
    for size in {n, int(n**0.5) ** 2 or 1, int(n**0.5) ** 2 + 1}:
        assert np.array_equal(np.sort(shuffle(np.arange(size), size, seed, epoch)), np.arange(size))


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 2**40), places=st.lists(st.integers(0, 2**40), min_size=1, max_size=20), seed=st.integers(0, 99)
)
def test_a_place_is_known_by_itself(n, places, seed):
    """Ranks and resumed runs ask for a few places only and in other company; the numbers stay below n and apart."""
    places = np.array([place % n for place in places])
    numbers = shuffle(places, n, seed, epoch=1)
    assert ((numbers >= 0) & (numbers < n)).all() and numbers.dtype == np.int64
    assert len(np.unique(numbers)) == len(np.unique(places))
    assert [shuffle(places[i : i + 1], n, seed, epoch=1)[0] for i in range(len(places))] == numbers.tolist()


@pytest.mark.parametrize("n", [2, 3, 7, 16, 17])
def test_each_number_is_as_likely_at_each_place(n):
    """χ² over 2,000 seeds: an order that favours some windows early would bias every short run."""
    draws = 2000
    count = np.zeros((n, n))
    for seed in range(draws):
        count[np.arange(n), shuffle(np.arange(n), n, seed, epoch=0)] += 1
    chi2, freedom = ((count - draws / n) ** 2 / (draws / n)).sum(), (n - 1) ** 2
    assert abs(chi2 - freedom) < 4 * (2 * freedom) ** 0.5 + 4


def test_neighbours_part_and_epochs_differ():
    """Neighbouring windows are of one document: they must not stay together, nor meet again in the next epoch."""
    n = 100_000
    first, second = (shuffle(np.arange(n), n, seed=0, epoch=epoch) for epoch in (0, 1))
    for a, b in (
        (first[:-1], first[1:]),
        (first, second),
        (first, np.arange(n)),
        (first, shuffle(np.arange(n), n, 1, 0)),
    ):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / n**0.5  # five standard errors
    assert (np.abs(np.diff(first)) == 1).sum() < 20  # 2 are expected


def test_a_batch_of_a_long_text_takes_no_memory():
    """Half a billion tokens in windows of 256 are two million places: nothing of that size may be made."""
    tracemalloc.start()
    shuffle(np.arange(8), 2_000_000, seed=0, epoch=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
