"""One call of a student's function, told as plain data: what it returned, or what went wrong.

    attempt = attempts(exercise.id, student, inputs, names, seconds)[0]
    attempt.value, attempt.trouble

An attempt holds no exception and no traceback, only words and a line number, so it can be written to a file:
a notebook's check and the grader, which runs students' code in a process of its own, judge the same thing.
"""

from __future__ import annotations

import inspect
import random
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from labkit.exercises.compare import complaint
from labkit.exercises.limit import Outcome, TookTooLong, call_within

Kind = Literal["stub", "signature", "late", "stuck", "changed", "raised"]


@dataclass(frozen=True)
class Trouble:
    """What went wrong. `says` is the error, the changed argument or the signature; `line` where, if known."""

    kind: Kind
    says: str = ""
    line: tuple[int, str] | None = None


@dataclass(frozen=True)
class Attempt:
    """A value, or the trouble that was met instead."""

    value: Any = None
    trouble: Trouble | None = None


def attempts(
    id: str,
    student: Callable[..., Any],
    inputs: Sequence[Callable[[], tuple[Any, ...]]],
    names: Sequence[str],
    seconds: float,
) -> list[Attempt]:
    """Try `student` on each of the `inputs`, up to the first trouble. Each makes its arguments anew."""
    done: list[Attempt] = []
    for make in inputs:
        done.append(_attempt(id, student, make, names, seconds))
        if done[-1].trouble:
            break
    return done


def _attempt(
    id: str, student: Callable[..., Any], make: Callable[[], tuple[Any, ...]], names: Sequence[str], seconds: float
) -> Attempt:
    args = make()
    with seeded():
        outcome = call_within(seconds, student, *args)
    if outcome.error:
        return Attempt(trouble=_trouble(id, student, outcome))
    for name, now, before in zip(names, args, make(), strict=True):
        if complaint(now, before):
            return Attempt(trouble=Trouble("changed", name))
    if outcome.value is ...:
        return Attempt(trouble=Trouble("stub", "returns `...`"))
    return Attempt(outcome.value)


@contextmanager
def seeded() -> Iterator[None]:
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


def _trouble(id: str, student: Callable[..., Any], outcome: Outcome) -> Trouble:
    error = outcome.error
    if isinstance(error, TookTooLong):
        return Trouble("stuck" if error.stuck else "late", f"{error.seconds:g}")
    tb = error.__traceback__ if error else None
    frames = [f for f in traceback.extract_tb(tb) if f.filename != call_within.__code__.co_filename]
    if not frames:  # raised by the call itself: the arguments don't fit
        return Trouble("signature", _signature(student))
    # Where to look: the last line that was reached in the student's own cell or file, not deep in torch.
    home = getattr(getattr(inspect.unwrap(student), "__code__", None), "co_filename", None)
    frame = ([f for f in frames if f.filename == home] or frames)[-1]
    code = frame.line or ""
    if isinstance(error, NotImplementedError) and ("raise NotImplementedError" in code or id in str(error)):
        return Trouble("stub", "is still to be written")
    return Trouble("raised", f"{type(error).__name__}: {error}", (frame.lineno or 0, code))


def _signature(student: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(student))
    except (TypeError, ValueError):  # some built-ins have none
        return "(…)"
