"""What an exercise is: a function to write, small inputs to try it on, and the mistakes we know.

Inputs are made anew for every call, so an answer that writes into its arguments can't spoil the next one.
The modules `ex<NN>_<topic>.py` are imported on first use only: they need torch.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from labkit.profile import unknown

Difficulty = Literal["easy", "medium", "hard"]


@dataclass(frozen=True)
class Case:
    """One small input, and the words for it that a student reads."""

    says: str
    make: Callable[[], tuple[Any, ...]]  # the positional arguments, the same ones at every call


@dataclass(frozen=True)
class Mistake:
    """A wrong answer we expect: its name, the next step, and an implementation to recognise it by."""

    says: str
    hint: str
    answer: Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """A function to write. `reference` gives the right answers and names the parameters."""

    id: str  # "<notebook>-<topic>", as in "01-causal-attention"
    wants: str  # the name of the student's function
    difficulty: Difficulty
    minutes: int  # for a student who has read what stands above it
    reference: Callable[..., Any]
    cases: tuple[Case, ...]  # simplest first: the first one that fails is the one shown
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, ...]  # from a nudge to nearly the answer; the first is shown when a mistake isn't a known one
    praise: str
    seconds: float = 5.0  # the limit for one case

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the arguments, in order."""
        return tuple(inspect.signature(self.reference).parameters)

    @property
    def call(self) -> str:
        """How the function is called: `causal_attention(q, k, v)`."""
        return f"{self.wants}({', '.join(self.parameters)})"


@cache
def exercises() -> dict[str, Exercise]:
    """Every exercise of the course by its id, in the notebooks' order."""
    modules = (m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]))
    found: dict[str, Exercise] = {}
    for name in sorted(m for m in modules if re.match(r"ex\d\d_", m)):
        found |= {e.id: e for e in importlib.import_module(f"labkit.exercises.{name}").EXERCISES}
    return found


def find(id: str) -> Exercise:
    """The exercise of that id. Raises `LabError` with the nearest one for an unknown id."""
    if id not in exercises():
        raise unknown("exercise", id, exercises())
    return exercises()[id]
