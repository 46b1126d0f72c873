"""Grading: right answers get their point, wrong ones their reason, and nobody gets more than that by force."""

import csv
import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit.exercises import grade as command
from labkit.exercises import student
from labkit.exercises.exercise import find
from labkit.exercises.grade import NO_SANDBOX, main
from labkit.exercises.grading.sandbox import UNSAFE, Run, find_sandbox
from labkit.exercises.grading.submissions import submissions
from labkit.profile import ROOT, LabError

NAME = "02_pretrain_ddp.ipynb"
IDS = ["02-shift-targets", "02-bits-per-byte", "02-learning-rate"]


def table(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def editions(tmp_path_factory):
    """The master of notebook 02, and what students get."""
    masters, out = tmp_path_factory.mktemp("masters"), tmp_path_factory.mktemp("student")
    shutil.copy(ROOT / "notebooks" / NAME, masters)
    assert student.main([str(masters), "--out", str(out)]) == 0
    return nbformat.read(masters / NAME, as_version=4), nbformat.read(out / NAME, as_version=4)


@pytest.fixture
def hand_in(editions, tmp_path):
    """Write a student's notebook with these answers, sources by id; what isn't answered stays a stub."""
    folder = tmp_path / "submitted"

    def write(who, answers, name=NAME):
        notebook = nbformat.from_dict(json.loads(json.dumps(editions[1])))
        for cell in notebook.cells:
            id = cell.metadata.get("nbgrader", {}).get("grade_id")
            cell.source = answers.get(id, cell.source)
        (folder / who).mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, folder / who / name)
        return folder

    return write


def solutions(master):
    cells = {c.metadata.get("nbgrader", {}).get("grade_id"): c.source for c in master.cells}
    return {id: cells[id] for id in IDS}


COPIES = "def shift_targets(tokens):\n    return tokens[:, :-1], tokens[:, :-1]"
PATCH_AND_EXIT = """
import json, os
from labkit.exercises import checking, compare
compare.complaint = checking.judge = lambda *args: None
passed = {"id": "02-shift-targets", "status": "passed", "points": 1, "attempts": [{"value": True}]}
for fd in range(64):
    try:
        os.write(fd, (json.dumps(passed) + "\\n").encode())
    except OSError:
        pass
os._exit(0)
"""
BLOCK = "def bits_per_byte(loss, n_tokens, n_bytes):\n    return (10 ** 10 ** 9) % 7"


def test_three_submissions_are_graded(hand_in, editions, tmp_path, monkeypatch, capsys):
    """All right; half right, with a known mistake; and one that forges, exits, blocks and deletes."""
    if not find_sandbox():
        pytest.skip("no sandbox works on this machine")
    canary = tmp_path / "canary"
    canary.write_text("alive")
    delete = f"import os\n\ndef learning_rate(*args):\n    os.remove({str(canary)!r})\n    return 0.0"
    right = solutions(editions[0])
    hand_in("right", right)
    hand_in("half", {IDS[0]: COPIES, IDS[1]: right[IDS[1]]})
    folder = hand_in("malicious", {IDS[0]: PATCH_AND_EXIT, IDS[1]: BLOCK, IDS[2]: delete})
    monkeypatch.setattr(command, "RUN", 5)

    assert main([str(folder), "--out", str(tmp_path / "grades.csv")]) == 0
    rows = table(tmp_path / "grades.csv")
    status = {(r["student"], r["exercise"]): r["status"] for r in rows}
    assert [status["right", id] for id in IDS] == ["passed"] * 3
    assert [status["half", id] for id in IDS] == ["failed", "passed", "not started"]
    assert sum(int(r["points"]) for r in rows) == 4
    copied = next(r for r in rows if r["student"] == "half" and r["exercise"] == IDS[0])
    known = next(m for m in find(IDS[0]).mistakes if "targets are the inputs" in m.says)
    assert copied["message"] == f"{known.says} → {known.hint}"
    forged = {r["exercise"]: (r["status"], r["message"]) for r in rows if r["student"] == "malicious"}
    assert forged[IDS[0]][0] in ("failed", "stopped") and forged[IDS[1]] == ("stopped", "stopped after 5 s")
    assert "FileNotFoundError" in forged[IDS[2]][1] and canary.read_text() == "alive"
    assert {r["sandbox"] for r in rows} <= {"bubblewrap", "unshare"}
    assert "1 of 3" in capsys.readouterr().out


def graded(folder, tmp_path, monkeypatch):
    """Without a sandbox: these tests' own code does no harm."""
    monkeypatch.setattr(command, "find_sandbox", lambda: None)
    out = tmp_path / "grades.csv"
    assert main([str(folder), "--out", str(out), "--unsafe"]) == 0
    return table(out)


def test_without_a_sandbox_nothing_is_run_unless_one_insists(hand_in, tmp_path, monkeypatch, capsys):
    folder = hand_in("ann", {})
    monkeypatch.setattr(command, "find_sandbox", lambda: None)
    assert main([str(folder), "--out", str(tmp_path / "grades.csv")]) == 1
    assert NO_SANDBOX in capsys.readouterr().err and not (tmp_path / "grades.csv").exists()
    assert {row["sandbox"] for row in graded(folder, tmp_path, monkeypatch)} == {"none"}
    assert "WITHOUT a sandbox" in capsys.readouterr().out


ANSWERS = {
    "def shift_targets(tokens): return tokens[:, :-1], tokens[:, 1:]": ("passed", "predicts the token"),
    "import torch\nshift_targets = lambda tokens: (tokens[:, :-1], torch.roll(tokens, -1, 1)[:, :-1])": ("passed", ""),
    "def shift_targets(tokens): return helper(tokens)": ("failed", "has to stand in it"),
    "print(undefined)": ("failed", "NameError in line 1"),
    "def shift_targets(tokens)\n    return 1": ("failed", "SyntaxError in line 1"),
    "shift_targets = 3": ("failed", "should be a function, but is a int"),
    "": ("not started", "there is no `shift_targets`"),
    "def shift_targets(tokens): return {1, 2}": ("failed", "should return 2 things, but returned one set"),
    "def shift_targets(a, b): return 1": ("failed", "yours is `shift_targets(a, b)`"),
    "def shift_targets(tokens): raise SystemExit": ("failed", "SystemExit"),
    "import sys\nsys.exit()": ("failed", "SystemExit"),
    "%%time\ndef shift_targets(tokens):\n    return tokens[:, :-1], tokens[:, 1:]": ("passed", ""),
}


def test_each_kind_of_cell_gets_its_row(hand_in, tmp_path, monkeypatch):
    """In one worker after the other: what one cell does must not reach the next student."""
    for i, source in enumerate(ANSWERS):
        folder = hand_in(f"{i:02}", {IDS[0]: source})
        slim = folder / f"{i:02}" / NAME
        notebook = nbformat.read(slim, as_version=4)
        notebook.cells = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == IDS[0]]
        nbformat.write(notebook, slim)
    cells = [s.answers[IDS[0]] for s in submissions(folder)]
    job = [command._asked(find(IDS[0]), cell) | {"id": str(i)} for i, cell in enumerate(cells)]
    run = command.run_worker(UNSAFE, {"cells": [], "exercises": job}, 60)
    assert len(run.replies) == 1 + len(ANSWERS)
    for reply, (status, says) in zip(run.replies[1:], ANSWERS.values(), strict=True):
        came = command._judged(find(IDS[0]), reply)
        assert came[0] == status and says in came[1], came


def test_notebooks_that_are_missing_broken_or_twice_are_rows(hand_in, tmp_path, monkeypatch):
    """A crash at one student would cost everybody after them."""
    hand_in("ann", {})
    hand_in("bob", {}, name="02_copy.ipynb")
    hand_in("bob", {})
    folder = hand_in("eve", {})
    for who, text in {"cem": "{", "dan": '{"cells": [{"cell_type": 3}]}', "fay": "\x00", "gil": "[" * 100_000}.items():
        (folder / who).mkdir()
        (folder / who / NAME).write_text(text)
    (folder / "hal").mkdir()
    (folder / "hal" / NAME).symlink_to(folder / "ann" / NAME)
    (folder / "ivy" / ".ipynb_checkpoints").mkdir(parents=True)
    shutil.copy(folder / "ann" / NAME, folder / "ivy" / ".ipynb_checkpoints" / NAME)
    path = folder / "eve" / NAME
    notebook = nbformat.read(path, as_version=4)
    twice = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") in IDS]
    notebook.cells = [*twice[:2], new_code_cell(twice[0].source, metadata=twice[0].metadata)]
    nbformat.write(notebook, path)
    monkeypatch.setattr(command, "run_worker", lambda *args: Run([], 0.0, "not run in this test"))
    rows = graded(folder, tmp_path, monkeypatch)
    said = {(r["student"], r["status"], r["message"].split(":")[0]) for r in rows}
    assert said == {
        ("ann", "stopped", "not run in this test"),
        ("bob", "broken", "handed in 2 times"),
        ("cem", "broken", "not a notebook that can be read"),
        ("dan", "broken", "not a notebook that can be read"),
        ("eve", "missing", "2 cells have its id"),
        ("eve", "missing", "no cell has its id"),
        ("eve", "stopped", "not run in this test"),
        ("fay", "broken", "not a notebook that can be read"),
        ("gil", "broken", "not a notebook that can be read"),
        ("hal", "broken", "not a notebook that can be read"),
        ("ivy", "missing", "not handed in"),
    }
    assert len(rows) == 3 * 9 and not any(int(r["points"]) for r in rows)


def test_a_folder_of_notebooks_is_one_student(hand_in):
    only = hand_in("ann", {}) / "ann"
    assert [(s.student, s.notebook) for s in submissions(only)] == [("ann", "02")]


@pytest.mark.parametrize("made", ["nothing", "empty", "others"])
def test_a_folder_without_the_courses_notebooks_is_an_error(tmp_path, made):
    folder = tmp_path / "submitted"
    if made != "nothing":
        (folder / "ann").mkdir(parents=True)
    if made == "others":
        nbformat.write(new_notebook(), folder / "ann" / "my.ipynb")
    with pytest.raises(LabError, match=r"submitted"):
        submissions(folder)


FORGED = [
    {"id": IDS[1], "attempts": []},
    {"id": IDS[1], "attempts": [{"value": 1.0}]},
    {"id": IDS[1], "attempts": [{"kind": "passed", "says": "", "line": None}]},
    {"id": IDS[1], "attempts": None, "status": "passed", "points": 1},
    {"id": IDS[1], "attempts": [{"value": {"pickle": "x"}}] * 3},
    {"id": IDS[1]},
]


@pytest.mark.parametrize("reply", FORGED, ids=str)
def test_no_forged_reply_is_worth_a_point(reply):
    """All that counts is the values for every case, compared here."""
    assert command._judged(find(IDS[1]), reply)[0] in ("failed", "stopped")


def test_a_spreadsheet_is_given_no_formulas(hand_in, tmp_path, monkeypatch):
    """A folder's name is the student's to choose; Excel would run `=HYPERLINK(…)`."""
    folder = hand_in('=HYPERLINK("x")', {})
    monkeypatch.setattr(command, "run_worker", lambda *args: Run([], 0.0, "not run\nin this test"))
    rows = graded(folder, tmp_path, monkeypatch)
    assert {r["student"] for r in rows} == {'\'=HYPERLINK("x")'} and rows[0]["message"] == "not run in this test"


def test_an_interrupted_run_keeps_its_rows(hand_in, tmp_path, monkeypatch, capsys):
    hand_in("ann", {})
    folder = hand_in("bob", {})
    workers = iter([Run([], 0.0, "first")] * 3)

    def interrupted(*args):
        try:
            return next(workers)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(command, "run_worker", interrupted)
    monkeypatch.setattr(command, "find_sandbox", lambda: UNSAFE)
    assert main([str(folder), "--out", str(tmp_path / "grades.csv")]) == 130
    assert [r["student"] for r in table(tmp_path / "grades.csv")] == ["ann"] * 3
    assert "3 rows are in" in capsys.readouterr().err


def test_the_command_works_as_documented(tmp_path):
    words = [sys.executable, "-m", "labkit.exercises.grade", str(tmp_path / "none")]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"})
    assert done.returncode == 1 and "is no folder" in done.stderr and "Traceback" not in done.stderr
