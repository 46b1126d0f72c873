"""Grade the notebooks that students handed in; write a table that a spreadsheet opens.

    python -m labkit.exercises.grade submitted --out grades.csv

`submitted` holds a folder for each student (or one student's notebooks). Of a notebook, each cell with an
exercise's `grade_id` is run, after the import statements it needs; the checks are the course's own. An exercise is
worth a point. Students' code runs in a sandbox (`labkit.exercises.grading` says how, and what it can't do); where
there is none, this command says so and stops, unless it is told `--unsafe`.

A row is written as soon as it is known, so an interrupted run leaves what it had. Nothing in a submission ends the
run: what can't be read or doesn't end is a row, too. The file has a row for each exercise, with the columns of
`Row`. Cost: 2 s for each notebook, and up to a minute where code has to be stopped.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from labkit.exercises.attempt import Attempt, Trouble
from labkit.exercises.checking import judge, not_a_function
from labkit.exercises.exercise import Exercise, find
from labkit.exercises.grading.sandbox import UNSAFE, Sandbox, find_sandbox, run_worker
from labkit.exercises.grading.submissions import Submission, of_notebook, submissions
from labkit.exercises.grading.transport import decode, encode
from labkit.exercises.verdict import Verdict
from labkit.profile import LabError

RUN, NOTEBOOK = 30.0, 60.0  # seconds for one worker, and for all workers of a notebook

NO_SANDBOX = (
    "no sandbox works here, and students' code can delete files: install bubblewrap (`apt-get install bubblewrap`), "
    "or allow user namespaces for `unshare`; if you trust everybody who handed in, add --unsafe"
)
_ALONE = "Only this cell and the notebook's imports are run: what it needs from other cells has to stand in it."


@dataclass(frozen=True)
class Row:
    """One exercise of one student."""

    student: str
    notebook: str
    exercise: str
    status: str  # passed, failed, not started; missing (no cell, no notebook), broken (unreadable), stopped
    points: int
    message: str
    seconds: float  # of the process that ran it, with the 2 s that it takes to begin
    sandbox: str  # bubblewrap, unshare, none; empty if nothing was run


def grade(submission: Submission, sandbox: Sandbox) -> Iterator[Row]:
    """A row for each exercise of the submission's notebook."""

    def row(id: str, status: str, message: str, seconds: float = 0.0, where: str = "") -> Row:
        points = int(status == "passed")
        return Row(submission.student, submission.notebook, id, status, points, message, round(seconds, 1), where)

    waiting = list(submission.answers)
    for id in of_notebook(submission.notebook):
        if id not in waiting:
            status = "missing" if submission.broken in ("", "not handed in") else "broken"
            yield row(id, status, submission.broken or submission.wrong[id])
    end = time.monotonic() + NOTEBOOK
    while waiting:
        job = {"cells": submission.cells, "exercises": [_asked(find(id), submission.answers[id]) for id in waiting]}
        run = run_worker(sandbox, job, max(0.1, min(RUN, end - time.monotonic())))
        replies = {reply["id"]: reply for reply in run.replies if reply.get("id") in waiting}
        for id in (id for id in waiting if id in replies):
            status, message = _judged(find(id), replies[id])
            yield row(id, status, message, run.seconds, sandbox.name)
        waiting = [id for id in waiting if id not in replies]
        if waiting and (run.ended or not replies):  # the first without a reply was the worker's last
            yield row(waiting.pop(0), "stopped", run.ended or "it left no reply", run.seconds, sandbox.name)


def _asked(exercise: Exercise, source: str) -> dict[str, Any]:
    """What a worker is told: the cell and the inputs, never the answers."""
    return {
        "id": exercise.id,
        "source": source,
        "wants": exercise.wants,
        "names": exercise.parameters,
        "seconds": exercise.seconds,
        "cases": [encode(case.make()) for case in exercise.cases],
    }


def _judged(exercise: Exercise, reply: dict[str, Any]) -> tuple[str, str]:
    """Status and message, from a reply that may be anything."""
    try:
        verdict = _verdict(exercise, reply)
    except Exception as error:  # a reply that no worker of ours wrote
        return "stopped", f"its reply can't be read: {type(error).__name__}"
    hint = _ALONE if "NameError" in verdict.says else verdict.hint
    return verdict.status, f"{verdict.says} → {hint}" if hint else verdict.says


def _verdict(exercise: Exercise, reply: dict[str, Any]) -> Verdict:
    if "cell" in reply:
        return Verdict(exercise.id, "failed", f"the cell doesn't run: {reply['cell']}", hint=_ALONE)
    if "stands_for" in reply:
        return not_a_function(exercise, decode(reply["stands_for"]))
    tried = [_attempt(a) for a in reply["attempts"]]
    if len(tried) < len(exercise.cases) and not (tried and tried[-1].trouble):
        raise ValueError("cases are missing")
    return judge(exercise, tried)


def _attempt(data: dict[str, Any]) -> Attempt:
    if "value" in data:
        return Attempt(decode(data["value"]))
    number, code = data["line"] or (0, "")
    return Attempt(trouble=Trouble(str(data["kind"]), str(data["says"]), (int(number), str(code))))  # type: ignore


def _cell(value: Any) -> Any:
    """A value as a spreadsheet may have it: one line, and never a formula."""
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def main(argv: list[str] | None = None) -> int:
    """Grade a folder. The exit code is 1 if nothing could be graded, 130 if it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m labkit.exercises.grade", description="Grade notebooks.")
    parser.add_argument("folder", type=Path, help="holds a folder for each student, or one student's notebooks")
    parser.add_argument("--out", type=Path, default=Path("grades.csv"), help="the table to write (default: grades.csv)")
    parser.add_argument("--unsafe", action="store_true", help="run students' code without a sandbox if there is none")
    args = parser.parse_args(argv)
    try:
        handed_in = submissions(args.folder)
        sandbox = find_sandbox() or (UNSAFE if args.unsafe else None)
        if not sandbox:
            raise LabError(NO_SANDBOX)
    except LabError as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    return _write(handed_in, sandbox, args.out)


def _write(handed_in: list[Submission], sandbox: Sandbox, out: Path) -> int:
    rows: list[Row] = []
    with out.open("w", newline="", encoding="utf-8-sig") as file:  # the mark tells Excel that this is UTF-8
        table = csv.DictWriter(file, [field.name for field in fields(Row)])
        table.writeheader()
        try:
            for submission in tqdm(handed_in, unit="notebook"):
                for row in grade(submission, sandbox):
                    table.writerow({name: _cell(value) for name, value in asdict(row).items()})
                    file.flush()
                    rows.append(row)
        except KeyboardInterrupt:
            print(f"\nInterrupted: {len(rows)} rows are in {out}", file=sys.stderr)
            return 130
    _summary(rows, sandbox, out)
    return 0


def _summary(rows: list[Row], sandbox: Sandbox, out: Path) -> None:
    table = Table("student", "points", "passed", "failed", "not started", "missing", "broken", "stopped")
    for student in dict.fromkeys(row.student for row in rows):
        own = [row for row in rows if row.student == student]
        count = Counter(row.status for row in own)
        numbers = [str(count[str(column.header)]) for column in table.columns[2:]]
        table.add_row(escape(_cell(student)), f"{sum(row.points for row in own)} of {len(own)}", *numbers)
    console = Console()
    console.print(table)
    where = f"in a sandbox ({sandbox.name})" if sandbox is not UNSAFE else "WITHOUT a sandbox, as you asked"
    console.print(
        f"✓ {len(rows)} rows in {out}; students' code ran {where}", markup=False, highlight=False, soft_wrap=True
    )


if __name__ == "__main__":
    sys.exit(main())
