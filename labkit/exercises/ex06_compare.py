"""The exercises of notebook 06: a long text in pieces that overlap, and how sure a difference is.

The reference answers are closed forms.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import fmean, pstdev, stdev

from labkit.exercises.exercise import Case, Exercise, Mistake

# --- 06-chunks --------------------------------------------------------------------------------------------


def chunks(words: list[str], budget: int, overlap: int) -> list[list[str]]:
    """Pieces of at most `budget` words, each beginning with the last `overlap` of the one before."""
    return [piece for i, piece in _pieces(words, budget, budget - overlap) if i == 0 or i + overlap < len(words)]


def _pieces(words: list[str], size: int, step: int) -> list[tuple[int, list[str]]]:
    """A piece every `step` words, with its place, up to the end of the words."""
    return [(i, words[i : i + size]) for i in range(0, len(words), step)]


def _stepping(step: Callable[[int, int], int]) -> Callable[[list[str], int, int], list[list[str]]]:
    """Right but for the step between two pieces, which is `step(budget, overlap)`."""

    def cut(words: list[str], budget: int, overlap: int) -> list[list[str]]:
        by = step(budget, overlap)
        return [piece for i, piece in _pieces(words, budget, by) if i == 0 or i + budget - by < len(words)]

    return cut


def _all_starts(words: list[str], budget: int, overlap: int) -> list[list[str]]:
    return [piece for _, piece in _pieces(words, budget, budget - overlap)]


def _whole_only(words: list[str], budget: int, overlap: int) -> list[list[str]]:
    return [piece for piece in chunks(words, budget, overlap) if len(piece) == budget]


def _filled_up(words: list[str], budget: int, overlap: int) -> list[list[str]]:
    """The last piece is moved back until it has `budget` words."""
    return [*chunks(words, budget, overlap)[:-1], words[-budget:]] if words else []


def _longer_behind(words: list[str], budget: int, overlap: int) -> list[list[str]]:
    return [piece for _, piece in _pieces(words, budget + overlap, budget)]


def _longer_before(words: list[str], budget: int, overlap: int) -> list[list[str]]:
    return [words[max(0, i - overlap) : i + budget] for i in range(0, len(words), budget)]


def _letters(n: int, budget: int, overlap: int, says: str) -> Case:
    """`n` words of one letter each."""
    return Case(says, lambda: (list("abcdefghijklmnopqrstuvwxyz"[:n]), budget, overlap))


_OFF = "the overlap is off by one"
_OFF_HINT = "From the beginning of a piece to the next are budget - overlap words."
_LONG = "the overlap comes on top, so pieces are longer than the budget"
_LONG_HINT = (
    "The repeated words use up the budget too: a piece takes `budget` words, the next begins budget - overlap on."
)

_CHUNKS = Exercise(
    id="06-chunks",
    wants="chunks",
    difficulty="medium",
    minutes=6,
    reference=chunks,
    cases=(
        _letters(7, 3, 1, "7 words, 3 to a piece, 1 of them repeated: a b c, c d e, e f g"),
        _letters(6, 3, 1, "6 words: the last piece is shorter"),
        _letters(8, 3, 0, "no overlap: a b c, d e f, g h"),
        _letters(20, 7, 3, "20 words, 7 to a piece, 3 repeated"),
        _letters(4, 5, 2, "4 words fit into one piece of 5"),
        _letters(1, 5, 2, "a single word, fewer than the overlap"),
        _letters(0, 5, 2, "no words, no pieces"),
    ),
    mistakes=(
        Mistake(
            "the pieces don't overlap",
            "The next piece begins budget - overlap words later, not budget words.",
            _stepping(lambda budget, overlap: budget),
        ),
        Mistake(_OFF, _OFF_HINT, _stepping(lambda budget, overlap: budget - overlap + 1)),
        Mistake(_OFF, _OFF_HINT, _stepping(lambda budget, overlap: budget - overlap - 1)),
        Mistake(
            "the last piece only repeats words: the model would summarise them twice",
            "A piece from i on repeats `overlap` words; it has something new only if i + overlap < len(words).",
            _all_starts,
        ),
        Mistake(
            "the words that don't fill a piece are dropped, and with them the end of the text",
            "The last piece may be shorter: slicing beyond the end of a list is fine.",
            _whole_only,
        ),
        Mistake(
            "the last piece is filled up from behind, so it repeats more than `overlap` words",
            "It begins where it is its turn, and may be shorter than the others.",
            _filled_up,
        ),
        Mistake(_LONG, _LONG_HINT, _longer_behind),
        Mistake(_LONG, _LONG_HINT, _longer_before),
        Mistake(
            "no words make one empty piece: the model would be asked to summarise nothing",
            "For an empty list return an empty list.",
            lambda words, budget, overlap: chunks(words, budget, overlap) or [[]],
        ),
    ),
    hints=(
        (
            "Count the words that are in a piece so far. The next piece begins `overlap` words before that, but "
            "never before 0."
        ),
        (
            "A piece ends `budget` words after it began, and then so many words are done. Go on while there are "
            "words that no piece has yet."
        ),
        (
            "A `while` loop with one number, `done`: it makes three lines, and the last piece, which may be short, "
            "needs no case of its own."
        ),
    ),
    praise="every word is in a piece, and no piece is longer than the model can read.",
)

# --- 06-paired-interval -----------------------------------------------------------------------------------


def standard_error_of_difference(a: list[float], b: list[float]) -> float:
    """The standard error of the mean difference of two systems scored on the same papers."""
    return stdev(_differences(a, b)) / math.sqrt(len(a))


def _differences(a: list[float], b: list[float]) -> list[float]:
    return [x - y for x, y in zip(a, b, strict=True)]


def _error(scores: list[float]) -> float:
    return stdev(scores) / math.sqrt(len(scores))


def _easy_and_hard(n: int) -> tuple[list[float], list[float]]:
    """Papers differ a lot, the systems hardly: a is better on most papers, by a little."""
    g = random.Random(0)
    easy = [g.uniform(0.1, 0.8) for _ in range(n)]
    return [round(x + g.gauss(0.02, 0.03), 3) for x in easy], [round(x, 3) for x in easy]


_PAIRED_INTERVAL = Exercise(
    id="06-paired-interval",
    wants="standard_error_of_difference",
    difficulty="easy",
    minutes=5,
    reference=standard_error_of_difference,
    cases=(
        Case("2 papers, with differences of 0.1 and 0.3: the error is 0.1", lambda: ([0.3, 0.5], [0.2, 0.2])),
        Case("5 papers, easy ones and hard ones", lambda: _easy_and_hard(5)),
        Case("40 papers", lambda: _easy_and_hard(40)),
    ),
    mistakes=(
        Mistake(
            "the systems are treated as if each had read papers of its own",
            "Take the differences paper by paper first: what makes a paper hard for both then falls out.",
            lambda a, b: math.hypot(_error(a), _error(b)),
        ),
        Mistake(
            "that is the difference of two standard errors, not the standard error of the difference",
            "Take the differences paper by paper first, then their standard error.",
            lambda a, b: abs(_error(a) - _error(b)),
        ),
        Mistake(
            "that is the standard deviation of the differences: how far papers scatter, however many there are",
            "A mean of n papers scatters less: divide by √n.",
            lambda a, b: stdev(_differences(a, b)),
        ),
        Mistake(
            "you divided by n, not by √n",
            "Four times as many papers make the error half as large: divide by √n.",
            lambda a, b: stdev(_differences(a, b)) / len(a),
        ),
        Mistake(
            "the standard deviation divides by n, so it is a little too small",
            "The mean was estimated from the same papers: divide by n - 1. `stdev` does; numpy needs ddof=1.",
            lambda a, b: pstdev(_differences(a, b)) / math.sqrt(len(a)),
        ),
        Mistake(
            "the square root is missing: that is the squared error",
            "Variance / n is the square of the standard error.",
            lambda a, b: _error(_differences(a, b)) ** 2,
        ),
        Mistake(
            "the differences have lost their sign: a paper on which b wins counts like one on which a does",
            "Take a - b as it is, not its absolute value.",
            lambda a, b: _error([abs(d) for d in _differences(a, b)]),
        ),
        Mistake(
            "that is the mean difference itself",
            "We ask how far it may be off: the standard deviation of the differences, divided by √n.",
            lambda a, b: fmean(_differences(a, b)),
        ),
        Mistake(
            "that is half the width of a 95 % interval",
            "Leave out the 1.96: the standard error is what it is multiplied with.",
            lambda a, b: 1.96 * _error(_differences(a, b)),
        ),
    ),
    hints=(
        "First the difference on each paper, then their standard deviation, then divide.",
        "`statistics.stdev` divides by n - 1, `statistics.pstdev` by n. The square root is of the number of papers.",
    ),
    praise="pairs make small differences visible.",
)

EXERCISES: tuple[Exercise, ...] = (_CHUNKS, _PAIRED_INTERVAL)
