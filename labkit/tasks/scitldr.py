"""Abstracts of machine learning papers, and one sentence that sums each up.

    papers = load_scitldr(resolve("laptop", "local"))
    print(papers.test[0].article, "→", papers.test[0].abstract)

SciTLDR-A (Cachola et al. 2020, "TLDR: Extreme Summarization of Scientific Documents"): 1,992 papers for training, 619
for validation, 618 for testing. What is to be summarised is itself an abstract, so here a paper's `article` is that
abstract, one paragraph, and its `abstract` is the summary. Where a paper has several summaries, the first is the
reference: the others were written from reviews. Scores against the best of several, as published, are higher. Six
abstracts occur twice, three of them in the test set and in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.profile import Lab
from labkit.tasks.papers import Paper, Papers, read_papers
from labkit.tasks.rows import Files

FILES = Files(
    "scitldr",
    local={"train": "scitldr/train.jsonl", "validation": "scitldr/dev.jsonl", "test": "scitldr/test.jsonl"},
    hub={split: f"Abstract/{split}/0000.parquet" for split in ("train", "validation", "test")},
)


def load_scitldr(lab: Lab) -> Papers:
    """The abstracts and summaries of the lab's source, `local` or `hub`: the same papers.

    Raises `LabError` if a file or the Hub is missing or malformed, and for SOURCE=embedded.
    """
    return read_papers(FILES.open(lab.source), _parse, "SciTLDR-A")


def _parse(row: Mapping[str, Any]) -> Paper:
    source, target = row["source"], row["target"]
    if not isinstance(source, list) or not isinstance(target, list):
        raise TypeError("source and target must be lists of sentences")  # a text would be read letter by letter
    article, summary = _clean(source), _clean(target[:1])
    return Paper(row["paper_id"], (article,) if article else (), summary)


def _clean(sentences: list[str]) -> str:
    return " ".join(" ".join(sentences).split())
