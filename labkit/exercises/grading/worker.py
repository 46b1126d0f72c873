"""The process that runs students' code: a job from standard input, a line of JSON for each exercise back.

    python -m labkit.exercises.grading.worker < job.json > replies.jsonl

An exercise's cell is run in a namespace of its own, after those import statements of the notebook that it uses;
nothing else of the notebook is run. What is returned for each case goes back as values. The worker compares
nothing, and what a sandbox shows it holds no answers. Nothing here has to be safe from the student's code,
which shares this process: it can only spoil its own replies.
"""

from __future__ import annotations

import ast
import json
import linecache
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from labkit.exercises.attempt import Trouble, attempts
from labkit.exercises.grading.confine import can_confine_calls, confine_calls, confine_resources
from labkit.exercises.grading.transport import decode, encode
from labkit.exercises.limit import call_within

MESSAGE = 500  # characters of an error's message that are passed on


def main() -> None:
    """Confine this process, then answer the job."""
    job = json.load(sys.stdin)
    replies = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what a cell prints is not a reply
        os.dup2(nothing, stream)
    if can_confine_calls():
        confine_calls()
    import torch

    torch.set_num_threads(1)
    confine_resources(job["memory"])

    def reply(**line: Any) -> None:
        print(json.dumps(line), file=replies, flush=True)

    reply(ready=True)
    for exercise in job["exercises"]:
        line = _answer(job["cells"], exercise)
        reply(id=exercise["id"], **line)
        if any(attempt.get("kind") == "stuck" for attempt in line.get("attempts", ())):
            break  # its thread runs on: the grader starts another worker for the rest
    os._exit(0)  # not by way of what a cell has left to be run at exit


def _answer(cells: list[str], exercise: dict[str, Any]) -> dict[str, Any]:
    """What an exercise's cell comes to: `attempts`, or `cell` (why it didn't run), or `stands_for` (no function)."""
    name = f"<{exercise['id']}>"
    source: str = exercise["source"]
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    outcome = call_within(exercise["seconds"], _run, cells, source, name, namespace)
    if outcome.error:
        return {"cell": _words(outcome.error, name)}
    student = namespace.get(exercise["wants"])
    if not callable(student):
        return {"stands_for": encode(student)}
    inputs: list[Callable[[], tuple[Any, ...]]] = [partial(decode, case) for case in exercise["cases"]]
    tried = attempts(exercise["id"], student, inputs, exercise["names"], exercise["seconds"])
    return {"attempts": [_told(a.trouble) if a.trouble else {"value": encode(a.value)} for a in tried]}


def _run(cells: list[str], source: str, name: str, namespace: dict[str, Any]) -> None:
    tree = ast.parse(source, name)
    for statement in _imports([*cells, source], {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}):
        try:
            exec(compile(ast.Module([statement], []), "<imports>", "exec"), namespace)
        except Exception:  # a package that isn't here: the cell says so itself, if it needs it
            continue
    exec(compile(tree, name, "exec"), namespace)


def _imports(cells: list[str], used: set[str]) -> list[ast.stmt]:
    """The import statements at the top level of cells that bind a name which is used."""
    found: list[ast.stmt] = []
    for cell in cells:
        try:
            body = ast.parse(cell).body
        except SyntaxError:  # a magic, or a cell that was never finished
            continue
        for statement in body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                names = {(a.asname or a.name).split(".")[0] for a in statement.names}
                found += [statement] if names & {*used, "*"} else []
    return found


def _words(error: BaseException, name: str) -> str:
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
    line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
    return f"{type(error).__name__}{f' in line {line}' if line else ''}: {error}"[:MESSAGE]


def _told(trouble: Trouble) -> dict[str, Any]:
    return {"kind": trouble.kind, "says": trouble.says[:MESSAGE], "line": trouble.line}


if __name__ == "__main__":
    main()
