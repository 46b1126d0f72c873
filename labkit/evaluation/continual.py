"""Scores of a model that learns tasks in turn, from one matrix: what could it do, and when.

    matrix = [[0.9, 0.5], [0.6, 1.0]]                  # matrix[i][j]: on task j, when task i was learnt
    average(matrix), backward_transfer(matrix), forgetting(matrix)               # 0.8, −0.3, [0.3]
    forward_transfer(matrix, before=[0.4, 0.4])                                  # 0.1
    recovered([[0.9, 0.5], [0.75, 1.0]], naive=matrix)                           # [0.5]

All in the unit of the matrix, here accuracy (0–1). Backward transfer may be positive, if a later task helps an earlier
one; forgetting looks at the best there ever was, so that it can be more than what backward transfer says, not less.
All raise `ValueError` for a matrix that isn't square, or has fewer than two tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def average(matrix: ArrayLike) -> float:
    """The mean over tasks when all are learnt (ACC, Lopez-Paz & Ranzato 2017)."""
    return float(_square(matrix)[-1].mean())


def backward_transfer(matrix: ArrayLike) -> float:
    """What learning the later tasks did to the earlier ones (BWT, Lopez-Paz & Ranzato 2017).

    The mean, over all tasks but the last, of the accuracy at the end less that when the task had just been learnt.
    """
    found = _square(matrix)
    return float((found[-1] - found.diagonal())[:-1].mean())


def forward_transfer(matrix: ArrayLike, before: Sequence[float]) -> float:
    """What learning the earlier tasks did for those to come (FWT, Lopez-Paz & Ranzato 2017).

    The mean, over all tasks but the first, of the accuracy just before the task was learnt less that `before` all.
    Theirs is that of a model with random numbers; here that of the backbone, which is no worse a start.
    """
    found = _square(matrix)
    return float((found.diagonal(1) - np.asarray(before)[1:]).mean())


def forgetting(matrix: ArrayLike) -> list[float]:
    """How much worse a task is at the end than at its best before the last was learnt (Chaudhry et al. 2018).

    Of each task but the last; negative if it is better than ever.
    """
    found = _square(matrix)
    return (found[:-1].max(0) - found[-1])[:-1].tolist()


def recovered(matrix: ArrayLike, naive: ArrayLike) -> list[float]:
    """Of what naive fine-tuning forgets of each task but the last, the share that this method still has at the end.

    It compares what both can do at the end, so that who never learnt a task has nothing of it, though nothing to forget
    either. Below 0 if it is worse than naive; NaN where naive forgets nothing, and a large number of noise where it
    forgets little.
    """
    gained, lost = (_square(matrix)[-1] - _square(naive)[-1])[:-1], forgetting(naive)
    return [float(gain / loss) if loss > 0 else float("nan") for gain, loss in zip(gained, lost, strict=True)]


def _square(matrix: ArrayLike) -> np.ndarray:
    found = np.asarray(matrix, dtype=float)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or len(found) < 2:
        raise ValueError(
            f"a matrix {found.shape} has no scores: it takes a row and a column for each of 2 or more tasks"
        )
    return found
