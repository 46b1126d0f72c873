"""What is learnt in turn must be tasks that one model can answer, each with data of its own."""

from __future__ import annotations

import os

import pytest

from labkit.profile import resolve
from labkit.tasks import sequence
from labkit.tasks.labelled import key
from labkit.tasks.ner import Sentence, TaggedSentences
from labkit.tasks.sequence import CELLS, WORDS, load_sequence, names_cells


def test_embedded_is_one_question_in_three_places():
    """The same labels in the same order, or their ids would disagree; and no sentence in two tasks."""
    tasks = load_sequence(resolve("smoke", "embedded"))
    assert len(tasks) == 3 and len({task.labels for task in tasks}) == 1
    assert all("synthetic" in task.name for task in tasks) and len({task.name for task in tasks}) == 3
    texts = [{key(e.text) for e in task.train + task.validation + task.test} for task in tasks]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]
    assert len({len(task.train) for task in tasks}) == len({task.test[0].prompt.split()[-1] for task in tasks}) == 1


def test_whether_cells_are_named_is_read_off_the_tags(monkeypatch):
    """Types and lines of cells count, a protein doesn't; what is too long to be read, or is tested, is left out."""
    tagged = [
        Sentence(("T", "cells", "grew"), ("B-cell_type", "I-cell_type", "O")),
        Sentence(("HeLa", "grew"), ("B-cell_line", "O")),
        Sentence(("NF-kB", "rose"), ("B-protein", "O")),
        Sentence(("so",) * (WORDS + 1), ("O",) * (WORDS + 1)),
        Sentence(("Cells", "died", "!"), ("O", "O", "O")),
    ]
    test = [Sentence(("cells", "died", "."), ("O", "O", "O"))]
    monkeypatch.setattr(
        sequence, "load_ner", lambda lab: TaggedSentences(tagged, tagged[:1], test, "real", {"duplicates": 2})
    )
    data = names_cells(resolve("smoke", "embedded"))
    assert [(e.text, CELLS[e.label]) for e in data.train] == [
        ("T cells grew", "cells"), ("HeLa grew", "cells"), ("NF-kB rose", "other"),
    ]  # fmt: skip
    assert (len(data.validation), len(data.test), data.dropped) == (1, 1, 3) and "real" in data.name


def test_the_real_tasks():
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set")
    tasks = load_sequence(resolve("smoke", "local"))
    assert [len(task.labels) for task in tasks] == [3, 2, 2] and len({task.labels for task in tasks}) == 3
    assert not any("synthetic" in task.name for task in tasks) and all(task.leak_share == 0 for task in tasks)
    share = sum(e.label for e in tasks[1].test) / len(tasks[1].test)
    assert 0.3 < share < 0.6
