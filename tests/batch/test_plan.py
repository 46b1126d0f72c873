"""What the notebooks declare: who needs whom, and what is wrong with a declaration."""

from __future__ import annotations

import nbformat
import pytest
from small_course import Course

from labkit.batch.plan import discover, select
from labkit.profile import LabError


def test_a_notebook_comes_after_those_it_needs_and_otherwise_by_number(course: Course):
    course.add("01_a", needs=["03"])
    course.add("02_b", cores=2, limit_minutes=7)
    course.add("03_c")
    course.add("10_d", needs=["01_a", "2"])
    notebooks = discover(course.notebooks)
    assert list(notebooks) == ["02_b", "03_c", "01_a", "10_d"]
    assert notebooks["10_d"].needs == ("01_a", "02_b")
    assert (notebooks["02_b"].cores, notebooks["02_b"].limit_minutes) == (2, 7)
    assert (notebooks["01_a"].cores, notebooks["01_a"].limit_minutes) == (1, None)


def test_headings(course: Course):
    course.add("01_a", "1", markdown="```\n# a comment\n```\n## Words")
    notebook = discover(course.notebooks)["01_a"]
    assert notebook.title == "Lesson 01_a"
    assert notebook.heading_above(2) == "Words"
    assert notebook.heading_above(4) == "The work"


def test_notebooks_that_need_each_other_are_named(course: Course):
    course.add("01_a", needs=["02"])
    course.add("02_b", needs=["01"])
    with pytest.raises(LabError, match=r"in a circle, .*01_a.* → .*02_b"):
        discover(course.notebooks)


def test_an_unknown_need_is_named_with_the_nearest(course: Course):
    course.add("01_build", needs=["02_pretrian"])
    course.add("02_pretrain")
    with pytest.raises(LabError, match=r"01_build.ipynb: unknown notebook '02_pretrian': did you mean '02_pretrain'"):
        discover(course.notebooks)


def test_a_notebook_without_a_parameters_cell_is_refused(course: Course):
    nbformat.write(nbformat.v4.new_notebook(), course.notebooks / "01_a.ipynb")
    with pytest.raises(LabError, match=r"01_a.ipynb: it has 0 code cells tagged 'parameters'"):
        discover(course.notebooks)


def test_a_file_that_is_no_notebook_is_refused(course: Course):
    (course.notebooks / "01_a.ipynb").write_text("{")
    with pytest.raises(LabError, match=r"01_a.ipynb is not a notebook"):
        discover(course.notebooks)


def test_no_notebooks_at_all(course: Course):
    with pytest.raises(LabError, match="LABKIT_NOTEBOOKS"):
        discover(course.notebooks)


def test_selection(course: Course):
    for id_ in ("00_a", "01_b", "02_c"):
        course.add(id_)
    notebooks = discover(course.notebooks)
    assert select(notebooks) == ["00_a", "01_b", "02_c"]
    assert select(notebooks, only="02,0") == ["00_a", "02_c"]
    assert select(notebooks, start="01") == ["01_b", "02_c"]
    with pytest.raises(LabError, match="unknown notebook '07'"):
        select(notebooks, only="07")
