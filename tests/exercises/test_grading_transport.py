"""Values cross from the worker to the grader unchanged, and nothing that isn't a value does."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.exercises.compare import complaint
from labkit.exercises.exercise import exercises
from labkit.exercises.grading.transport import DTYPES, decode, encode


def there_and_back(value):
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize("exercise", exercises().values(), ids=lambda e: e.id)
def test_every_input_and_every_right_answer_arrives(exercise):
    """A new exercise with an input of another kind could be checked in the notebook, but not graded."""
    for case in exercise.cases:
        for value in (case.make(), exercise.reference(*case.make())):
            assert complaint(there_and_back(value), value) is None
            assert type(there_and_back(value)) is type(value)


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(plain, lambda v: st.lists(v) | st.lists(v).map(tuple) | st.dictionaries(st.text(), v))


@given(values)
def test_plain_values_arrive_with_their_types(value):
    assert repr(there_and_back(value)) == repr(value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 2), (2, 3)])
def test_tensors_arrive_bit_for_bit(dtype, shape):
    tensor = (torch.randn(shape) * 3).to(getattr(torch, dtype))
    back = there_and_back(tensor)
    assert back.dtype == tensor.dtype and torch.equal(back, tensor)


def test_numbers_of_numpy_arrive():
    assert there_and_back(np.float64(0.1)) == 0.1
    assert complaint(there_and_back(np.int64(12)), 12) is None
    assert there_and_back(np.arange(3)).dtype == np.int64


@pytest.mark.parametrize("value", [{1, 2}, object(), int, torch.zeros(1, dtype=torch.complex64)])
def test_what_is_no_answer_arrives_as_the_name_of_its_type(value):
    """So that a verdict can say "returned a set"."""
    assert type(there_and_back(value)).__name__ == type(value).__name__


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        '{"pickle": "cos"}',
        '{"tensor": ["float32", [1000000000000], [0]]}',
        '{"tensor": ["load", [1], [0]]}',
        '{"tensor": ["float32", [1], ["x"]]}',
        '{"tensor": 1}',
        '{"list": 1}',
        '{"other": "\\u0000"}',
        '{"list": [], "tuple": []}',
        "{}",
    ],
)
def test_forged_messages_are_errors_that_the_grader_expects(text):
    with pytest.raises((ValueError, TypeError)):
        decode(json.loads(text))
