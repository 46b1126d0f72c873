"""`--set dry_run=true`: every notebook ends where its rehearsal ends, and nothing else is touched."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from small_course import Course

from labkit.batch.params import Parameter, replace
from labkit.profile import LabError

REHEARSES = """
from labkit.preflight.check import DryRunEnds
if dry_run:
    raise DryRunEnds("dry run: 1 of 1 parts ran")
"""
DECLARED = {"02_a": {"dry_run": Parameter("dry_run", "bool", False)}, "14_b": {}}


@pytest.fixture(scope="module")
def dry(tmp_path_factory) -> tuple[Course, Path]:
    course = Course(tmp_path_factory.mktemp("dry"))
    work = f"open({str(course.notebooks / 'worked')!r}, 'w')"
    course.add("01_plain", "raise ValueError('has nothing to rehearse')")
    course.add("02_long", REHEARSES, work, parameters="dry_run: bool = False", needs=["01"])
    course.done = course.run("--set", "dry_run=true")
    return course, course.out / "smoke-dry-run"


def test_a_rehearsed_notebook_is_ok_and_its_work_did_not_begin(dry):
    """Else a dry run would start the hours that it is to save."""
    course, results = dry
    assert course.done.returncode == 0, course.done.stderr
    rows = json.loads((results / "run.json").read_text())["notebooks"]
    assert [(row["id"], row["status"]) for row in rows] == [("02_long", "ok")]
    assert not (course.notebooks / "worked").exists() and not course.results.exists()


def test_its_page_says_what_it_did_and_shows_no_error(dry):
    _, results = dry
    notebook = nbformat.read(results / "notebooks" / "02_long.ipynb", as_version=4)
    assert "1 of 1 parts ran" in notebook.cells[-1].outputs[-1].text
    said = (results / "notebooks" / "02_long.html").read_text()
    assert "1 of 1 parts ran" in said and "An Exception was encountered" not in said and "DryRunEnds: " not in said


def test_it_is_one_for_all():
    """Else `--set 02.dry_run=true` would rehearse 02 and train everything else."""
    assert replace(DECLARED, ["dry_run=true"]) == {"02_a": {"dry_run": True}, "14_b": {}}
    with pytest.raises(LabError, match="dry_run is one for all: --set dry_run=true --only 02"):
        replace(DECLARED, ["02.dry_run=true"])
