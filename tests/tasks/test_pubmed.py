"""Biomedical articles: paragraphs and abstracts as published, and errors that name the file and the line."""

from __future__ import annotations

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub, run_in_child, served

from labkit.hub import REPOSITORIES
from labkit.profile import LabError, resolve
from labkit.tasks.papers import Papers
from labkit.tasks.pubmed import FILES, load_pubmed

ROW = {
    "id": "7",
    "article": "BACKGROUND\nwe measured  <dig> mice\n<cit> . they slept.\n\n\nRESULTS\nsleep helps.\nit does.\n\n \n",
    "abstract": "BACKGROUND\nmice sleep <dig> hours.\n\n\nCONCLUSIONS\nit helps.\n\n",
}
SPLITS = ("train", "validation", "test")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A local edition with one paper a split."""
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    (tmp_path / "pubmed").mkdir()
    for split in SPLITS:
        (tmp_path / "pubmed" / f"{split}.jsonl").write_text(json.dumps(ROW | {"id": split}), encoding="utf-8")
    return tmp_path / "pubmed"


def load() -> Papers:
    return load_pubmed(resolve("smoke", "local"))


def test_the_local_file(folder):
    """Else heads would be learnt as text, or a line that ends within a sentence would end a paragraph."""
    papers = load()
    assert [getattr(papers, split)[0].id for split in SPLITS] == list(SPLITS)
    paper = papers.test[0]
    assert paper.paragraphs == ("we measured <dig> mice <cit> . they slept.", "sleep helps. it does.")
    assert paper.abstract == "mice sleep <dig> hours. it helps."
    assert "SumPubMed" in papers.name and papers.dropped == 0


def test_records_without_article_or_abstract_are_counted(folder):
    """An empty abstract as a reference scores zero for every model; one that vanishes uncounted hides the loss."""
    rows = [ROW, ROW | {"article": ""}, ROW | {"abstract": "BACKGROUND\n \n"}, ROW | {"article": "BACKGROUND\n\n"}]
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    papers = load()
    assert len(papers.test) == 1 and papers.dropped == 3


def test_a_text_may_hold_any_character(folder):
    """A line of the file ends at its newline only; Unicode knows more ends of lines."""
    row = ROW | {"article": "one\u2028two\x85three é"}
    (folder / "test.jsonl").write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    assert load().test[0].paragraphs == ("one two three é",)


@pytest.mark.parametrize("line", [b"{", b"[]", b"", b'{"article": "x"}', b'{"article": 1, "abstract": "x"}', b'"\xff"'])
def test_a_bad_line_is_refused_with_its_place(folder, line):
    """A file cut off in the download must not become a smaller dataset."""
    (folder / "validation.jsonl").write_bytes(b"\n".join([json.dumps(ROW).encode(), line, json.dumps(ROW).encode()]))
    with pytest.raises(LabError, match=r"row 2 of .*validation\.jsonl is no .*fetch the file again"):
        load()


def test_a_missing_or_empty_file_says_what_to_do(folder):
    (folder / "test.jsonl").write_bytes(b"")
    with pytest.raises(LabError, match=r"test\.jsonl has no paper.*fetch"):
        load()
    (folder / "test.jsonl").unlink()
    with pytest.raises(LabError, match=r"test\.jsonl.*SOURCE=embedded"):
        load()


def test_embedded_is_not_silently_something_else():
    with pytest.raises(LabError, match="SOURCE=local or hub"):
        load_pubmed(resolve("smoke", "embedded"))


def test_the_real_files():
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set")
    papers = load()
    assert [len(papers.train), len(papers.validation), len(papers.test), papers.dropped] == [1200, 150, 150, 0]
    everything = papers.train + papers.validation + papers.test
    assert len({paper.id for paper in everything}) == len({paper.article for paper in everything}) == 1500
    text = "\n".join(paper.article + paper.abstract for paper in everything)
    assert not any(head in text for head in ("BACKGROUND", "RESULTS", "CONCLUSIONS", "  ", "\n\n"))


LOAD = """
import json
from dataclasses import asdict
from labkit.profile import LabError, resolve
from labkit.tasks.pubmed import load_pubmed
try:
    print(json.dumps(asdict(load_pubmed(resolve("smoke", "hub")))))
except LabError as error:
    print("LabError", error)
"""


def test_the_hub_s_files_are_read_alone(tmp_path):
    """Through the real libraries and a real server: the pinned revision, and not a gigabyte of other files."""
    folder = served(tmp_path / "hub", "pubmed")
    for split, name in FILES.hub.items():
        rows = [{"article": f"{split} one .\ntwo .", "abstract": "sum"}, {"article": "", "abstract": "sum"}]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), folder / name)
        pq.write_table(pa.Table.from_pylist(rows), folder / name.replace("-00000-", "-00001-"))
    with Hub(tmp_path / "hub") as hub:
        papers = json.loads(run_in_child(LOAD, hub.env(tmp_path / "home")))
        assert [papers[split][0]["paragraphs"] for split in SPLITS] == [[f"{split} one .", "two ."] for split in SPLITS]
        assert len({papers[split][0]["id"] for split in SPLITS}) == 3  # though the rows have no names
        assert papers["dropped"] == 3 and papers["name"] != "SumPubMed (a sample)"
        fetched = [request for request in hub.requests if "/resolve/" in request and request.endswith(".parquet")]
        assert fetched and not any("-00001-" in request for request in fetched)
        assert any(REPOSITORIES["pubmed"].revision in request for request in hub.requests)
        (folder / FILES.hub["test"]).unlink()
        assert "LabError the Hugging Face Hub failed" in run_in_child(LOAD, hub.env(tmp_path / "elsewhere"))
