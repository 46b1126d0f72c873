"""More exercises of notebook 06: intervals to read, and how many papers a difference needs.

The reference answers are computed from the seeded scores behind the figure, and a closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from labkit.exercises.exercise import Case, Exercise, Mistake
from labkit.exercises.plots import Interval, own_interval, paired_interval

# --- 06-read-intervals ------------------------------------------------------------------------------------


def told(system: str) -> str:
    """Whether a system is "better" or "worse" than plain, or "can't be told" from it, by the pairs."""
    return _side(paired_interval(system))


def _side(difference: Interval) -> str:
    low, _, high = difference
    return "better" if low > 0 else "worse" if high < 0 else "can't be told"


def _by_dots(system: str) -> str:
    return "better" if paired_interval(system)[1] > 0 else "worse"


def _by_overlap(system: str) -> str:
    (low, _, high), (plain_low, _, plain_high) = own_interval(system), own_interval("plain")
    return "better" if low > plain_high else "worse" if high < plain_low else "can't be told"


def _turned(system: str) -> str:
    return {"better": "worse", "worse": "better"}.get(told(system), told(system))


_READ_INTERVALS = Exercise(
    id="06-read-intervals",
    wants="told",
    difficulty="medium",
    minutes=5,
    reference=told,
    cases=tuple(Case(f"system {system}", lambda system=system: (system,)) for system in "ABCDE"),
    mistakes=(
        Mistake(
            "you went by the dots: on other papers, two of these systems could well fall on the other side of 0",
            'A system whose interval of differences holds 0 "can\'t be told" from plain.',
            _by_dots,
        ),
        Mistake(
            "you asked whether the bars on the left overlap: they are so wide because papers differ, for all alike",
            "Look at the right: paper by paper, that is taken out. Does the bar there hold 0?",
            _by_overlap,
        ),
        Mistake(
            "better and worse are swapped",
            "On the right stands the system's score minus plain's: right of 0 it is better.",
            _turned,
        ),
        Mistake(
            "a system that is worse for certain was said to be unsure",
            "A bar that lies left of 0 as a whole is as clear as one that lies right of it.",
            lambda system: "better" if told(system) == "better" else "can't be told",
        ),
    ),
    hints=(
        "One of the two panels answers the question. Which one compares systems on the same papers?",
        "On the right, ask of each bar: is all of it right of 0, all of it left of 0, or does it hold 0?",
    ),
    praise="two bars may overlap, and the difference be certain all the same.",
)

# --- 06-papers-needed -------------------------------------------------------------------------------------


def papers_needed(sd: float, difference: float) -> int:
    """The fewest papers for which 1.96 standard errors of the mean difference are not more than `difference`."""
    return math.ceil((1.96 * sd / difference) ** 2)


def _needed(rule: Callable[[float], float]) -> Callable[[float, float], float]:
    return lambda sd, difference: rule(sd / difference)


_PAPERS_NEEDED = Exercise(
    id="06-papers-needed",
    wants="papers_needed",
    difficulty="medium",
    minutes=5,
    reference=papers_needed,
    cases=(
        Case("differences scatter by 0.1, and 0.05 is to be seen: (1.96 · 2)² = 15.4, so 16", lambda: (0.1, 0.05)),
        Case("half as large a difference takes four times as many", lambda: (0.1, 0.025)),
        Case("a point of ROUGE-L, where differences scatter by 13", lambda: (0.13, 0.01)),
    ),
    mistakes=(
        Mistake(
            "that is rounded down: with so few papers the interval is a little too wide",
            "Round up: `math.ceil`.",
            _needed(lambda ratio: math.floor((1.96 * ratio) ** 2)),
        ),
        Mistake(
            "half a paper can't be read: that is no whole number",
            "Round up: `math.ceil`.",
            _needed(lambda ratio: (1.96 * ratio) ** 2),
        ),
        Mistake(
            "the square is missing: a standard error falls with the *root* of n",
            "1.96 · sd / √n ≤ difference. Solve it for n.",
            _needed(lambda ratio: math.ceil(1.96 * ratio)),
        ),
        Mistake(
            "the 1.96 is missing: one standard error is an interval of 68 %",
            "1.96 · sd / √n ≤ difference. Solve it for n.",
            _needed(lambda ratio: round(ratio**2)),
        ),
        Mistake(
            "you made the whole interval as narrow as the difference: half of it is enough to leave 0 outside",
            "The interval reaches 1.96 standard errors to *either* side.",
            _needed(lambda ratio: math.ceil((2 * 1.96 * ratio) ** 2)),
        ),
    ),
    hints=(
        "The standard error of a mean over n papers is sd / √n. What has to hold so that 0 just falls outside?",
        "1.96 · sd / √n ≤ difference. Solve that for √n, then for n.",
        "n isn't whole then: the fewest papers that do are the next whole number above it.",
    ),
    praise="so a test set of 100 papers can't settle differences of a point or two.",
)

EXERCISES: tuple[Exercise, ...] = (_READ_INTERVALS, _PAPERS_NEEDED)
