"""Exercises inside the notebooks: a check that answers at once, and the student version without solutions.

The stored notebook is the master copy: it holds the solutions and runs green as it stands. One exercise is
three cells, in this order:

1. **markdown**: a title, how hard and how long, what to write, the small input it is checked on, and hints that
   unfold (`python -m labkit.exercises.cards` writes difficulty, minutes and hints, which stand in the `Exercise`);
2. **code**, tagged `exercise`, with nbgrader's metadata for an answer::

       {"nbgrader": {"schema_version": 3, "solution": true, "grade": false, "locked": false, "task": false,
                     "grade_id": "<id>"}}

   It defines one function; the solution is the function's body, between `### BEGIN SOLUTION` and
   `### END SOLUTION`. The `def` line and the docstring stay outside, so that the student version keeps them;
3. **code**, tagged `exercise-check`, that says `check("<id>")`, with nbgrader's metadata for a test::

       {"nbgrader": {"schema_version": 3, "solution": false, "grade": true, "locked": true, "points": 1,
                     "task": false, "grade_id": "<id>-check"}}

`check` looks the function up where it is called, tries it on the exercise's cases and returns a `Verdict`
that shows itself. A wrong answer never raises, so a batch run goes on; with the environment variable
`LABKIT_STRICT=1` it does (`AssertionError`), so a test run notices a master solution that broke.

An exercise is data: `ex<NN>_<topic>.py` lists the `EXERCISES` of notebook NN, and a new file is found by its
name. Its wrong answers are part of it. A student's mistake is *named* when a known wrong implementation
gives the same answers on every case, so each diagnosis is a function that can be tested. A mistake that
isn't known gets the first hint; the others wait above the cell, so nothing has to count anybody's attempts.
Three kinds of exercise are told apart by their text only: a function to write, a number to predict (a
closed form), a figure to read (`labkit.exercises.plots`, where the answer is computed from what is drawn).

`python -m labkit.exercises.student` makes the editions for students and instructors, `python -m
labkit.exercises.grade` grades what comes back. The cost of this design: whoever reads `labkit` finds the
reference answers. It is a course, not an exam; a table of the cases' answers is worth its points, too.
"""

from __future__ import annotations

from labkit.exercises.checking import check
from labkit.exercises.exercise import Case, Exercise, Mistake
from labkit.exercises.verdict import Verdict

__all__ = ["Case", "Exercise", "Mistake", "Verdict", "check"]
