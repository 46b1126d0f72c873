"""The exercises of notebook 11: forgetting, the Fisher information of a small model, and a reservoir.

The reference answers are closed forms; the reservoir is Vitter's algorithm R, with its chance made visible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from labkit.exercises.exercise import Case, Exercise, Mistake

Matrix = list[list[float]]

# --- 11-forgetting ----------------------------------------------------------------------------------------


def forgotten(matrix: Matrix) -> list[float]:
    """How much worse each task but the last is at the end than at its best before the last was learnt."""
    return [max(row[j] for row in matrix[:-1]) - matrix[-1][j] for j in range(len(matrix) - 1)]


def _each(lost: Callable[[Matrix, int], float], less: int = 1) -> Callable[[Matrix], list[float]]:
    return lambda matrix: [lost(matrix, j) for j in range(len(matrix) - less)]


_BACK = [[0.9, 0.7, 0.3], [0.5, 0.6, 0.4], [0.6, 0.5, 0.8]]
_BETTER = [[0.7, 0.4, 0.2, 0.5], [0.75, 0.9, 0.3, 0.5], [0.6, 0.95, 0.8, 0.4], [0.8, 0.85, 0.7, 0.9]]

_FORGETTING = Exercise(
    id="11-forgetting",
    wants="forgotten",
    difficulty="easy",
    minutes=4,
    reference=forgotten,
    cases=(
        Case("two tasks; the first falls from 0.9 to 0.6: 0.3 forgotten", lambda: ([[0.9, 0.5], [0.6, 1.0]],)),
        Case("three tasks; the second was best before it was learnt", lambda: ([list(row) for row in _BACK],)),
        Case("four tasks; the first ends better than ever", lambda: ([list(row) for row in _BETTER],)),
    ),
    mistakes=(
        Mistake(
            "the last task is there, too: it was learnt last, and can't be forgotten yet",
            "One number for each task but the last.",
            _each(lambda m, j: max(row[j] for row in m[:-1]) - m[-1][j], less=0),
        ),
        Mistake(
            "it is compared with when the task was just learnt: that is backward transfer, turned round",
            "Take the best of the task's column, over all rows but the last.",
            _each(lambda m, j: m[j][j] - m[-1][j]),
        ),
        Mistake(
            "the end is among what it is compared with, so that nothing can get better",
            "The best before the last task was learnt: leave the last row out of the maximum.",
            _each(lambda m, j: max(row[j] for row in m) - m[-1][j]),
        ),
        Mistake(
            "rows and columns are swapped",
            "matrix[i][j] is the accuracy on task j when task i was learnt: a task is a column.",
            _each(lambda m, j: max(m[j][:-1]) - m[j][-1]),
        ),
        Mistake(
            "the sign is turned: what was lost counts as positive",
            "The best less the end.",
            _each(lambda m, j: m[-1][j] - max(row[j] for row in m[:-1])),
        ),
        Mistake(
            "that is how far it fell at its worst, not what is missing at the end",
            "Subtract the last row, wherever the minimum is.",
            _each(lambda m, j: max(row[j] for row in m[:-1]) - min(row[j] for row in m)),
        ),
        Mistake(
            "only the last step is counted",
            "The best of all rows before the last, not the one before it.",
            _each(lambda m, j: m[-2][j] - m[-1][j]),
        ),
        Mistake(
            "one number came back: the mean over the tasks",
            "Return a list, a number for each task but the last: a mean hides who was forgotten.",
            lambda m: sum(forgotten(m)) / len(forgotten(m)),
        ),
    ),
    hints=(
        "A task is a column: `matrix[0][j], matrix[1][j], …` is how well task j was done as time went on.",
        (
            "The last row is the end. For each column the largest number above the last row, less the one in it; "
            "then leave out the last task."
        ),
    ),
    praise="0 is no forgetting, and below 0 the later tasks have helped.",
)

# --- 11-fisher --------------------------------------------------------------------------------------------


def fisher_diagonal(x: Tensor, w: Tensor) -> Tensor:
    """The diagonal Fisher information of a model that says "good news" with probability sigmoid(x · w)."""
    p = (x @ w).sigmoid()[:, None]
    return (p * (1 - p) * x**2).mean(0)


def _mean(value: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean over sentences of a rule of x (n, d) and p (n, 1)."""
    return lambda x, w: value(x, (x @ w).sigmoid()[:, None]).mean(0)


def _random() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, generator=generator), torch.randn(3, generator=generator)


_BOTH = "Two answers, each with its probability: p · ((1 − p) x)² + (1 − p) · (p x)² = p (1 − p) x²."

_FISHER = Exercise(
    id="11-fisher",
    wants="fisher_diagonal",
    difficulty="medium",
    minutes=6,
    reference=fisher_diagonal,
    cases=(
        Case(
            "one sentence x = (1, 2), w = 0, so p = ½: p (1 − p) x² is ¼ and 1",
            lambda: (torch.tensor([[1.0, 2.0]]), torch.zeros(2)),
        ),
        Case(
            "a word that no sentence has tells nothing: 0",
            lambda: (torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([0.5, 9.0])),
        ),
        Case("six sentences, three numbers", _random),
        Case(
            "a model that is nearly sure: hardly anything hangs on w",
            lambda: (torch.tensor([[1.0, 1.0], [-1.0, -2.0]]), torch.tensor([3.0, 1.0])),
        ),
    ),
    mistakes=(
        Mistake(
            "the slope isn't squared",
            "The slope of log p is (1 − p) x or −p x: x is squared with it.",
            _mean(lambda x, p: p * (1 - p) * x),
        ),
        Mistake(
            "only one of the two answers is asked about",
            _BOTH,
            _mean(lambda x, p: p * ((1 - p) * x) ** 2),
        ),
        Mistake(
            "the likeliest answer is taken for the only one: where the model is sure, nothing is left",
            _BOTH,
            _mean(lambda x, p: (torch.minimum(p, 1 - p) * x) ** 2),
        ),
        Mistake(
            "both answers weigh the same",
            _BOTH,
            _mean(lambda x, p: ((p * x) ** 2 + ((1 - p) * x) ** 2) / 2),
        ),
        Mistake(
            "the slopes are averaged before they are squared, and the expected slope is 0",
            "Square first: p · ((1 − p) x)² + (1 − p) · (p x)².",
            lambda x, w: torch.zeros_like(w),
        ),
        Mistake(
            "p (1 − p) is squared, too",
            _BOTH,
            _mean(lambda x, p: (p * (1 - p) * x) ** 2),
        ),
        Mistake(
            "the sentences are added up",
            "Take the mean over the sentences: the Fisher shall not grow with how many you asked.",
            lambda x, w: fisher_diagonal(x, w) * len(x),
        ),
        Mistake(
            "that is the whole matrix",
            "EWC keeps its diagonal only, a number for each parameter: (d,).",
            lambda x, w: (x.mT * ((x @ w).sigmoid() * (1 - (x @ w).sigmoid()))) @ x / len(x),
        ),
    ),
    hints=(
        "First p for each sentence: one number each, (n,).",
        "p is the sigmoid of `x @ w`. Each sentence's x² is weighed by its p (1 − p).",
        "A weighted sum over sentences is a product of (n,) with (n, d); divide it by n.",
    ),
    praise="where a model is sure, its Fisher is next to 0: that is why the library divides each task's by its mean.",
)

# --- 11-reservoir -----------------------------------------------------------------------------------------


def reservoir(items: Sequence[str], size: int, draws: Sequence[float]) -> list[str]:
    """What a reservoir of `size` places holds after all items, by one draw from [0, 1) an item."""
    kept: list[str] = []
    for i, (item, draw) in enumerate(zip(items, draws, strict=True), 1):
        place = int(draw * i)
        if len(kept) < size:
            kept.append(item)
        elif place < size:
            kept[place] = item
    return kept


Rule = Callable[[list[str], str, int, float, int], None]  # what is kept, the item, its number, its draw, the size


def _full(rule: Rule) -> Callable[[Sequence[str], int, Sequence[float]], list[str]]:
    """Fills the places, then does with each further item what `rule` says."""

    def keep(items: Sequence[str], size: int, draws: Sequence[float]) -> list[str]:
        kept = list(items[:size])
        for i in range(size, len(items)):
            rule(kept, items[i], i + 1, draws[i], size)
        return kept

    return keep


def _put(kept: list[str], place: int, item: str) -> None:
    if place < len(kept):
        kept[place] = item


def _drop_oldest(kept: list[str], item: str, i: int, draw: float, size: int) -> None:
    if draw * i < size:
        kept.append(item)
        del kept[0]


_RESERVOIR = Exercise(
    id="11-reservoir",
    wants="reservoir",
    difficulty="medium",
    minutes=6,
    reference=reservoir,
    cases=(
        Case(
            "a, b, c, d into 2 places; c's draw is ½ of 3, place 1, d's ¾ of 4, place 3, which there isn't: a, c",
            lambda: (list("abcd"), 2, [0.0, 0.0, 0.5, 0.75]),
        ),
        Case("fewer items than places: all are kept, in their order", lambda: (list("abc"), 5, [0.9, 0.1, 0.5])),
        Case("one place", lambda: (list("abcdef"), 1, [0.7, 0.6, 0.3, 0.2, 0.9, 0.1])),
        Case(
            "ten items, three places",
            lambda: (list("abcdefghij"), 3, [0.3, 0.8, 0.1, 0.76, 0.05, 0.3, 0.3, 0.35, 0.9, 0.09]),
        ),
    ),
    mistakes=(
        Mistake(
            "every new item gets a place: soon all that is kept is new",
            "Draw among all items so far, floor(draw · i): most places of a long stream don't exist.",
            _full(lambda kept, item, i, draw, size: _put(kept, int(draw * size), item)),
        ),
        Mistake(
            "only the first items are kept: a later task would never be replayed",
            "An item whose place exists goes there, and what was there is lost.",
            _full(lambda kept, item, i, draw, size: None),
        ),
        Mistake(
            "only the last items are kept: the first task would be gone",
            "An item goes to place floor(draw · i), if that exists; else it is not kept.",
            lambda items, size, draws: list(items[-size:]),
        ),
        Mistake(
            "items are counted from 0, so that new ones are kept too often",
            "The i-th item, counted from 1, is the i-th of i so far: floor(draw · i).",
            _full(lambda kept, item, i, draw, size: _put(kept, int(draw * (i - 1)), item)),
        ),
        Mistake(
            "the oldest makes room, not the one whose place was drawn",
            "Put the new item at the place that was drawn.",
            _full(_drop_oldest),
        ),
        Mistake(
            "it grows beyond its size",
            "When it is full, an item replaces another or isn't kept.",
            _full(lambda kept, item, i, draw, size: kept.append(item) if draw * i < size else None),
        ),
        Mistake(
            "a new item is kept with a chance of 1 in i, not of size in i",
            "Any of the places may be drawn, not the first alone.",
            _full(lambda kept, item, i, draw, size: _put(kept, 0, item) if draw * i < 1 else None),
        ),
    ),
    hints=(
        "The first `size` items are kept as they are. What happens to each one after them?",
        "Count from 1: the i-th item has the draw at index i - 1, and its place is that draw times i, rounded down.",
        "If the place is smaller than `size`, the item replaces what is there; if not, nothing changes.",
    ),
    praise="each item of a stream of any length is kept with the same chance, and nobody had to know its length.",
)

EXERCISES: tuple[Exercise, ...] = (_FORGETTING, _FISHER, _RESERVOIR)
