"""What the tests of the batch runner share."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_course import Course


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """An empty course, in a folder whose braces papermill would take for a parameter."""
    return Course(tmp_path / "my {course}")
