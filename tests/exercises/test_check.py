"""`check`: what a student is told, for everything a student can do."""

import math
import random
import re
import time

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

from labkit.exercises import Case, Exercise, Mistake, check
from labkit.exercises.checking import examine
from labkit.exercises.compare import brief, complaint
from labkit.exercises.exercise import find
from labkit.exercises.limit import call_within
from labkit.profile import LabError

DOUBLE = Exercise(
    id="99-double",
    wants="double",
    difficulty="easy",
    minutes=1,
    reference=lambda x: x * 2,
    cases=(
        Case("two", lambda: (torch.tensor([2.0, 0.0]),)),
        Case("three", lambda: (torch.tensor([3.0, 1.0]),)),
    ),
    mistakes=(
        Mistake("you squared it", "Two times, not to the power of two.", lambda x: x**2),
        Mistake("you added two", "Multiply.", lambda x: x + 2),
    ),
    hints=("Add it to itself.",),
    praise="twice as much.",
    seconds=0.5,
)


def test_the_callers_function_is_found_in_a_function_too():
    """A check that only knew globals would call a right answer missing."""

    def bits_per_byte(loss, n_tokens, n_bytes):
        return loss / math.log(2) * n_tokens / n_bytes

    assert check("02-bits-per-byte").status == "passed"


def test_no_function_yet_is_not_a_failure():
    verdict = check("01-causal-attention")
    assert verdict.status == "not started" and not verdict
    assert "causal_attention(q, k, v)" in verdict.hint


def test_an_unknown_id_names_the_nearest():
    with pytest.raises(LabError, match="did you mean '01-causal-attention'"):
        check("01-casual-attention")


def test_strict_raises_on_a_wrong_answer_and_only_then(monkeypatch):
    """Without it, a test run would not notice a master notebook whose solution broke."""

    right = find("02-bits-per-byte").reference
    wrong = lambda loss, n_tokens, n_bytes: loss  # noqa: E731

    bits_per_byte = wrong
    assert check("02-bits-per-byte").status == "failed"
    monkeypatch.setenv("LABKIT_STRICT", "1")
    with pytest.raises(AssertionError, match="02-bits-per-byte"):
        check("02-bits-per-byte")
    bits_per_byte = right  # noqa: F841 (check looks it up)
    assert check("02-bits-per-byte")


def _stub(x):
    raise NotImplementedError


def _our_stub(x):
    raise NotImplementedError("99-double: your turn")


def _one_line(x): raise NotImplementedError  # fmt: skip


def _dots(x): ...


@pytest.mark.parametrize("stub", [_stub, _our_stub, _one_line, lambda x: ...])
def test_a_stub_is_met_kindly(stub):
    assert examine(DOUBLE, stub).status == "not started"


def test_a_body_of_dots_is_told_to_return():
    """`def f(x): ...` returns None, like a function whose author forgot the `return`."""
    assert "is there a `return`" in examine(DOUBLE, _dots).says


def test_torchs_own_not_implemented_is_an_error_not_a_stub():
    def torch_refuses(x):
        return _raise(NotImplementedError("Could not run 'aten::mul' with arguments from the 'Meta' backend"))

    assert "aten::mul" in examine(DOUBLE, torch_refuses).says


def _raise(error):
    exec("raise error", {"error": error})


def test_a_mistake_is_named_only_if_it_explains_every_answer():
    """On the first case, 2, squaring and doubling agree; on [2, 0], adding two differs from both."""
    assert examine(DOUBLE, lambda x: x * x).says == "you squared it"
    assert examine(DOUBLE, lambda x: 2 + x).says == "you added two"
    half_wrong = examine(DOUBLE, lambda x: x * x if x[0] > 2 else x + 2)
    assert half_wrong.status == "failed" and half_wrong.hint == DOUBLE.hints[0]


def test_a_failure_shows_input_expectation_and_answer():
    details = dict(examine(DOUBLE, lambda x: x + 1).details)
    assert details == {
        "tried on": "two",
        "x": "[2.0, 0.0]",
        "expected": "[4.0, 0.0]",
        "returned": "[3.0, 1.0]",
    }


def test_an_exception_is_shown_with_the_students_line_not_torchs():
    def double(x):
        layer = torch.nn.Linear(3, 3)
        return layer(x)

    verdict = examine(DOUBLE, double)
    assert "your code raised RuntimeError" in verdict.says
    assert verdict.details[0][1] == "return layer(x)"


def test_a_decorator_does_not_hide_the_students_line():
    @torch.no_grad()
    def double(x):
        return x.no_such_attribute

    assert examine(DOUBLE, double).details[0][1] == "return x.no_such_attribute"


def test_a_changed_signature_is_named():
    assert "`double(x)`, yours is `double(x, y)`" in examine(DOUBLE, lambda x, y: x).says


@pytest.mark.parametrize("value", [3, "text", [1.0]])
def test_a_name_that_is_no_function_is_named(value):
    assert "should be a function" in examine(DOUBLE, value).says


def test_sys_exit_in_an_answer_does_not_end_the_notebook():
    def double(x):
        raise SystemExit(0)

    assert "SystemExit" in examine(DOUBLE, double).says


def test_an_answer_that_writes_into_its_argument_fails():
    """The right numbers, but the caller's tensor is gone."""
    verdict = examine(DOUBLE, lambda x: x.mul_(2))
    assert verdict.status == "failed" and "`x`" in verdict.says


def test_an_endless_loop_is_ended():
    """If its thread lived on, it would take half the machine from every later cell."""
    alive = []

    def double(x):
        while True:
            alive.append(1)
            try:
                time.sleep(0.001)
            except Exception:
                pass

    verdict = examine(DOUBLE, double)
    assert "still running after 0.5 s" in verdict.says and "restart" not in verdict.hint
    before = len(alive)
    time.sleep(0.1)
    assert len(alive) == before


def test_a_call_that_cannot_be_ended_is_left_behind_and_said_so():
    outcome = call_within(0.05, time.sleep, 3)
    assert outcome.error.stuck


def test_the_notebooks_random_numbers_go_on_as_if_nothing_was_checked():
    """Otherwise a sample further down would depend on whether the reader ran the check."""
    seen = []

    def double(x):
        seen.append((random.random(), np.random.rand(), torch.rand(()).item()))
        return x * 2

    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    expected = draw(), draw()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    first = draw()
    assert examine(DOUBLE, double)
    assert (first, draw()) == expected
    assert examine(DOUBLE, double)  # from another state of the notebook's
    assert len(set(seen)) == 1 and len(seen) == 4


@pytest.mark.parametrize(
    ("got", "says"),
    [
        (torch.zeros(2, 4), r"shape should be \(2, 3\), but is \(2, 4\)"),
        (torch.zeros(2, 3, dtype=torch.float64), "dtype should be float32, but is float64"),
        (torch.full((2, 3), math.nan), "6 of its 6 numbers are NaN"),
        (torch.tensor([[0.0, 0, 0], [0, -3, 0]]), r"furthest off at \[1, 1\]: 0 expected, -3 returned"),
        (torch.full((2, 3), 1e-3), "furthest"),
        (torch.full((2, 3), math.inf), "furthest off at .* inf returned"),
        ([[0.0] * 3] * 2, "should return a tensor, but returned a list"),
        (None, "returned None"),
    ],
)
def test_each_way_to_miss_a_tensor_has_its_words(got, says):
    assert re.search(says, complaint(got, torch.zeros(2, 3)))


@pytest.mark.parametrize(
    ("got", "want", "says"),
    [
        (13, 12, "1 too many"),
        (2.5, 12, "9.5 too few"),
        (12.0, 12, "it is a float"),
        (math.nan, 1.0, "NaN"),
        (0.5, 1.0, "0.5 times"),
        (1.001, 1.0, "1.001 times"),
        (0.5, 0.0, "should be 0"),
        ("12", 12, "returned a str"),
        (True, 1, "returned a bool"),
        (torch.zeros(2), 1.0, "returned a Tensor"),
        (torch.zeros(2), (1, 2), "should return 2 things, but returned one Tensor"),
        ("b", "a", "not the expected answer"),
        (False, True, "not the expected answer"),
        ((1, 2, 3), (1, 2), "but returned 3"),
        ((1, 3), (1, 2), "number 2 of the 2 returned: that is 1 too many"),
    ],
)
def test_each_way_to_miss_a_number_or_tuple_has_its_words(got, want, says):
    assert says in complaint(got, want)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (torch.ones(2) + 1e-6, torch.ones(2)),
        (np.ones(2, dtype=np.float32), torch.ones(2)),
        (torch.ones(2, requires_grad=True), torch.ones(2)),
        (torch.tensor(1e-3), 1e-3),
        (np.float64(1e-3), 1e-3),
        (np.int64(12), 12),
        (torch.tensor(12), 12),
        ([1, 2], (1, 2)),
        (["a", True, None], ["a", True, None]),
        (torch.tensor([math.nan, 1]), torch.tensor([math.nan, 1])),
        (-math.inf, -math.inf),
    ],
)
def test_equal_answers_in_another_dress_are_right(got, want):
    assert complaint(got, want) is None


def test_values_are_shown_short():
    assert brief(torch.tensor([1 / 3])) == "[0.3333]"
    assert brief(torch.zeros(5, 5)) == "tensor of shape (5, 5), float32"
    assert brief((124_439_808, 1e-4)) == "(124,439,808, 0.0001)"
    assert len(brief("x" * 1000)) <= 200
    assert len(brief(10**5000)) <= 200


@pytest.mark.parametrize("want", [3, 0.5])
def test_a_number_that_no_float_can_hold_is_a_wrong_answer_and_no_crash(want):
    assert "beyond all reason" in complaint(10**400, want)


@pytest.mark.parametrize("answer", [lambda x: x * 2, lambda x: x, _stub])
def test_a_verdict_says_in_words_what_its_icon_and_colour_say(answer):
    """Colour alone, or an icon alone, is lost on some readers and in a terminal."""
    verdict = examine(DOUBLE, answer)
    words = {"passed": "✓ Passed", "failed": "✗ Not yet", "not started": "○ Not started yet"}[verdict.status]
    assert str(verdict).startswith(words) and repr(verdict) == str(verdict)
    html = verdict._repr_html_()
    assert words.split(" ", 1)[1] in html and verdict.says in str(verdict)


def test_html_is_escaped():
    def double(x):
        raise ValueError("<script>alert(1)</script>")

    assert "<script>" not in examine(DOUBLE, double)._repr_html_()


def test_in_a_real_kernel_the_notebook_goes_on_after_every_kind_of_answer():
    """Threads, tracebacks and display behave differently in ipykernel; this is where students are."""
    cells = [
        "from labkit.exercises import check",
        "import math\ndef bits_per_byte(loss, n_tokens, n_bytes):\n    return loss / math.log(2) * n_tokens / n_bytes",
        'check("02-bits-per-byte")',
        "def bits_per_byte(loss, n_tokens, n_bytes):\n    nats = loss\n    return nats / none_such",
        'check("02-bits-per-byte")',
        "from dataclasses import replace\nfrom labkit.exercises.checking import examine\n"
        "from labkit.exercises.exercise import find\n"
        "def endless(loss, n_tokens, n_bytes):\n    while True:\n        pass",
        'examine(replace(find("02-bits-per-byte"), seconds=0.5), endless)',
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    right, raised, stopped = (notebook.cells[i].outputs[0].data for i in (2, 4, 6))
    assert right["text/plain"].startswith("✓ Passed") and "✓" in right["text/html"]
    assert "NameError" in raised["text/plain"] and "line 3" in raised["text/plain"]
    assert "return nats / none_such" in raised["text/plain"]
    assert "still running after 0.5 s" in stopped["text/plain"] and "restart" not in stopped["text/plain"]
