"""`check`: try a student's function on an exercise's cases, and answer kindly and precisely.

All cases are run before anything is said. The first wrong one is shown, and a mistake is named only if it
explains the answers to *all* of them: two mistakes may look alike on one small input. The price is a few
more calls on tiny inputs.
"""

from __future__ import annotations

import inspect
import os
import random
import sys
import traceback
from collections import ChainMap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from labkit.exercises.compare import brief, complaint
from labkit.exercises.exercise import Case, Exercise, Mistake, find
from labkit.exercises.limit import Outcome, TookTooLong, call_within
from labkit.exercises.verdict import Verdict


def check(id: str) -> Verdict:
    """Check the caller's answer to the exercise `id`; end a cell with it and the verdict shows.

    Never raises on a wrong answer, except `AssertionError` if the environment says `LABKIT_STRICT=1`.
    Raises `LabError` for an unknown id.
    """
    exercise = find(id)
    caller = sys._getframe(1)
    verdict = examine(exercise, ChainMap(caller.f_locals, caller.f_globals).get(exercise.wants))
    if not verdict and os.environ.get("LABKIT_STRICT") == "1":
        raise AssertionError(str(verdict))
    return verdict


def examine(exercise: Exercise, student: Any) -> Verdict:
    """The verdict on `student`, the object that bears the exercise's name (None if nothing does)."""
    if student is None:
        return _not_started(exercise, f"there is no `{exercise.wants}` yet")
    if not callable(student):
        says = f"`{exercise.wants}` should be a function, but is a {type(student).__name__}"
        return Verdict(exercise.id, "failed", says, hint="Run the cell above again: it has the `def`.")

    outcomes: list[Outcome] = []
    for case in exercise.cases:
        outcomes.append(_try(exercise, student, case))
        if outcomes[-1].error:
            break
    values = [o.value for o in outcomes if not o.error]
    for case, outcome in zip(exercise.cases, outcomes, strict=False):
        if outcome.error:
            return _stumbled(exercise, student, case, outcome.error)
        if outcome.value is ...:
            return _not_started(exercise, f"`{exercise.wants}` returns `...`")
        want = _call(exercise.reference, case)
        why = complaint(outcome.value, want)
        if why:
            return _wrong(exercise, case, want, outcome.value, why, _recognise(exercise, values))
    return Verdict(exercise.id, "passed", exercise.praise)


class _ChangedArgument(Exception):
    """The answer wrote into one of its arguments."""


def _try(exercise: Exercise, student: Callable[..., Any], case: Case) -> Outcome:
    args = case.make()
    with _seeded():
        outcome = call_within(exercise.seconds, student, *args)
    for name, now, before in zip(exercise.parameters, args, case.make(), strict=True):
        if not outcome.error and complaint(now, before):
            return Outcome(error=_ChangedArgument(name))
    return outcome


def _call(function: Callable[..., Any], case: Case) -> Any:
    with _seeded():
        return function(*case.make())


@contextmanager
def _seeded() -> Iterator[None]:
    """The same random numbers for every call, and the notebook's own stream untouched."""
    import numpy as np
    import torch

    python, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)


def _recognise(exercise: Exercise, values: list[Any]) -> Mistake | None:
    """The first known mistake that gives these values on the cases that were run."""
    for mistake in exercise.mistakes:
        tried = zip(values, exercise.cases, strict=False)
        if all(complaint(value, _call(mistake.answer, case)) is None for value, case in tried):
            return mistake
    return None


def _not_started(exercise: Exercise, says: str) -> Verdict:
    hint = f"Write `{exercise.call}` in the cell above, run it, then run this cell again."
    return Verdict(exercise.id, "not started", f"{says}. Whenever you are ready.", hint=hint)


def _question(exercise: Exercise, case: Case) -> tuple[tuple[str, str], ...]:
    """The input of a case: in words, then argument by argument."""
    given = zip(exercise.parameters, case.make(), strict=True)
    return (("tried on", case.says), *((name, brief(value)) for name, value in given))


def _wrong(exercise: Exercise, case: Case, want: Any, got: Any, why: str, mistake: Mistake | None) -> Verdict:
    details = (*_question(exercise, case), ("expected", brief(want)), ("returned", brief(got)))
    if mistake:
        return Verdict(exercise.id, "failed", mistake.says, (*details, ("so", why)), mistake.hint)
    return Verdict(exercise.id, "failed", why, details, exercise.hint)


def _stumbled(exercise: Exercise, student: Callable[..., Any], case: Case, error: BaseException) -> Verdict:
    """The verdict on an answer that raised, ran out of time or changed its arguments."""
    details = _question(exercise, case)
    if isinstance(error, TookTooLong):
        says = f"still running after {error.seconds:g} s on a tiny input, so it was stopped"
        hint = "Is there a loop that never ends?"
        if error.stuck:
            hint += " It could not be ended and runs on in the background: restart the kernel."
        return Verdict(exercise.id, "failed", says, details, hint)
    if isinstance(error, _ChangedArgument):
        says = f"it writes into its argument `{error}`"
        hint = "The caller may still need it. Make a new tensor: `x = x / 2`, not `x /= 2` or `x.div_(2)`."
        return Verdict(exercise.id, "failed", says, details, hint)

    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != call_within.__code__.co_filename]
    if not frames:  # raised by the call itself: the arguments don't fit
        says = f"it is called as `{exercise.call}`, yours is `{exercise.wants}{_signature(student)}`"
        return Verdict(exercise.id, "failed", says, hint="Take back the `def` line as it was given.")
    # Where to look: the last line that was reached in the student's own cell or file, not deep in torch.
    home = getattr(getattr(inspect.unwrap(student), "__code__", None), "co_filename", None)
    line = ([f for f in frames if f.filename == home] or frames)[-1]
    if isinstance(error, NotImplementedError) and (
        "raise NotImplementedError" in (line.line or "") or exercise.id in str(error)
    ):
        return _not_started(exercise, f"`{exercise.wants}` is still to be written")
    where = (f"line {line.lineno}", line.line or "(source not found)")
    says = f"your code raised {type(error).__name__}: {error}"
    return Verdict(exercise.id, "failed", says, (where, *details), "Print the shapes just before that line.")


def _signature(student: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(student))
    except (TypeError, ValueError):  # some built-ins have none
        return "(…)"
