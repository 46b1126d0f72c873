"""What was handed in: notebooks found in a folder and read as text, whatever is in them.

    for submission in submissions(folder):
        submission.student, submission.notebook, submission.answers["07-entity-f1"]

FOLDER holds a folder for each student, with notebooks in it or in folders below (nbgrader's `submitted/<student>/
<assignment>/`). If FOLDER itself holds notebooks, they are those of one student, named like it. A notebook is known
by the two digits that its name begins with, an exercise by its cell's `grade_id`; nothing else in a notebook's
metadata is believed. Hidden folders (`.ipynb_checkpoints`) are passed over, and links aren't followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from labkit.exercises.exercise import exercises
from labkit.profile import LabError

BYTES = 20 << 20  # the largest notebook that is read


@dataclass(frozen=True)
class Submission:
    """One student's copy of one notebook."""

    student: str
    notebook: str  # "07"
    answers: dict[str, str] = field(default_factory=dict)  # grade_id → the exercise's cell
    cells: list[str] = field(default_factory=list)  # all other code, for its imports
    wrong: dict[str, str] = field(default_factory=dict)  # grade_id → why there is no answer to run
    broken: str = ""  # why there is nothing to run at all


def of_notebook(notebook: str) -> list[str]:
    """The ids of a notebook's exercises, in order."""
    return [id for id in exercises() if id.startswith(f"{notebook}-")]


def submissions(folder: Path) -> list[Submission]:
    """Every student's copy of every notebook that anybody handed in. Raises `LabError` if nobody did."""
    if not folder.is_dir():
        raise LabError(f"{folder} is no folder: name the one that holds a folder for each student")
    students = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and _shown(path.name)}
    if any(folder.glob("*.ipynb")):
        students = {folder.resolve().name: folder}
    found = {student: _by_notebook(path) for student, path in students.items()}
    notebooks = sorted({number for copies in found.values() for number in copies})
    if not notebooks:
        raise LabError(f"there are no notebooks of this course in {folder}: their names begin with 01 to 13")
    return [_submission(student, number, found[student].get(number, [])) for student in found for number in notebooks]


def _shown(name: str) -> bool:
    return not name.startswith(".")


def _by_notebook(folder: Path) -> dict[str, list[Path]]:
    numbers = {id[:2] for id in exercises()}
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.ipynb")):
        if path.name[:2] in numbers and all(map(_shown, path.relative_to(folder).parts)):
            found.setdefault(path.name[:2], []).append(path)
    return found


def _submission(student: str, notebook: str, paths: list[Path]) -> Submission:
    if not paths:
        return Submission(student, notebook, broken="not handed in")
    if len(paths) > 1:
        return Submission(student, notebook, broken=f"handed in {len(paths)} times: keep one")
    try:
        return _read(student, notebook, _text(paths[0]))
    except Exception as error:  # a stranger's file: nbformat raises many kinds
        why = str(error).splitlines()[0][:200] if str(error) else ""
        return Submission(student, notebook, broken=f"not a notebook that can be read: {type(error).__name__}: {why}")


def _text(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        raise ValueError("it is a link, not a file")
    with path.open("rb") as file:
        raw = file.read(BYTES + 1)
    if len(raw) > BYTES:
        raise ValueError(f"larger than {BYTES >> 20} MiB")
    return raw.decode("utf-8")


def _read(student: str, notebook: str, text: str) -> Submission:
    code = [(_grade_id(cell), _source(cell)) for cell in nbformat.reads(text, as_version=4).cells if _is_code(cell)]
    wanted = of_notebook(notebook)
    answers, wrong = {}, {}
    for id in wanted:
        sources = [source for grade_id, source in code if grade_id == id]
        if len(sources) == 1:
            answers[id] = sources[0]
        else:
            times = f"{len(sources)} cells have its id: keep one" if sources else "no cell has its id"
            wrong[id] = times
    return Submission(student, notebook, answers, [s for id, s in code if id not in wanted], wrong)


def _is_code(cell: Any) -> bool:
    return cell.get("cell_type") == "code"


def _grade_id(cell: Any) -> str:
    return str(cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", ""))


def _source(cell: Any) -> str:
    """The code, without the magics that only a notebook understands."""
    lines = (re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in str(cell.get("source", "")).split("\n"))
    return "\n".join(lines)
