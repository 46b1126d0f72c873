"""The key must change with everything that can change a result, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_course import Course

from labkit.batch import keys
from labkit.batch.plan import discover


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A small labkit of its own."""
    files = {
        "labkit/__init__.py": "",
        "labkit/profile.py": "",
        "labkit/unused.py": "import labkit.profile",
        "labkit/models/__init__.py": "",
        "labkit/models/gpt2.py": "def f():\n    from ..tasks import webtext as w",
        "labkit/tasks/__init__.py": "from . import webtext",
        "labkit/tasks/webtext.py": "from labkit import profile",
        "labkit/training/__init__.py": "",
        "labkit/training/launch.py": "",
        "labkit/training/pretrain.py": "from labkit.models.gpt2 import GPT2",
        "labkit/broken.py": "def",
        "labkit/ledger.py": 'from labkit.profile import ROOT\nLEDGER = ROOT / "data" / "claims.yaml"',
        "labkit/store.py": 'from labkit.profile import ROOT\nCACHE = ROOT / "data" / "cache"',
        "data/claims.yaml": "",
        "data/other.yaml": "",
        "data/cache/a.json": "",
    }
    for name, source in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


TASKS = ["labkit/tasks/__init__.py", "labkit/tasks/webtext.py"]
GPT2 = ["labkit/models/__init__.py", "labkit/models/gpt2.py", "labkit/profile.py", *TASKS]


@pytest.mark.parametrize(
    ("cell", "files"),
    [
        ("import numpy", []),
        ("from labkit import profile", ["labkit/profile.py"]),
        ("import labkit.profile as p", ["labkit/profile.py"]),
        ("from labkit.models import gpt2", GPT2),  # a lazy, relative import in it, and what that imports
        ("if True:\n    from labkit.models.gpt2 import GPT2", GPT2),
        ("%matplotlib inline\nfrom labkit.models.gpt2 import GPT2", GPT2),
        ("%%bash\npython -m labkit.models.gpt2 && echo 'done'", GPT2),
        ("!python -m labkit.profile", ["labkit/profile.py"]),
        (
            "from labkit.training.launch import launch\nlaunch('labkit.training.pretrain', nproc=2)",
            [
                *GPT2,
                "labkit/training/__init__.py",
                "labkit/training/launch.py",
                "labkit/training/pretrain.py",
            ],
        ),
        ("import labkit.broken", ["labkit/broken.py"]),
        ("import labkit.ledger", ["data/claims.yaml", "labkit/ledger.py", "labkit/profile.py"]),
        ("import labkit.store", ["labkit/profile.py", "labkit/store.py"]),  # a cache comes and goes
        ("'labkit.no such/../module'", []),
    ],
)
def test_closure(library: Path, cell: str, files: list[str]):
    """An import that is missed means a stale result that counts as good."""
    assert keys.closure([cell], library) == sorted(["labkit/__init__.py", *files] if files else [])


def test_the_ledger_is_among_what_the_report_is_made_from():
    """An edited claim whose report counts as good would keep its old verdict."""
    assert "data/claims.yaml" in keys.closure(["from labkit.report.ledger import load_claims"], keys.ROOT)
    assert "data/claims.yaml" not in keys.closure(["from labkit.profile import resolve"], keys.ROOT)


def parts(course: Course, **parameters: object) -> keys.Ingredients:
    return keys.ingredients(discover(course.notebooks)["01_a"], parameters, {})


def test_what_changes_the_key_and_what_does_not(course: Course):
    course.add("01_a", "1 + 1")
    before = parts(course)
    course.add("01_a", "1 + 1", markdown="Other words.")
    assert keys.key(parts(course)) == keys.key(before)
    course.add("01_a", "1 + 2")
    assert keys.changes(before, parts(course)) == {("cells", "code"): "its code cells changed"}


def test_changes_are_said_in_words():
    old = {
        "cells": {"code": "1"},
        "parameter": {"max_steps": 600},
        "file": {"labkit/models/gpt2.py": "1", "labkit/old.py": "1"},
        "needs": {"02_pretrain": "1"},
        "version": {"torch": "2.13.0"},
    }
    new = {
        "cells": {"code": "1"},
        "parameter": {"max_steps": 500},
        "file": {"labkit/models/gpt2.py": "2", "labkit/new.py": "1"},
        "needs": {"02_pretrain": "2"},
        "version": {"torch": "2.14.0"},
    }
    assert list(keys.changes(old, new).values()) == [
        "parameter max_steps 600 → 500",
        "labkit/models/gpt2.py changed",
        "labkit/new.py is imported",
        "labkit/old.py is no longer imported",
        "needs 02, whose result changed",
        "torch 2.13.0 → 2.14.0",
    ]
    assert keys.changes(old, old) == {}
