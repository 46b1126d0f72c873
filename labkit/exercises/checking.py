"""`check`: try a student's function on an exercise's cases, and answer kindly and precisely.

All cases are run before anything is said. The first wrong one is shown, and a mistake is named only if it
explains the answers to *all* of them: two mistakes may look alike on one small input. The price is a few
more calls on tiny inputs.
"""

from __future__ import annotations

import os
import sys
from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Any

from labkit.exercises.attempt import Attempt, Trouble, attempts, seeded
from labkit.exercises.compare import brief, complaint
from labkit.exercises.exercise import Case, Exercise, Mistake, find
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
    if not callable(student):
        return not_a_function(exercise, student)
    inputs = [case.make for case in exercise.cases]
    return judge(exercise, attempts(exercise.id, student, inputs, exercise.parameters, exercise.seconds))


def not_a_function(exercise: Exercise, student: Any) -> Verdict:
    """The verdict where the name stands for nothing (None), or for something that can't be called."""
    if student is None:
        return _not_started(exercise, f"there is no `{exercise.wants}` yet")
    says = f"`{exercise.wants}` should be a function, but is a {type(student).__name__}"
    return Verdict(exercise.id, "failed", says, hint="Run the cell above again: it has the `def`.")


def judge(exercise: Exercise, attempts: Sequence[Attempt]) -> Verdict:
    """The verdict on attempts at the exercise's cases, in their order, up to the first trouble."""
    values = [attempt.value for attempt in attempts if not attempt.trouble]
    for case, attempt in zip(exercise.cases, attempts, strict=False):
        if attempt.trouble:
            return _stumbled(exercise, case, attempt.trouble)
        want = _call(exercise.reference, case)
        why = complaint(attempt.value, want)
        if why:
            return _wrong(exercise, case, want, attempt.value, why, _recognise(exercise, values))
    return Verdict(exercise.id, "passed", exercise.praise)


def _call(function: Callable[..., Any], case: Case) -> Any:
    with seeded():
        return function(*case.make())


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
    return Verdict(exercise.id, "failed", why, details, exercise.hints[0])


def _stumbled(exercise: Exercise, case: Case, trouble: Trouble) -> Verdict:
    """The verdict on an answer that raised, ran out of time or changed its arguments."""
    details = _question(exercise, case)
    match trouble.kind:
        case "stub":
            return _not_started(exercise, f"`{exercise.wants}` {trouble.says}")
        case "signature":
            says = f"it is called as `{exercise.call}`, yours is `{exercise.wants}{trouble.says}`"
            return Verdict(exercise.id, "failed", says, hint="Take back the `def` line as it was given.")
        case "late" | "stuck":
            says = f"still running after {trouble.says} s on a tiny input, so it was stopped"
            hint = "Is there a loop that never ends?"
            if trouble.kind == "stuck":
                hint += " It could not be ended and runs on in the background: restart the kernel."
        case "changed":
            says = f"it writes into its argument `{trouble.says}`"
            hint = "The caller may still need it. Make a new tensor: `x = x / 2`, not `x /= 2` or `x.div_(2)`."
        case "raised":
            number, code = trouble.line or (0, "")
            says = f"your code raised {trouble.says}"
            details = ((f"line {number}", code or "(source not found)"), *details)
            hint = "Print the shapes just before that line."
    return Verdict(exercise.id, "failed", says, details, hint)
