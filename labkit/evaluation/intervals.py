"""How sure is a number? Confidence intervals, and a test for the difference of two systems.

Each says what was drawn by chance: `wilson` and `bootstrap` the items (another test set would give another score),
`paired` the items that two systems were both measured on, `over_seeds` the training runs. None knows of the others'
chance: an interval over items says nothing about another seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

import numpy as np

BATCH = 1_000_000  # numbers drawn at a time: 40 MB, with scipy's copies of them


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a proportion, from `successes` among `n` independent trials (Wilson 1927).

    Unlike p ± 1.96·√(p(1−p)/n) it stays within 0–1 and keeps its promise for few trials and for p near 0 or 1.
    Raises `ValueError` for no trials, or more successes than trials.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes in {n} trials have no interval")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, shrink = successes / n, 1 + z * z / n
    middle = (p + z * z / (2 * n)) / shrink
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(
    values: Sequence[float], confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """The interval of a mean over items, from samples of the items with replacement (Efron 1979, percentiles).

    It asks nothing of the values' distribution, and is too narrow for fewer than about 20 of them. The same seed gives
    the same interval. Raises `ValueError` for fewer than two values. 10,000 samples of 1,000 values take about 0.1 s.
    """
    from scipy import stats  # half a second: too long for who only wants `wilson`

    found = stats.bootstrap(
        (_at_least_two(values),),
        np.mean,
        confidence_level=confidence,
        n_resamples=resamples,
        batch=max(1, BATCH // len(values)),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


class Difference(NamedTuple):
    """The mean of a − b over items, its interval, and how often chance alone would give one as large (`p`)."""

    mean: float
    low: float
    high: float
    p: float


def paired(
    a: Sequence[float], b: Sequence[float], confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Difference:
    """Two systems measured on the same items: `a[i]` and `b[i]` are their values on item i.

    What makes an item hard for both falls out, so much smaller differences show than in two separate intervals. The
    interval is `bootstrap`'s. `p` is two-sided: were the systems alike, each difference could as well have the other
    sign, so signs are flipped by chance (Fisher 1935), or in all ways if they are no more than `resamples`; otherwise
    p is 2 / (resamples + 1) or more. Half a second for 1,000 items. Raises `ValueError` for unequal lengths and for
    fewer than two items.
    """
    from scipy import stats

    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} values: a pair needs one of each system on the same item")
    differences = _at_least_two(np.subtract(a, b))
    test = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=resamples,
        batch=max(1, BATCH // len(differences)),
        rng=np.random.default_rng(seed),
    )
    low, high = bootstrap(differences, confidence, resamples, seed)
    return Difference(float(differences.mean()), low, high, float(test.pvalue))


def over_seeds(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a mean over training runs that differ in nothing but the seed (Student 1908).

    For a handful of runs, each value one run's score: it is wide because it must be. Takes the scores to be normally
    distributed. Raises `ValueError` for fewer than two values.
    """
    from scipy import stats

    _at_least_two(values)
    mean, error = fmean(values), stdev(values) / math.sqrt(len(values))
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return mean - half, mean + half


def _at_least_two(values: Sequence[float]) -> np.ndarray:
    if len(values) < 2:
        raise ValueError(f"{len(values)} values have no interval: it takes two, and many for a narrow one")
    return np.asarray(values, dtype=float)
