"""The student version: no solution leaves the house, and the notebook still runs."""

import subprocess
import sys
from dataclasses import replace

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from labkit.exercises import cards
from labkit.exercises.cards import card
from labkit.exercises.exercise import exercises, find
from labkit.exercises.student import main, stub
from labkit.profile import LabError

ID = "02-bits-per-byte"
SOLUTION = "    bits = loss / math.log(2)\n    return bits * n_tokens / n_bytes"
ANSWER = f'''import math


def bits_per_byte(loss, n_tokens, n_bytes):
    """Bits a byte."""
    ### BEGIN SOLUTION
{SOLUTION}
    ### END SOLUTION'''


def answer_cell(source=ANSWER, id=ID, cell_id="answer"):
    nbgrader = dict(schema_version=3, solution=True, grade=False, locked=False, task=False, grade_id=id)
    return new_code_cell(source, id=cell_id, metadata={"tags": ["exercise"], "nbgrader": nbgrader})


TEXT = card(find(ID), "### Exercise 1 · Bits\n\nWrite it.")


def text_cell(source=TEXT, cell_id="text"):
    return new_markdown_cell(source, id=cell_id)


def check_cell(source=f'check("{ID}")', id=ID):
    nbgrader = dict(schema_version=3, solution=False, grade=True, locked=True, points=1, task=False)
    nbgrader["grade_id"] = f"{id}-check"
    return new_code_cell(source, id="check", metadata={"tags": ["exercise-check"], "nbgrader": nbgrader})


def notebook(*cells):
    first = new_code_cell("from labkit.exercises import check", id="first", execution_count=3)
    first.outputs = [new_output("stream", text="a trace of the master")]
    first.metadata = {"papermill": {"status": "completed"}, "execution": {"started": "then"}}
    last = new_code_cell('print("the end")', id="last")
    metadata = {"papermill": {"parameters": {}}, "widgets": {"state": {}}}
    return new_notebook(cells=[new_markdown_cell("# Bits", id="title"), first, *cells, last], metadata=metadata)


@pytest.fixture
def masters(tmp_path):
    """A folder of masters; call it with cells to write a notebook into it."""
    folder = tmp_path / "notebooks"
    folder.mkdir()

    def write(*cells):
        nbformat.write(notebook(*(cells or (text_cell(), answer_cell(), check_cell()))), folder / "02_bits.ipynb")
        return folder

    return write


def student_of(folder, out):
    assert main([str(folder), "--out", str(out)]) == 0
    return nbformat.read(out / "02_bits.ipynb", as_version=4)


def test_the_solution_goes_and_the_rest_stays(masters, tmp_path):
    made = student_of(masters(), tmp_path / "out")
    source = made.cells[3].source
    assert source.endswith('"""Bits a byte."""\n    raise NotImplementedError("02-bits-per-byte: your turn")')
    text = (tmp_path / "out" / "02_bits.ipynb").read_text()
    assert "math.log(2)" not in text and "SOLUTION" not in text and "a trace of the master" not in text
    assert [c.id for c in made.cells] == ["title", "first", "text", "answer", "check", "last"]
    assert made.cells[3].metadata == answer_cell().metadata and made.cells[4] == check_cell()
    assert made.metadata == {} and made.cells[1].metadata == {}
    assert all(c.execution_count is None and c.outputs == [] for c in made.cells if c.cell_type == "code")


def test_the_student_version_runs_to_its_end(masters, tmp_path):
    """*Run All* on a fresh copy must not stop at the first exercise."""
    made = student_of(masters(), tmp_path / "out")
    NotebookClient(made, timeout=60, kernel_name="python3").execute()
    assert made.cells[4].outputs[0].data["text/plain"].startswith("○ Not started yet")
    assert made.cells[5].outputs[0].text == "the end\n"


def test_the_same_masters_give_the_same_bytes(masters, tmp_path):
    """Also where a master has no cell ids: a random id would make every build differ."""
    folder = masters()
    path = folder / "02_bits.ipynb"
    raw = path.read_text()
    for id in ("title", "first", "text", "answer", "check", "last"):
        raw = raw.replace(f'   "id": "{id}",\n', "")
    path.write_text(raw)
    assert '"id"' not in raw
    student_of(folder, tmp_path / "a")
    student_of(folder, tmp_path / "b")
    a = (tmp_path / "a" / "02_bits.ipynb").read_bytes()
    assert a == (tmp_path / "b" / "02_bits.ipynb").read_bytes()
    assert a.endswith(b"}\n") and b'"id": "cell-2"' in a


def test_the_masters_are_not_touched_and_cannot_be_overwritten(masters, capsys):
    folder = masters()
    before = (folder / "02_bits.ipynb").read_bytes()
    assert main([str(folder), "--out", str(folder)]) == 1
    assert "masters" in capsys.readouterr().err
    assert (folder / "02_bits.ipynb").read_bytes() == before


def test_check_passes_a_good_notebook_and_writes_nothing(masters, tmp_path, capsys):
    assert main([str(masters()), "--out", str(tmp_path / "out"), "--check"]) == 0
    assert "1 exercises in order" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


LEAK = new_code_cell(f"def late(loss, n_tokens, n_bytes):\n  # again\n{SOLUTION}", id="leak")
QUOTED = new_markdown_cell(f"Here it is:\n\n{SOLUTION}\n", id="leak")
BROKEN = ANSWER.replace("    ### END SOLUTION", "")
WHOLE = "### BEGIN SOLUTION\n" + ANSWER.replace("    ### BEGIN SOLUTION\n", "").replace("    ###", "###")


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([answer_cell()], "there is no check"),
        ([check_cell(), answer_cell()], "there is no check"),
        ([answer_cell(), check_cell("pass")], "there is no check"),
        ([check_cell()], "it checks no exercise"),
        ([answer_cell(id="02-bits-per-bite"), check_cell()], "did you mean '02-bits-per-byte'"),
        ([answer_cell(id=""), check_cell()], "unknown exercise ''"),
        ([answer_cell(), answer_cell(cell_id="again"), check_cell()], "two exercises"),
        ([answer_cell("def bits_per_byte(): ..."), check_cell()], "no `### BEGIN SOLUTION`"),
        ([answer_cell(WHOLE), check_cell()], "lacks `bits_per_byte`"),
        ([answer_cell(ANSWER.replace(SOLUTION, "")), check_cell()], "solution is empty"),
        ([answer_cell(BROKEN), check_cell()], "without its partner"),
        ([new_code_cell(ANSWER, id="untagged"), check_cell()], "outside the cells tagged"),
        ([answer_cell(), check_cell(), LEAK], "its solution can be read"),
        ([QUOTED, answer_cell(), check_cell()], "its solution can be read"),
        ([answer_cell(), check_cell()], "no text above it"),
        ([text_cell("Write it."), answer_cell(), check_cell()], "has no title"),
        (
            [text_cell(TEXT.replace("easy", "hard")), answer_cell(), check_cell()],
            "run python -m labkit.exercises.cards",
        ),
        (
            [text_cell(TEXT.replace("nats", "bits")), answer_cell(), check_cell()],
            "run python -m labkit.exercises.cards",
        ),
    ],
)
def test_check_fails_and_says_which_exercise(masters, cells, says, capsys):
    assert main([str(masters(*cells)), "--check"]) == 1
    err = capsys.readouterr().err
    assert says in err and "02_bits.ipynb: " in err


def test_a_hint_may_not_hold_a_line_of_the_solution(masters, monkeypatch, capsys):
    """Spaces and comments don't hide it."""
    telling = replace(find(ID), hints=("Think.", "Write `bits = loss/math.log(2)` first."))
    monkeypatch.setitem(exercises(), ID, telling)
    cells = text_cell(card(telling, TEXT)), answer_cell(ANSWER.replace("log(2)", "log(2)  # bits")), check_cell()
    assert main([str(masters(*cells)), "--check"]) == 1
    assert f"{ID}: hint 2 holds a line of the solution" in capsys.readouterr().err


def test_instructors_get_the_solution_and_what_the_check_knows(masters, tmp_path):
    assert main([str(masters()), "--edition", "instructor", "--out", str(tmp_path)]) == 0
    made = nbformat.read(tmp_path / "02_bits.ipynb", as_version=4)
    nbformat.validate(made)
    assert [c.id for c in made.cells] == ["title", "first", "text", "answer", "check", "check-notes", "last"]
    assert made.cells[3].source == ANSWER and made.cells[1].outputs == []
    notes = made.cells[5].source
    assert "points: 1, cases: 3" in notes and "●○○ easy · 3 minutes" in notes
    assert all(f"| {m.says} | {m.hint} |" in notes for m in find(ID).mistakes)


def test_cards_are_written_where_they_are_stale_and_nowhere_else(masters):
    """Twice gives the same bytes; what the author wrote around them stays."""
    folder = masters(text_cell("Before.\n\n### Exercise 2 · Bits\n\nWrite it."), answer_cell(), check_cell())
    path = folder / "02_bits.ipynb"
    assert cards.main([str(folder)]) == 0
    text = nbformat.read(path, as_version=4).cells[2].source
    assert text == "Before.\n\n" + TEXT.replace("Exercise 1", "Exercise 2")
    written = path.stat().st_mtime_ns
    assert cards.main([str(folder)]) == 0 and path.stat().st_mtime_ns == written
    assert main([str(folder), "--check"]) == 0


def test_a_lesson_may_show_a_line_of_a_solution(masters):
    line = new_code_cell("bits = loss / math.log(2)", id="lesson")
    assert main([str(masters(line, text_cell(), answer_cell(), check_cell())), "--check"]) == 0


def test_a_broken_notebook_leaves_nothing_half_written(masters, tmp_path, capsys):
    folder = masters()
    (folder / "03_broken.ipynb").write_text('{"cells": ')
    assert main([str(folder), "--out", str(tmp_path / "out")]) == 1
    assert "03_broken.ipynb is not a notebook" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_an_error_not_a_success(tmp_path, capsys):
    assert main([str(tmp_path), "--check"]) == 1
    assert "no notebooks" in capsys.readouterr().err


@pytest.mark.parametrize(
    "source",
    [
        "### BEGIN SOLUTION\n1",
        "1\n### END SOLUTION",
        "### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION",
    ],
)
def test_markers_without_a_partner_are_refused(source):
    """Half a pair would leave the solution in, or swallow the rest of the cell."""
    with pytest.raises(LabError, match="partner"):
        stub(source, ID)


def test_two_blocks_in_one_cell_keep_their_own_indentation():
    source = "def f():\n    ### BEGIN SOLUTION\n    1\n    ### END SOLUTION\n"
    source += "if x:\n\t### BEGIN SOLUTION\n\t2\n\t### END SOLUTION\nrest"
    stubbed = stub(source, "id")
    assert stubbed.solutions == ("    1", "\t2")
    line = 'raise NotImplementedError("id: your turn")'
    assert stubbed.source == f"def f():\n    {line}\nif x:\n\t{line}\nrest"


def test_the_command_works_as_documented(masters):
    command = [sys.executable, "-m", "labkit.exercises.student", str(masters(answer_cell())), "--check"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1 and ID in run.stderr and "Warning" not in run.stderr
