"""Papers to summarise: an article in paragraphs, and the abstract that its authors wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from labkit.profile import LabError
from labkit.tasks.rows import Rows, read_row


@dataclass(frozen=True)
class Paper:
    """An article and its abstract.

    `paragraphs` are the body in reading order, without section heads, none of them empty; `template` names the
    discourse that a synthetic paper follows and `facts` what it knows, by role; a real one has neither.
    """

    id: str
    paragraphs: tuple[str, ...]
    abstract: str
    template: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def article(self) -> str:
        """The whole body, a paragraph a line."""
        return "\n".join(self.paragraphs)


@dataclass(frozen=True)
class Papers:
    """A dataset of papers, split as it was published.

    `name` is what it is to be called wherever a number of it is shown; `dropped` counts the records that were left out
    for want of an article or of an abstract.
    """

    train: list[Paper]
    validation: list[Paper]
    test: list[Paper]
    name: str
    dropped: int


def read_papers(splits: Mapping[str, Rows], parse: Callable[[Mapping[str, Any]], Paper], name: str) -> Papers:
    """The papers of three splits.

    Raises `LabError` for a row that `parse` refuses, and for a split of which nothing is left.
    """
    kept, dropped = {}, 0
    for split, rows in splits.items():
        papers = list(rows.read(partial(read_row, parse, f"{name} record")))
        kept[split] = [paper for paper in papers if paper.paragraphs and paper.abstract]
        dropped += len(papers) - len(kept[split])
        if not kept[split]:
            raise LabError(f"{rows.where} has no paper with an article and an abstract: fetch the file again")
    return Papers(**kept, name=name, dropped=dropped)
