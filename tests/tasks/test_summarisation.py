"""Which papers a lab gets: a silent swap of real and synthetic ones would falsify every number."""

from __future__ import annotations

import json

import pytest

from labkit.profile import LabError, resolve
from labkit.tasks.summarisation import load_papers


def test_embedded_papers_are_synthetic_and_say_so():
    papers = load_papers(resolve("smoke"))
    assert "synthetic" in papers.name and len(papers.train) == resolve("smoke").profile.train_papers


def test_local_papers_are_the_files_cut_to_the_profile(tmp_path, monkeypatch):
    (tmp_path / "pubmed").mkdir()
    for split in ("train", "validation", "test"):
        rows = [{"id": str(i), "article": f"{split} article {i}.", "abstract": f"abstract {i}."} for i in range(300)]
        (tmp_path / "pubmed" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    lab = resolve("smoke", "local")
    papers = load_papers(lab)
    assert "synthetic" not in papers.name
    assert len(papers.train) == lab.profile.train_papers and len(papers.test) == lab.profile.test_papers
    assert papers.test[0].article == "test article 0."


def test_an_unknown_dataset_is_named():
    with pytest.raises(LabError, match="did you mean 'pubmed'"):
        load_papers(resolve("smoke"), "pubmd")
