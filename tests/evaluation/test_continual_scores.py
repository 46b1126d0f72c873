"""Scores of a sequence must say what their papers say, or forgetting would be called learning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.evaluation.continual import average, backward_transfer, forgetting, forward_transfer, recovered

# Task 0 fades, comes back a little; task 1 was better before it was learnt than at the end.
MATRIX = [[0.9, 0.7, 0.3], [0.5, 0.6, 0.4], [0.6, 0.5, 0.8]]
SCORES = (
    average,
    backward_transfer,
    forgetting,
    lambda matrix: forward_transfer(matrix, [0.0] * len(matrix)),
    lambda matrix: recovered(matrix, MATRIX),
)


@st.composite
def matrices(draw):
    n = draw(st.integers(2, 5))
    rows = st.lists(st.integers(0, 100).map(lambda x: x / 100), min_size=n, max_size=n)
    return np.array(draw(st.lists(rows, min_size=n, max_size=n)))


def test_by_hand():
    assert average(MATRIX) == pytest.approx((0.6 + 0.5 + 0.8) / 3)
    assert backward_transfer(MATRIX) == pytest.approx(((0.6 - 0.9) + (0.5 - 0.6)) / 2)
    assert forward_transfer(MATRIX, [0.9, 0.2, 0.5]) == pytest.approx(((0.7 - 0.2) + (0.4 - 0.5)) / 2)
    assert forgetting(MATRIX) == pytest.approx([0.9 - 0.6, 0.7 - 0.5])


@given(matrices())
def test_forgetting_is_never_less_than_backward_transfer_says(matrix):
    """The best there was is no worse than what was just learnt."""
    assert np.mean(forgetting(matrix)) >= -backward_transfer(matrix) - 1e-9


@given(matrices(), st.floats(-1, 1))
def test_differences_don_t_see_what_all_have_in_common(matrix, shift):
    """The average does: a test set that is easier throughout is no transfer."""
    moved = matrix + shift
    assert average(moved) == pytest.approx(average(matrix) + shift)
    assert backward_transfer(moved) == pytest.approx(backward_transfer(matrix), abs=1e-9)
    assert forgetting(moved) == pytest.approx(forgetting(matrix), abs=1e-9)
    before = np.zeros(len(matrix))
    assert forward_transfer(moved, before + shift) == pytest.approx(forward_transfer(matrix, before), abs=1e-9)


@given(matrices())
def test_who_knows_at_the_end_what_he_ever_knew_forgets_nothing(matrix):
    matrix[-1] = matrix.max(0)
    assert max(forgetting(matrix)) <= 0 <= backward_transfer(matrix)


@given(matrices())
def test_transfer_forward_looks_at_nothing_but_the_row_before(matrix):
    """A leak from later rows would count what was trained as what was transferred."""
    other = matrix.copy()
    other[np.tril_indices(len(matrix))] = 0.5
    before = [0.1] * len(matrix)
    assert forward_transfer(other, before) == pytest.approx(forward_transfer(matrix, before))


def test_what_is_recovered_is_known_at_the_end_by_hand():
    """Naive ends 0.3 and 0.2 below its best; who never learnt has forgotten nothing, and recovered nothing."""
    other = [[0.9, 0.0, 0.0], [0.0, 0.0, 0.0], [0.75, 0.5, 0.0]]
    assert recovered(other, MATRIX) == pytest.approx([0.5, 0.0])
    assert recovered([[0.3] * 3] * 3, MATRIX) == pytest.approx([-1.0, -1.0]) != forgetting([[0.3] * 3] * 3)


@given(matrices())
def test_naive_recovers_nothing_and_its_own_best_all(matrix):
    best = np.vstack([matrix[:-1], matrix[:-1].max(0)])
    found = zip(forgetting(matrix), recovered(matrix, matrix), recovered(best, matrix), strict=True)
    for lost, nothing, everything in found:
        assert (nothing, everything) == pytest.approx((0, 1)) if lost > 0 else np.isnan([nothing, everything]).all()


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("matrix", [[[0.5]], [[0.5, 0.5]], [0.5, 0.5], [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]])
def test_a_matrix_with_rows_missing_is_refused(score, matrix):
    """An interrupted run would get the scores of a finished one."""
    with pytest.raises(ValueError, match="for each of 2 or more tasks"):
        score(matrix)
