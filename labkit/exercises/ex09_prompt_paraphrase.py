"""The exercises of notebook 09: F1, how far a score is from nothing, and which of two systems is better.

The reference answers count.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from labkit.exercises.exercise import Case, Exercise, Mistake

Labels = list[int]

# --- 09-f1 ------------------------------------------------------------------------------------------------


def f1(truth: Labels, predicted: Labels) -> float:
    """F1 (0–1) of label 1; 0 if nobody has it or predicts it."""
    both, has, says = _counts(truth, predicted)
    return 2 * both / (has + says) if has + says else 0.0


def _counts(truth: Labels, predicted: Labels, label: int = 1) -> tuple[int, int, int]:
    """How many have the label and are predicted it, how many have it, and how many are predicted it."""
    both = sum(t == p == label for t, p in zip(truth, predicted, strict=True))
    return both, truth.count(label), predicted.count(label)


def _from_counts(rule: Callable[[int, int, int], float]) -> Callable[[Labels, Labels], float]:
    """A rule of the three counts, but 0 where a 0 stands below the line."""

    def answer(truth: Labels, predicted: Labels) -> float:
        both, has, says = _counts(truth, predicted)
        return rule(both, has, says) if has and says else 0.0

    return answer


def _of_zero(truth: Labels, predicted: Labels) -> float:
    return f1([1 - t for t in truth], [1 - p for p in predicted])


def _accuracy(truth: Labels, predicted: Labels) -> float:
    return sum(t == p for t, p in zip(truth, predicted, strict=True)) / len(truth)


def _random_labels() -> tuple[Labels, Labels]:
    g = random.Random(0)
    truth = [int(g.random() < 0.67) for _ in range(60)]
    return truth, [t if g.random() < 0.7 else 1 - t for t in truth]


_F1 = Exercise(
    id="09-f1",
    wants="f1",
    difficulty="easy",
    minutes=5,
    reference=f1,
    cases=(
        Case("2 of 3 pairs are equivalent, and all are called so: 2 · 2 / (2 + 3)", lambda: ([1, 1, 0], [1, 1, 1])),
        Case("1 right, 1 missed, 2 false alarms", lambda: ([1, 1, 0, 0, 0], [1, 0, 1, 1, 0])),
        Case("60 pairs", _random_labels),
        Case("nobody predicts it: F1 is 0", lambda: ([1, 0, 1], [0, 0, 0])),
        Case("nobody has it, and nobody predicts it: F1 is 0", lambda: ([0, 0], [0, 0])),
    ),
    mistakes=(
        Mistake(
            "that is precision: what is missed costs nothing",
            "Missed pairs must count too: 2 · both / (those that have the label + those predicted it).",
            _from_counts(lambda both, has, says: both / says),
        ),
        Mistake(
            "that is recall: calling everything equivalent would be perfect",
            "False alarms must count too: 2 · both / (those that have the label + those predicted it).",
            _from_counts(lambda both, has, says: both / has),
        ),
        Mistake(
            "that is the plain mean of precision and recall",
            "F1 is their harmonic mean, 2 · P · R / (P + R), which is near the smaller one.",
            _from_counts(lambda both, has, says: (both / has + both / says) / 2),
        ),
        Mistake(
            "the 2 is missing, or the pairs that are right are counted twice below the line",
            "F1 = 2 · both / (those that have the label + those predicted it).",
            _from_counts(lambda both, has, says: both / (has + says)),
        ),
        Mistake(
            "pairs that are right are counted once below the line: that is the Jaccard index",
            "The two counts below the line are added as they are; nothing is taken off.",
            _from_counts(lambda both, has, says: both / (has + says - both)),
        ),
        Mistake(
            "that is the F1 of label 0",
            "Count label 1, equivalent.",
            _of_zero,
        ),
        Mistake(
            "that is the mean over both labels, macro-F1",
            "GLUE reports the F1 of one label of this task, equivalent: leave label 0 out.",
            lambda truth, predicted: (f1(truth, predicted) + _of_zero(truth, predicted)) / 2,
        ),
        Mistake(
            "that is the accuracy: pairs rightly called not equivalent have no part in F1",
            "Count three things only: both, those that have label 1, those predicted label 1.",
            _accuracy,
        ),
    ),
    hints=(
        "Count three things: pairs that have label 1 and are predicted it, those that have it, and those predicted it.",
        "F1 is twice the first over the sum of the other two, and 0 if that sum is 0.",
    ),
    praise="a classifier that says yes to everything now has a number.",
)

# --- 09-standard-errors -----------------------------------------------------------------------------------


def standard_errors(hits: int, n: int, share: float) -> float:
    """How many standard errors `hits` right answers of `n` are above what a guess that is right in `share` gets."""
    return (hits - n * share) / math.sqrt(n * share * (1 - share))


_STANDARD_ERRORS = Exercise(
    id="09-standard-errors",
    wants="standard_errors",
    difficulty="easy",
    minutes=5,
    reference=standard_errors,
    cases=(
        Case("60 hits in 100 throws of a coin: expected 50, standard error 5, so 2", lambda: (60, 100, 0.5)),
        Case("60 hits in 100, where 80 are expected: 5 below", lambda: (60, 100, 0.8)),
        Case("the report's test set, with other hits", lambda: (1_200, 1_725, 1_147 / 1_725)),
    ),
    mistakes=(
        Mistake(
            "the square root is missing: you divided by the variance",
            "The standard error of the hits is √(n · share · (1 - share)).",
            lambda hits, n, share: (hits - n * share) / (n * share * (1 - share)),
        ),
        Mistake(
            "the standard error is that of the hits you saw",
            "We ask what a guesser would get, so its share belongs under the root, not hits / n.",
            lambda hits, n, share: (hits - n * share) / math.sqrt(hits * (1 - hits / n)),
        ),
        Mistake(
            "fewer hits than expected should give a negative number",
            "Leave the sign: below the majority class is below.",
            lambda hits, n, share: abs(standard_errors(hits, n, share)),
        ),
        Mistake(
            "the sign is the wrong way round",
            "Hits minus what is expected, so that more hits give more.",
            lambda hits, n, share: -standard_errors(hits, n, share),
        ),
        Mistake(
            "a difference of shares was divided by a standard error of hits",
            "Either both as counts, or both as shares: (hits / n - share) / √(share · (1 - share) / n).",
            lambda hits, n, share: (hits / n - share) / math.sqrt(n * share * (1 - share)),
        ),
        Mistake(
            "n is missing under the root: that is how far a single answer scatters",
            "Of n answers the hits scatter by √(n · share · (1 - share)).",
            lambda hits, n, share: (hits / n - share) / math.sqrt(share * (1 - share)),
        ),
        Mistake(
            "the coin is taken to be fair: share · (1 - share) is 1/4 for one half only",
            "Put share · (1 - share) under the root.",
            lambda hits, n, share: (hits - n * share) / math.sqrt(n / 4),
        ),
        Mistake(
            "that is the difference of the shares, in no unit that says whether it is much",
            "Divide it by the standard error, √(share · (1 - share) / n).",
            lambda hits, n, share: hits / n - share,
        ),
    ),
    hints=(
        "How many hits does the guess expect? And how many more were there?",
        "Divide what is above the expected number by the square root in the text. All three are counts, not shares.",
    ),
    praise="within two standard errors of the majority class nothing has been shown.",
)

# --- 09-mcnemar -------------------------------------------------------------------------------------------


def p_value(a: list[bool], b: list[bool]) -> float:
    """How often a fair coin splits the pairs on which only one system is right as unevenly as these two do."""
    only_a, only_b = _alone(a, b)
    return min(1.0, 2 * _tail(min(only_a, only_b), only_a + only_b))


def _alone(a: list[bool], b: list[bool]) -> tuple[int, int]:
    """On how many pairs only a, and only b, is right."""
    return sum(x and not y for x, y in zip(a, b, strict=True)), sum(y and not x for x, y in zip(a, b, strict=True))


def _tail(k: int, n: int) -> float:
    """The chance of at most `k` heads in `n` throws."""
    return sum(math.comb(n, i) for i in range(k + 1)) / 2**n


def _right(only_a: int, only_b: int, both: int, none: int) -> Callable[[], tuple[list[bool], list[bool]]]:
    def make() -> tuple[list[bool], list[bool]]:
        a = [True] * (only_a + both) + [False] * (only_b + none)
        b = [False] * only_a + [True] * (both + only_b) + [False] * none
        return a, b

    return make


def _all_pairs(a: list[bool], b: list[bool]) -> float:
    return min(1.0, 2 * _tail(min(sum(a), sum(b)), len(a)))


def _one_sided(a: list[bool], b: list[bool]) -> float:
    only_a, only_b = _alone(a, b)
    return _tail(min(only_a, only_b), only_a + only_b)


def _this_split_only(a: list[bool], b: list[bool]) -> float:
    only_a, only_b = _alone(a, b)
    return min(1.0, 2 * math.comb(only_a + only_b, only_a) / 2 ** (only_a + only_b))


def _strictly_less(a: list[bool], b: list[bool]) -> float:
    only_a, only_b = _alone(a, b)
    return min(1.0, 2 * _tail(min(only_a, only_b) - 1, only_a + only_b))


def _uncapped(a: list[bool], b: list[bool]) -> float:
    only_a, only_b = _alone(a, b)
    return 2 * _tail(min(only_a, only_b), only_a + only_b)


_MCNEMAR = Exercise(
    id="09-mcnemar",
    wants="p_value",
    difficulty="hard",
    minutes=7,
    reference=p_value,
    cases=(
        Case("only a is right on 1 pair, only b on 3: 2 · (1 + 4) / 16", _right(1, 3, 2, 1)),
        Case("only a on 9 pairs, only b on 1; both on 20", _right(9, 1, 20, 5)),
        Case("30 against 12, of 400 pairs", _right(30, 12, 250, 108)),
        Case("2 against 2: no difference at all, p is 1", _right(2, 2, 3, 3)),
        Case("both are right on the same pairs: p is 1", _right(0, 0, 4, 2)),
    ),
    mistakes=(
        Mistake(
            "all pairs are thrown like coins, also those on which both systems are right, or both wrong",
            "Only pairs on which exactly one is right can tell the two apart: count these.",
            _all_pairs,
        ),
        Mistake(
            "only one side is counted: it could as well have been the other system",
            "Double it, and no more than 1.",
            _one_sided,
        ),
        Mistake(
            "that is the chance of exactly this split",
            "Add those that are more uneven: at most as many for the loser.",
            _this_split_only,
        ),
        Mistake(
            "the split that was seen is left out",
            "At least as uneven as seen: `range(k + 1)`, not `range(k)`.",
            _strictly_less,
        ),
        Mistake(
            "a probability can't be more than 1",
            "In the middle both sides have the even split in common: take min(1, …).",
            _uncapped,
        ),
    ),
    hints=(
        "Only pairs matter on which exactly one of the two is right. Count them separately: only_a, only_b.",
        (
            "m is both together, k the smaller of the two. `math.comb(m, i)` is how many ways i heads can fall in m "
            "throws."
        ),
        (
            "Sum `math.comb` for i = 0 … k, k included, and halve it m times. Then double, for both sides, but never "
            "above 1."
        ),
    ),
    praise="this is McNemar's test, exact.",
)

EXERCISES: tuple[Exercise, ...] = (_F1, _STANDARD_ERRORS, _MCNEMAR)
