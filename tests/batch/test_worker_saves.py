"""A run is saved many times while it goes on, and may be killed during any of them."""

from __future__ import annotations

import pytest
from papermill.iorw import papermill_io

from labkit.batch import worker


class KilledMidway(str):
    """What a kill between opening the file and the last byte looks like."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        raise KeyboardInterrupt


@pytest.fixture
def handlers():
    before = list(papermill_io._handlers)
    yield
    papermill_io._handlers[:] = before


def test_a_save_that_is_cut_off_leaves_the_one_before(tmp_path, handlers):
    """Papermill itself empties the file first: hours of outputs would be gone."""
    path = tmp_path / "my {course}" / "01_long.partial.ipynb"
    path.parent.mkdir()
    worker._write_whole(str(path))
    papermill_io.write('{"cells": []}', str(path))
    with pytest.raises(KeyboardInterrupt):
        papermill_io.write(KilledMidway("torn"), str(path))
    assert path.read_text() == '{"cells": []}' and list(path.parent.iterdir()) == [path]


def test_other_files_are_papermills_own_business(tmp_path, handlers):
    worker._write_whole(str(tmp_path / "a.ipynb"))
    assert type(papermill_io.get_handler(str(tmp_path / "b.ipynb"))).__name__ == "LocalHandler"
