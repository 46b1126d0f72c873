"""Intervals must keep their promise: the course rules on other people's claims with them.

(`wilson` is tested with HellaSwag, whose accuracy it is for.)
"""

from __future__ import annotations

import math
import tracemalloc
from itertools import product

import numpy as np
import pytest

from labkit.evaluation import intervals
from labkit.evaluation.intervals import bootstrap, over_seeds, paired


def covered(interval, sample, truth: float, n: int = 300) -> float:
    """In which share of `n` samples the interval holds the truth."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(n):
        low, high = interval(sample(rng))
        held += low <= truth <= high
    return held / n


def test_bootstrap_holds_the_true_mean_as_often_as_it_says():
    """Of skewed values, as scores are; also at another confidence."""

    def exponential(rng):
        return rng.exponential(size=60)

    assert 0.90 < covered(lambda v: bootstrap(v, resamples=500), exponential, 1.0) < 0.98
    assert 0.73 < covered(lambda v: bootstrap(v, 0.8, resamples=500), exponential, 1.0) < 0.87


def test_over_seeds_holds_the_true_mean_and_a_normal_quantile_would_not():
    """With three runs, mean ± 1.96 errors misses every fifth truth: the lesson of too few seeds."""

    def three(rng):
        return rng.normal(size=3)

    def too_narrow(values):
        half = 1.96 * values.std(ddof=1) / math.sqrt(3)
        return values.mean() - half, values.mean() + half

    assert 0.93 < covered(over_seeds, three, 0.0, n=1000) < 0.97
    assert covered(too_narrow, three, 0.0, n=1000) < 0.85
    assert over_seeds([1, 2, 3]) == pytest.approx((2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)), abs=1e-4)
    assert over_seeds([0.5, 0.5]) == (0.5, 0.5)


def test_bootstrap_is_about_the_mean_s_standard_error_and_repeats_itself():
    values = np.random.default_rng(1).normal(3, 2, size=400)
    low, high = bootstrap(values)
    error = values.std() / math.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.02)
    assert bootstrap(values) == (low, high) != bootstrap(values, seed=1)
    assert bootstrap([0.25] * 5) == (0.25, 0.25)


def test_memory_stays_bounded(monkeypatch):
    """10,000 samples of 10,000 items at once would be 800 MB."""
    monkeypatch.setattr(intervals, "BATCH", 10_000)
    values = np.arange(1000.0)
    paired(values[:20], values[:20])  # imports scipy
    tracemalloc.start()
    paired(values, values[::-1], resamples=300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000  # all 300 samples at once: 12 MB


def test_paired_finds_a_difference_that_two_intervals_hide():
    """Items differ far more than systems do: planted is a tenth of the items' spread."""
    rng = np.random.default_rng(0)
    item = rng.normal(size=200)
    a, b = item + 0.1 + rng.normal(0, 0.2, size=200), item + rng.normal(0, 0.2, size=200)
    difference = paired(a, b)
    assert 0 < difference.low < difference.mean < difference.high
    assert difference.mean == pytest.approx((a - b).mean())
    assert difference.p < 0.001
    assert bootstrap(a)[0] < bootstrap(b)[1], "the two intervals overlap"
    assert paired(a, rng.permutation(b)).p > 0.05, "pairs that are mixed up must cost the finding"


def test_paired_p_is_exact_for_few_items():
    """From the definition: all ways to set the signs."""
    a, b = [3.0, 1.0, 4.0, 1.5, 5.0], [2.0, 1.5, 1.0, 1.0, 2.5]
    d = np.subtract(a, b)
    means = [np.dot(signs, d) for signs in product([-1, 1], repeat=5)]
    expected = sum(abs(mean) >= abs(d.sum()) - 1e-12 for mean in means) / 32
    assert paired(a, b).p == pytest.approx(expected) == pytest.approx(paired(b, a).p)
    assert paired(a, a) == (0, 0, 0, 1)


def test_p_is_below_5_percent_in_5_percent_of_nothing():
    """Two like systems: a test that calls more of them different would find effects in noise."""
    rng = np.random.default_rng(0)
    found = [paired(*rng.exponential(size=(2, 40)), resamples=200).p < 0.05 for _ in range(400)]
    assert 0.02 < np.mean(found) < 0.08


@pytest.mark.parametrize("interval", [bootstrap, over_seeds, lambda v: paired(v, v)])
@pytest.mark.parametrize("values", [[], [1.0]])
def test_nothing_and_one_have_no_interval(interval, values):
    """An interval of a single run would look like certainty."""
    with pytest.raises(ValueError, match="no interval"):
        interval(values)


def test_pairs_of_unequal_number_are_an_error():
    with pytest.raises(ValueError, match="3 and 2 values"):
        paired([1, 2, 3], [1, 2])
