"""The notebooks for students, without solutions, and for instructors, with notes; both without outputs.

    python -m labkit.exercises.student [NOTEBOOKS] [--edition student|instructor] [--out FOLDER] [--check]

For students, the lines between `### BEGIN SOLUTION` and `### END SOLUTION` become one that raises
`NotImplementedError`, at the same indentation. The function is still defined, so *Run All* gets to the end and each
check says "not started yet". For instructors, each check is followed by a cell with the points and the mistakes that
it knows by name. `--check` writes nothing. It fails if a notebook breaks the convention of `labkit.exercises`, or if
a whole solution can still be read in a student's copy. (Single lines may come back: a lesson shows some of them on
purpose; a hint may not.) The same notebooks give the same bytes.
"""

from __future__ import annotations

import argparse
import ast
import copy
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode, v4

from labkit.exercises.cards import badge, card, cards
from labkit.exercises.exercise import Exercise, exercises
from labkit.profile import ROOT, LabError, unknown

SHORT = 9  # characters of a line that says nothing by itself: `else:`, `break`
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


@dataclass(frozen=True)
class Stubbed:
    """A cell's source with stubs for its solutions, and the solutions that were taken out."""

    source: str
    solutions: tuple[str, ...]


def stub(source: str, id: str) -> Stubbed:
    """Replace each solution block of a cell. Raises `LabError` if the markers don't pair up."""
    kept: list[str] = []
    solutions: list[str] = []
    block: list[str] | None = None
    for line in source.split("\n"):
        mark = line.strip()
        if mark in (BEGIN, END) and (mark == BEGIN) != (block is None):
            raise LabError(f"{id or 'a cell'}: `{mark}` without its partner: write BEGIN and END in pairs")
        if mark == BEGIN:
            indent = line[: len(line) - len(line.lstrip())]
            kept.append(f'{indent}raise NotImplementedError("{id}: your turn")')
            block = []
        elif mark == END:
            solutions.append("\n".join(block or []))
            block = None
        else:
            (kept if block is None else block).append(line)
    if block is not None:
        raise LabError(f"{id or 'a cell'}: `{BEGIN}` without its partner: write BEGIN and END in pairs")
    return Stubbed("\n".join(kept), tuple(solutions))


def student_version(notebook: NotebookNode) -> NotebookNode:
    """A copy without outputs, traces of runs and solutions. Raises `LabError` for unpaired markers."""
    student = _clean(notebook)
    for cell in student.cells:
        if cell.cell_type == "code":
            cell.source = stub(cell.source, _grade_id(cell)).source
    return student


def instructor_version(notebook: NotebookNode) -> NotebookNode:
    """A copy without outputs and traces of runs, with a cell of notes behind each check."""
    instructor = _clean(notebook)
    cells = []
    for cell in instructor.cells:
        cells.append(cell)
        id = _grade_id(cell).removesuffix("-check")
        if id != _grade_id(cell) and id in exercises():
            cells.append(v4.new_markdown_cell(_notes(exercises()[id], cell), id=f"{cell.id}-notes"))
    instructor.cells = cells
    return instructor


def _clean(notebook: NotebookNode) -> NotebookNode:
    copied = copy.deepcopy(notebook)
    for trace in ("papermill", "widgets"):
        copied.metadata.pop(trace, None)
    for index, cell in enumerate(copied.cells):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "id" not in cell and (copied.nbformat, copied.nbformat_minor) >= (4, 5):
            cell["id"] = f"cell-{index}"  # nbformat would make a random one
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return copied


def _notes(exercise: Exercise, check: NotebookNode) -> str:
    """What an instructor wants to know: points, cases, and the wrong answers that have a name."""
    about = f"{badge(exercise)}, points: {check.metadata.nbgrader.points}, cases: {len(exercise.cases)}"
    known = {mistake.says: mistake.hint for mistake in exercise.mistakes}
    rows = [("a wrong answer that is known", "what the check says to do"), ("---", "---"), *known.items()]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return f"**For the instructor** · `{exercise.id}` · {about}\n\n{table}"


def _grade_id(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def _tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [c for c in notebook.cells if c.cell_type == "code" and tag in c.metadata.get("tags", [])]


def problems(notebook: NotebookNode) -> Iterator[str]:
    """What is wrong with a notebook's exercises, a line each."""
    answers, checks = _tagged(notebook, "exercise"), _tagged(notebook, "exercise-check")
    solutions: dict[str, tuple[str, ...]] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and BEGIN in cell.source and cell not in answers:
            yield f"a solution stands outside the cells tagged `exercise`: {cell.source[:60]!r}"
    for cell in answers:
        id = _grade_id(cell)
        if id in solutions:
            yield f"{id}: there are two exercises of that id"
        if id not in exercises():
            yield f"{unknown('exercise', id, exercises())}"
            continue
        if cell.metadata.nbgrader.get("solution") is not True:
            yield f"{id}: the metadata don't say `solution: true`"
        stubbed = stub(cell.source, id)
        solutions[id] = stubbed.solutions
        if not stubbed.solutions:
            yield f"{id}: there is no `{BEGIN}` in it"
        elif exercises()[id].wants not in _defined(stubbed.source):
            yield f"{id}: the student's cell lacks `{exercises()[id].wants}`: put the markers inside it"
        below = notebook.cells[notebook.cells.index(cell) + 1 :]
        if not any(c in checks and f'check("{id}")' in c.source for c in below):
            yield f'{id}: there is no check: put `check("{id}")` in a cell tagged `exercise-check` below it'
    for cell in checks:
        id = _grade_id(cell).removesuffix("-check")
        if f'check("{id}")' not in cell.source or id not in map(_grade_id, answers):
            yield f"{_grade_id(cell) or 'a check'}: it checks no exercise of this notebook"
    yield from _leaks(student_version(notebook), solutions)
    yield from _given_away(solutions)
    yield from _out_of_step(notebook)


def _out_of_step(notebook: NotebookNode) -> Iterator[str]:
    try:
        for exercise, cell in cards(notebook):
            if card(exercise, cell.source) != cell.source:
                yield f"{exercise.id}: its text says something else than it: run python -m labkit.exercises.cards"
    except LabError as error:
        yield str(error)


def _defined(source: str) -> list[str]:
    try:
        return [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    except SyntaxError:
        return []


def _leaks(student: NotebookNode, solutions: dict[str, tuple[str, ...]]) -> Iterator[str]:
    text = _code("\n".join(cell.source for cell in student.cells))
    for id, blocks in solutions.items():
        for block in map(_code, blocks):
            if not block.strip():
                yield f"{id}: the solution is empty"
            elif block in text:
                yield f"{id}: its solution can be read in the student version"


def _given_away(solutions: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """Hints in which a whole line of the solution stands, but for spaces and comments."""
    for id, blocks in solutions.items():
        lines = {"".join(line.partition("  #")[0].split()) for block in blocks for line in block.split("\n")}
        for number, hint in enumerate(exercises()[id].hints, 1):
            if any(line in "".join(hint.split()) for line in lines if len(line) > SHORT):
                yield f"{id}: hint {number} holds a line of the solution"


def _code(source: str) -> str:
    """Source by its statements: no indentation, blank lines or comments."""
    lines = (line.strip() for line in source.split("\n"))
    return "\n" + "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


EDITIONS = {"student": student_version, "instructor": instructor_version}


def main(argv: list[str] | None = None) -> int:
    """Write an edition, or check the masters; the exit code is 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m labkit.exercises.student", description="Editions of notebooks.")
    parser.add_argument("notebooks", nargs="?", type=Path, default=ROOT / "notebooks", help="folder of the masters")
    parser.add_argument("--edition", choices=EDITIONS, default="student", help="for whom (default: student)")
    parser.add_argument("--out", type=Path, help="folder to write (default: student or instructor)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if an exercise is not in order")
    args = parser.parse_args(argv)
    try:
        if args.check:
            return _check(args.notebooks)
        return _write(args.notebooks, args.out or ROOT / args.edition, args.edition)
    except LabError as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1


def _masters(folder: Path) -> Iterator[tuple[Path, NotebookNode]]:
    paths = sorted(folder.glob("*.ipynb"))
    if not paths:
        raise LabError(f"there are no notebooks in {folder}: name the folder that holds them")
    for path in paths:
        try:
            yield path, v4.reads(path.read_text(encoding="utf-8"))
        except (ValueError, AttributeError, KeyError) as error:
            raise LabError(f"{path} is not a notebook: {error}") from error


def _write(folder: Path, out: Path, edition: str) -> int:
    if out.resolve() == folder.resolve():
        raise LabError(f"{out} holds the masters: give --out another folder, or their solutions are lost")
    versions = []  # all before the first is written: a broken notebook leaves nothing half done
    for path, notebook in _masters(folder):
        try:
            versions.append((out / path.name, v4.writes(EDITIONS[edition](notebook)) + "\n"))
        except LabError as error:
            raise LabError(f"{path.name}: {error}") from error
    out.mkdir(parents=True, exist_ok=True)
    for path, text in versions:
        path.write_text(text, encoding="utf-8", newline="\n")
    print(f"✓ {len(versions)} notebooks, {edition} edition, in {out}")
    return 0


def _check(folder: Path) -> int:
    found, count = [], 0
    for path, notebook in _masters(folder):
        count += len(_tagged(notebook, "exercise"))
        try:
            found += [f"{path.name}: {problem}" for problem in problems(notebook)]
        except LabError as error:
            found.append(f"{path.name}: {error}")
    for problem in found:
        print(f"✗ {problem}", file=sys.stderr)
    if not found:
        print(f"✓ {count} exercises in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
