"""The notebooks as files: what a reader, papermill and git each need of them."""

from __future__ import annotations

import ast
import statistics

import nbformat
import pytest

from labkit.exercises import student
from labkit.profile import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    nb = nbformat.read(request.param, as_version=4)
    nbformat.validate(nb)
    return nb


def code_cells(nb) -> list:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{i:02}" for i in range(len(NOTEBOOKS))] and NOTEBOOKS


def test_it_is_stored_without_outputs_and_runs_on_any_machine(notebook):
    assert not any(cell.outputs or cell.execution_count for cell in code_cells(notebook))
    assert notebook.metadata.kernelspec.name == "python3"


def test_it_begins_with_a_claim_and_typed_parameters(notebook):
    first, parameters = notebook.cells[:2]
    assert first.source.startswith("# ") and "In one sentence" in first.source
    assert parameters.metadata.tags == ["parameters"]
    statements = ast.parse(parameters.source).body
    assert all(isinstance(s, ast.AnnAssign) and isinstance(s.value, ast.Constant) for s in statements)
    assert [s.target.id for s in statements[:3]] == ["PROFILE", "SOURCE", "SEED"]


def test_cells_are_small_and_prose_stands_between_them(notebook):
    lengths = sorted(len(cell.source.splitlines()) for cell in code_cells(notebook))
    assert statistics.median(lengths) <= 5 and lengths[int(0.9 * len(lengths))] <= 20 and lengths[-1] <= 30
    markdown = sum(cell.cell_type == "markdown" for cell in notebook.cells) / len(notebook.cells)
    assert 0.4 <= markdown <= 0.6, f"{markdown:.0%} of the cells are markdown"


def test_it_ends_with_limits(notebook):
    prose = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "Limits" in prose


def test_exercises_are_well_formed_and_no_solution_leaks():
    assert student.main([str(ROOT / "notebooks"), "--check"]) == 0


def test_the_map_and_the_readme_have_every_notebook():
    start = "".join(cell.source for cell in nbformat.read(NOTEBOOKS[0], as_version=4).cells)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert f"**{path.stem[:2]}**" in start and f"(notebooks/{path.name})" in readme
