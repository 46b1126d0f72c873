"""Biomedical articles and the abstracts their authors wrote.

    papers = load_pubmed(resolve("laptop", "local"))
    print(papers.test[0].abstract)

The two sources are different datasets under one name, so a number of one isn't comparable with one of the other.
`local` is a sample of SumPubMed (Gupta et al. 2021): 1,500 articles of about 4,000 words. `hub` is the PubMed set of
Cohan et al. 2018 ("A Discourse-Aware Attention Model for Abstractive Summarization of Long Documents"), split into
words by its authors; of its five training files one is read (24,000 articles, 210 MB), twice what the report used.

**Text:** lower-cased by the authors of both. A line in capitals is a section's head and is dropped, from article and
abstract alike. A paragraph of `local` ends at a blank line, for its lines also end within sentences; so a subhead in
lower case stays at the head of its paragraph, and a closing "competing interests" counts as one. A paragraph of `hub`
ends at each newline, as its page says. Runs of white space become one space. The placeholders <dig> and <cit> stay:
they stand in the abstracts too, and what was there can't be known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from labkit.profile import Lab
from labkit.tasks.papers import Paper, Papers, read_papers
from labkit.tasks.rows import Files

FILES = Files(
    "pubmed",
    local={split: f"pubmed/{split}.jsonl" for split in ("train", "validation", "test")},
    hub={
        "train": "section/train-00000-of-00005.parquet",
        "validation": "section/validation-00000-of-00001.parquet",
        "test": "section/test-00000-of-00001.parquet",
    },
)
NAMES = {"local": "SumPubMed (a sample)", "hub": "PubMed (Cohan et al. 2018)"}
PARAGRAPH_ENDS = {"local": r"\n\s*\n", "hub": r"\n"}


def load_pubmed(lab: Lab) -> Papers:
    """The articles and abstracts of the lab's source, `local` or `hub`.

    Raises `LabError` if a file or the Hub is missing or malformed, and for SOURCE=embedded.
    """
    splits = FILES.open(lab.source)
    return read_papers(splits, partial(_parse, PARAGRAPH_ENDS[lab.source]), NAMES[lab.source])


def _parse(paragraph_end: str, row: Mapping[str, Any]) -> Paper:
    paragraphs = [_clean(paragraph) for paragraph in re.split(paragraph_end, row["article"])]
    # The Hub's rows have no names.
    name = row["id"] if "id" in row else hashlib.sha256(row["article"].encode()).hexdigest()[:12]
    return Paper(str(name), tuple(filter(None, paragraphs)), _clean(row["abstract"]))


def _clean(text: str) -> str:
    """The text's lines, without section heads, as one."""
    return " ".join(word for line in text.split("\n") if not line.isupper() for word in line.split())
