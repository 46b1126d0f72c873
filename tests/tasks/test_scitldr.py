"""Abstracts and one-sentence summaries: the first summary is the reference."""

from __future__ import annotations

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub, run_in_child, served

from labkit.hub import REPOSITORIES
from labkit.profile import LabError, resolve
from labkit.tasks.scitldr import FILES, load_scitldr

ROW = {
    "paper_id": "a1",
    "source": ["We nap. ", " Naps\nhelp."],
    "target": ["Nap!", "A paper on naps."],
    "title": "Naps",
}


def write(tmp_path, monkeypatch, *rows: dict) -> None:
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    (tmp_path / "scitldr").mkdir(exist_ok=True)
    for name in ("train", "dev", "test"):
        lines = "\n".join(json.dumps(row | {"title": name}) for row in rows)
        (tmp_path / "scitldr" / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def test_the_local_files(tmp_path, monkeypatch):
    """The sentences are one paragraph; the second summary, a reviewer's, is nobody's reference."""
    write(tmp_path, monkeypatch, ROW, ROW | {"target": []}, ROW | {"source": [" "]})
    papers = load_scitldr(resolve("smoke", "local"))
    assert papers.train == papers.validation == papers.test
    assert papers.test[0].paragraphs == ("We nap. Naps help.",) and papers.test[0].abstract == "Nap!"
    assert len(papers.test) == 1 and papers.dropped == 6


@pytest.mark.parametrize("fault", [{"source": "We nap."}, {"target": "Nap!"}, {"target": [None]}, {"source": None}])
def test_what_is_no_list_of_sentences_is_refused_with_its_place(tmp_path, monkeypatch, fault):
    """A text in place of a list would be read letter by letter, its first letter as the summary."""
    write(tmp_path, monkeypatch, ROW, ROW | fault)
    with pytest.raises(LabError, match=r"row 2 of .*train\.jsonl is no SciTLDR-A record"):
        load_scitldr(resolve("smoke", "local"))


def test_the_real_files():
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set")
    papers = load_scitldr(resolve("smoke", "local"))
    assert [len(papers.train), len(papers.validation), len(papers.test), papers.dropped] == [1992, 619, 618, 0]
    assert all("\n" not in paper.article + paper.abstract for paper in papers.test)


LOAD = """
from labkit.profile import resolve
from labkit.tasks.scitldr import load_scitldr
papers = load_scitldr(resolve("smoke", "hub"))
print(papers.train[0].article, papers.validation[0].abstract, papers.test[0].id, papers.dropped)
"""


def test_the_hub_s_conversion_is_read(tmp_path):
    """At the pinned revision of the conversion: the repository itself has a script, which `datasets` refuses."""
    for name in FILES.hub.values():
        path = served(tmp_path / "hub", "scitldr") / name
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist([ROW]), path)
    with Hub(tmp_path / "hub") as hub:
        assert run_in_child(LOAD, hub.env(tmp_path / "home")) == "We nap. Naps help. Nap! a1 0"
        assert any(REPOSITORIES["scitldr"].revision in request for request in hub.requests)
