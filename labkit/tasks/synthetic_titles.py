"""Synthetic titles: for each synthetic paper, a title that tells half of what its abstract does.

    papers = synthetic_titles(12_000, 200)
    paper = papers.test[0]
    print(paper.title, "→", paper.abstract)
    total_facts(papers.test, texts)                                # right, wrong, unread: of one text a title

A title names the paper's method and kind, its task and problem, and the data (`TOLD`). What it scored, what it was
compared with and what it needs stand in the abstract alone: as with a real title, they can only be made up. So a model
is to copy names and phrases to their places, and no model's score comes near 1: `guess` is an abstract by somebody who
has understood the title and knows how abstracts are worded, but nothing else.

**Designed in:** what a title tells and what it doesn't; three wordings, which differ in order, so that no place in a
title gives a fact away. No two papers, of one split or of two, have the same facts in their titles.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import fields
from itertools import count, islice

from labkit.tasks.papers import Paper, Papers
from labkit.tasks.synthetic_papers import synthetic_paper
from labkit.tasks.titles import TitledPaper

TOLD = ("method", "kind", "task", "problem", "dataset")
_TITLES = (
    "{method}: a {kind} for {task} when {problem}, tested on {dataset}",
    "{task} when {problem}: {method}, a {kind}, on {dataset}",
    "on {dataset}, a {kind} for {task} called {method}: what if {problem}?",
)


def synthetic_titles(n_train: int, n_test: int) -> Papers:
    """`n_train` titled papers to train on, and `n_test` for validation and for test each.

    They are those of `synthetic_papers`, but for the few whose title tells what an earlier one's does. The same numbers
    give the same papers.
    """
    first = {"test": 2_000_000, "validation": 1_000_000, "train": 0}  # more to train on changes no other split
    sizes = {"test": n_test, "validation": n_test, "train": n_train}
    seen: set[tuple[str, ...]] = set()
    splits = {split: list(islice(_unseen(first[split], seen), n)) for split, n in sizes.items()}
    return Papers(**splits, name="synthetic titles", dropped=0)


def titled(paper: Paper) -> TitledPaper:
    """The synthetic paper with a title; the same paper, the same title."""
    title = random.Random(f"title {paper.id}").choice(_TITLES).format(**paper.facts)
    values = {field.name: getattr(paper, field.name) for field in fields(Paper)}
    return TitledPaper(**values, title=title[0].upper() + title[1:])


def guess(paper: Paper, other: Paper) -> str:
    """An abstract with the facts that the paper's title tells, all else being `other`'s."""
    text = other.abstract
    for role in TOLD:
        text = text.replace(other.facts[role], paper.facts[role])
    return text


def _unseen(first: int, seen: set[tuple[str, ...]]) -> Iterator[TitledPaper]:
    for number in count(first):
        paper = synthetic_paper(number)
        told = tuple(paper.facts[role] for role in TOLD)
        if told not in seen:
            seen.add(told)
            yield titled(paper)
