"""An agreement that is too high makes an opinion a finding: it is held against published examples and definitions."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from labkit.evaluation.agreement import alpha, alpha_interval, weighted_kappa
from labkit.profile import LabError

_ = None
# Krippendorff 2011, example C: four observers, twelve units, some ratings missing.
EXAMPLE = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]


def rated(n: int, noise: float, seed: int = 0, raters: int = 3) -> np.ndarray:
    """`n` units from 1 to 5, rated with noise (raters, units)."""
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(rng.uniform(1, 5, n) + rng.normal(0, noise, (raters, n))), 1, 5)


@pytest.mark.parametrize("level, published", [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_krippendorffs_example(level, published):
    assert alpha(EXAMPLE, level) == pytest.approx(published, abs=5e-4)
    assert alpha(pd.DataFrame(EXAMPLE), level) == alpha(EXAMPLE, level) == alpha(EXAMPLE[::-1], level)


def test_alpha_of_two_raters_is_its_definition():
    """Interval, nothing missing: mean squared difference within units by that among all ratings."""
    a, b = table = rated(50, 0.8, raters=2)
    among = np.mean([(x - y) ** 2 for x, y in permutations(table.flatten(), 2)])
    assert alpha(table, "interval") == pytest.approx(1 - np.mean((a - b) ** 2) / among)


def test_a_unit_that_one_rated_says_nothing_and_chance_is_zero():
    alone = [[*row, 5 if i == 0 else _] for i, row in enumerate(EXAMPLE)]
    assert alpha(alone) == pytest.approx(alpha(EXAMPLE))
    guessed = np.random.default_rng(0).integers(1, 6, (3, 4_000))
    for level in ("nominal", "ordinal", "interval"):
        assert alpha(guessed, level) == pytest.approx(0, abs=0.03)
        assert alpha([guessed[0]] * 3, level) == 1
    assert alpha([[1, 5, 1, 5], [5, 1, 5, 1]]) < 0, "who always disagrees is worse than chance"


def test_kappa_is_its_definition_over_the_whole_scale():
    """Nobody gives a 3: without it in the scale, 2 and 4 would be as near as neighbours."""
    a, b = np.array([2, 4, 5, 5, 1, 2]), np.array([2, 4, 4, 5, 2, 1])
    by_chance = np.mean([(x - y) ** 2 for x in a for y in b])
    assert weighted_kappa(a, b) == pytest.approx(1 - np.mean((a - b) ** 2) / by_chance)
    assert weighted_kappa([*a, _, 3], [*b, 4, math.nan]) == weighted_kappa(a, b)
    assert weighted_kappa(a, a) == 1 and math.isnan(weighted_kappa([3, 3], [3, 3]))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    truth = alpha(rated(20_000, 0.8))
    intervals = [alpha_interval(rated(60, 0.8, seed), resamples=400, seed=seed) for seed in range(1, 201)]
    assert 0.90 < np.mean([low <= truth <= high for low, high in intervals]) < 0.99


def test_units_of_one_item_are_not_independent():
    """Every unit twice: the same evidence, so the same interval if items are named, a falsely narrow one if not."""
    once = rated(40, 0.8)
    names = [f"item {i}" for i in range(40)]
    twice = np.hstack([once, once])
    width = {
        name: np.ptp(alpha_interval(table, items=items))
        for name, table, items in (
            ("once", once, None),
            ("named", twice, names * 2),
            ("unnamed", twice, None),
        )
    }
    assert width["named"] == pytest.approx(width["once"], rel=0.1)
    assert width["unnamed"] < 0.8 * width["once"]
    assert alpha_interval(once) == alpha_interval(once) != alpha_interval(once, seed=1)


def test_what_cannot_be_said_is_not():
    assert math.isnan(alpha([[3, 3], [3, 3]]))
    with pytest.raises(ValueError, match="two rated"):
        alpha([[1, _], [_, 2]])
    with pytest.raises(LabError, match=r"'ordnal'.*did you mean 'ordinal'"):
        alpha(EXAMPLE, "ordnal")
    for pair in ([[_], [1]], [[6, 1], [5, 1]], [[2.5, 1], [5, 1]]):
        with pytest.raises(ValueError, match="both rated"):
            weighted_kappa(*pair)
