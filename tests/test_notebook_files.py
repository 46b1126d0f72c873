"""The notebooks as files: what a reader, papermill and git each need of them. `make lint` runs this, with ruff."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator

import nbformat
import pytest
import yaml

from labkit.exercises import student
from labkit.profile import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
WORD = r"(?:[a-z0-9]+|rougeL)"  # of a metric's name; ROUGE-L is spelled as rouge-score spells it
METRIC = re.compile(rf"(?=[a-z]){WORD}(?:_{WORD})*")
HOLE = "\0"  # in the text of an f-string, where a value goes
FIRST_CELL = re.compile(
    r"# (?P<number>\d\d) · \S.*\n\n"
    r"\[.+\]\(\d\d_\w+\.ipynb\)\n\n"
    r"\*\*In one sentence:\*\* [^\n]+\n\n"
    r"\*\*After this you can\*\* (?P<goal>[^\n]+)\.\n\n"
    r"\| \| smoke \| laptop \| full \|\n\|---\|---\|---\|---\|\n"
    r"\| time \|(?: [^|\n]+ \|){3}\n\| memory \|(?: [^|\n]+ \|){3}\n\n"
    r"\*\*Minutes:\*\* about \d+ to read(?:, \d+ for the exercises)?; to run it, see the table\.\n\n"
    r"You need: [^\n]+"
    r"(?:\n\n\*Reproduces:\* [^\n]+)?"
)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    nb = nbformat.read(request.param, as_version=4)
    nbformat.validate(nb)
    return nb


def code_cells(nb) -> list:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def text_of(nb) -> str:
    return "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")


def records(nb, method: str) -> Iterator[ast.Call]:
    """The calls of `record.<method>(…)` in a notebook."""
    for cell in code_cells(nb):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == f"record.{method}":
                yield node


def spelled(node: ast.expr) -> str | None:
    """A string as it stands in the code, with a `HOLE` for each value of an f-string; None if it is no string."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(part.value if isinstance(part, ast.Constant) else HOLE for part in parts)
    return None


def test_there_are_notebooks():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{i:02}" for i in range(len(NOTEBOOKS))] and NOTEBOOKS


def test_it_is_stored_without_outputs_and_runs_on_any_machine(notebook):
    assert not any(cell.outputs or cell.execution_count for cell in code_cells(notebook))
    assert notebook.metadata.kernelspec.name == "python3"


def test_its_first_cell_says_what_a_reader_must_know(notebook):
    """One layout: title, neighbours, claim, goal, what a run takes, minutes, what is needed."""
    source = notebook.cells[0].source
    found = FIRST_CELL.fullmatch(source)
    assert found, f"not in the layout of the others (see CONTRIBUTING.md):\n{source}"
    assert notebook.cells[0].id == f"cell-{found['number']}-00" and len(found["goal"].split()) >= 8
    assert ("*Reproduces:*" in source) == (found["number"] != "00")


def test_its_parameters_are_typed(notebook):
    parameters = notebook.cells[1]
    assert parameters.metadata.tags == ["parameters"]
    statements = ast.parse(parameters.source).body
    assert all(isinstance(s, ast.AnnAssign) and isinstance(s.value, ast.Constant) for s in statements)
    assert [s.target.id for s in statements[:3]] == ["PROFILE", "SOURCE", "SEED"]


def test_its_cells_have_names_of_their_own(notebook):
    """Git, nbgrader and links go by a cell's id."""
    ids = [cell.id for cell in notebook.cells]
    number = notebook.cells[0].source[2:4]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(rf"cell-{number}-[\w-]+", id) for id in ids)


def test_cells_are_small_and_prose_stands_between_them(notebook):
    lengths = sorted(len(cell.source.splitlines()) for cell in code_cells(notebook))
    assert statistics.median(lengths) <= 5 and lengths[int(0.9 * len(lengths))] <= 20 and lengths[-1] <= 30
    markdown = sum(cell.cell_type == "markdown" for cell in notebook.cells) / len(notebook.cells)
    assert 0.4 <= markdown <= 0.6, f"{markdown:.0%} of the cells are markdown"


def test_it_ends_with_limits(notebook):
    assert "Limits" in text_of(notebook)


def test_every_figure_is_described(notebook):
    """For readers who can't see it; a description that is a plain string can't hold what was measured."""
    for call in records(notebook, "figure"):
        given = [*call.args[2:3], *(k.value for k in call.keywords if k.arg == "alt")]
        assert len(given) == 1, f"no alt text: {ast.unparse(call)}"
        assert not isinstance(given[0], ast.Constant), f"no number in the alt text: {ast.unparse(call)}"


def test_metrics_are_spelled_alike(notebook):
    """`val_loss`, never `valLoss` or `val-loss`: claims, bands and the README name them."""
    for call in [*records(notebook, "metric"), *records(notebook, "figure"), *records(notebook, "table")]:
        name = spelled(call.args[0 if call.func.attr == "metric" else 1])
        if name is not None:
            assert METRIC.fullmatch(re.sub(f"_?{HOLE}", "_x", name).removeprefix("_")), name


def test_promised_metrics_are_spelled_so_too():
    """Whether they are recorded, the bands find out; a slip of spelling need not wait for a run."""
    headline = yaml.safe_load((ROOT / "data" / "headline.yaml").read_text(encoding="utf-8"))
    assert headline.keys() <= {path.stem for path in NOTEBOOKS}
    assert all(METRIC.fullmatch(name) for names in headline.values() for name in names)


def test_links_lead_somewhere(notebook):
    """Relative ones to files beside the notebook (other folders aren't exported), marks to headings."""
    source = text_of(notebook)
    headings = {title.strip().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", source, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)\s]+)\)", source):
        file, _, mark = target.partition("#")
        if file.startswith("https://"):
            continue
        assert (file == "" or (ROOT / "notebooks" / file).is_file()) and "/" not in file, target
        assert file or mark in headings, target


def test_exercises_are_well_formed_and_no_solution_leaks():
    assert student.main([str(ROOT / "notebooks"), "--check"]) == 0


def test_the_map_and_the_readme_have_every_notebook():
    start = "".join(cell.source for cell in nbformat.read(NOTEBOOKS[0], as_version=4).cells)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert f"**{path.stem[:2]}**" in start and f"(notebooks/{path.name})" in readme
