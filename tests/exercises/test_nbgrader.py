"""Both editions are notebooks that nbgrader accepts, whether it is installed here or not."""

import nbformat
import pytest
from jsonschema import validate

from labkit.exercises import student
from labkit.exercises.exercise import exercises
from labkit.profile import ROOT

_FLAGS = {name: {"type": "boolean"} for name in ("solution", "grade", "locked", "task")}
SCHEMA = {  # of nbgrader's metadata, version 3
    "type": "object",
    "properties": {
        **_FLAGS,
        "schema_version": {"const": 3},
        "grade_id": {"type": "string", "pattern": "^[a-zA-Z0-9_-]+$"},
        "points": {"type": "number", "minimum": 0},
    },
    "required": ["schema_version", "grade_id", *_FLAGS],
    "additionalProperties": False,
    "if": {"properties": {"grade": {"const": True}}},
    "then": {"required": ["points"]},
    "else": {"not": {"required": ["points"]}},
}


@pytest.fixture(scope="module", params=[None, "student", "instructor"])
def notebooks(request, tmp_path_factory):
    """The masters, and each edition made from them."""
    folder = ROOT / "notebooks"
    if request.param:
        folder = tmp_path_factory.mktemp(request.param)
        assert student.main(["--edition", request.param, "--out", str(folder)]) == 0
    return sorted(folder.glob("*.ipynb"))


def test_metadata_follow_nbgraders_schema(notebooks):
    seen = []
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        marked = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
        for cell in marked:
            validate(cell.metadata.nbgrader, SCHEMA)
            assert cell.cell_type == "code"
        seen += [cell.metadata.nbgrader.grade_id for cell in marked]
    assert sorted(seen) == sorted(id + end for id in exercises() for end in ("", "-check"))


def test_nbgrader_itself_accepts_them(notebooks):
    """Also: it makes its own student version, and none of our solutions is left in it."""
    nbgraderformat = pytest.importorskip("nbgrader.nbgraderformat")
    preprocessors = pytest.importorskip("nbgrader.preprocessors")
    for path in notebooks:
        notebook = nbgraderformat.read(path, as_version=4)
        for name in ("CheckCellMetadata", "ClearSolutions", "ComputeChecksums"):
            notebook, _ = getattr(preprocessors, name)().preprocess(notebook, {})
        assert not any("SOLUTION" in cell.source for cell in notebook.cells)
