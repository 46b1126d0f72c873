"""The head and the foot of an exercise's markdown cell: how hard, how long, and hints that unfold one by one.

    python -m labkit.exercises.cards        # write them into the notebooks
    card(exercise, cell.source)

They repeat what the `Exercise` says, so they are written from it, and `student --check` fails where a cell says
something else. The text between them is the author's. Hints are `<details>`: they need no code and no memory of
how often somebody tried, and unfold in Jupyter, on GitHub and in exported pages alike.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labkit.exercises.exercise import Exercise, exercises
from labkit.profile import ROOT, LabError

_TITLE = re.compile(r"^### Exercise \d+ · .+$", re.MULTILINE)
_BADGE = re.compile(r"\A[●○]{3} \w+ · \d+ minutes\s*")
_HINTS = re.compile(r"\s*<details><summary>Hint 1</summary>.*\Z", re.DOTALL)
_DOTS = {"easy": "●○○", "medium": "●●○", "hard": "●●●"}


def badge(exercise: Exercise) -> str:
    """`●○○ easy · 3 minutes`."""
    return f"{_DOTS[exercise.difficulty]} {exercise.difficulty} · {exercise.minutes} minutes"


def card(exercise: Exercise, source: str) -> str:
    """The cell's text with the exercise's own head and foot. Raises `LabError` if it has no title."""
    title = _TITLE.search(source)
    if not title:
        raise LabError(f"{exercise.id}: the cell above has no title: write `### Exercise 1 · …`")
    text = _HINTS.sub("", _BADGE.sub("", source[title.end() :].strip()))
    hints = (
        f"<details><summary>Hint {i}</summary>\n\n{hint}\n\n</details>" for i, hint in enumerate(exercise.hints, 1)
    )
    return "\n\n".join([source[: title.end()], badge(exercise), text, *hints])


def cards(notebook: NotebookNode) -> list[tuple[Exercise, NotebookNode]]:
    """Each known exercise of a notebook with the markdown cell above it. Raises `LabError` if there is none."""
    found = []
    for above, cell in zip([None, *notebook.cells], notebook.cells, strict=False):
        exercise = exercises().get(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
        if exercise and (above is None or above.cell_type != "markdown"):
            raise LabError(f"{exercise.id}: there is no text above it: write a markdown cell that says what to do")
        if exercise:
            found.append((exercise, above))
    return found


def main(argv: list[str] | None = None) -> int:
    """Write head and foot of every exercise into the notebooks of a folder."""
    parser = argparse.ArgumentParser(prog="python -m labkit.exercises.cards", description="Refresh exercises' cells.")
    parser.add_argument("notebooks", nargs="?", type=Path, default=ROOT / "notebooks", help="folder of the masters")
    for path in sorted(parser.parse_args(argv).notebooks.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        stale = [(e, cell) for e, cell in cards(notebook) if card(e, cell.source) != cell.source]
        for exercise, cell in stale:
            cell.source = card(exercise, cell.source)
        if stale:
            nbformat.write(notebook, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
