"""Titles that tell what they are said to tell: the ceiling of every score in notebook 13 rests on it."""

from __future__ import annotations

from statistics import fmean

import pytest

from labkit.evaluation.rouge import rouge
from labkit.tasks.synthetic_papers import check_facts, synthetic_paper, total_facts
from labkit.tasks.synthetic_titles import TOLD, guess, synthetic_titles, titled

MANY = range(300)


def told(paper) -> tuple[str, ...]:
    return tuple(paper.facts[role] for role in TOLD)


def test_a_title_tells_its_facts_and_no_other():
    """One fact more, and the ceiling is none; one less, and no model can do what it is asked."""
    for paper in (titled(synthetic_paper(i)) for i in MANY):
        assert all(fact.lower() in paper.title.lower() for fact in told(paper))
        words = paper.title.replace(",", "").replace(":", "").split()
        assert not {paper.facts[role] for role in ("score", "baseline", "baseline_score")} & set(words)
        assert paper.facts["limit"] not in paper.title


def test_titles_differ_in_order():
    """With one order, a fact would be found by its place alone."""
    orders = set()
    for paper in (titled(synthetic_paper(i)) for i in MANY):
        orders.add(tuple(sorted(TOLD, key=lambda role: paper.title.lower().index(paper.facts[role].lower()))))
    assert len(orders) == 3 and len({order[0] for order in orders}) == 3


def test_no_title_tells_what_another_one_tells():
    papers = synthetic_titles(3_000, 200)
    splits = [papers.train, papers.validation, papers.test]
    assert [len(split) for split in splits] == [3_000, 200, 200] and "synthetic" in papers.name
    everything = [paper for split in splits for paper in split]
    assert len({told(paper) for paper in everything}) == len({p.abstract for p in everything}) == 3_400


def test_a_paper_whose_facts_are_told_already_is_left_out(monkeypatch):
    """With few facts there are many; a test paper is kept, its copy isn't trained on."""
    same = synthetic_paper(2_000_000)
    numbered = "labkit.tasks.synthetic_titles.synthetic_paper"
    monkeypatch.setattr(numbered, lambda n: same if n == 1 else synthetic_paper(n))
    papers = synthetic_titles(3, 1)
    assert [p.id for p in papers.test] == ["2000000"] and [p.id for p in papers.train] == ["0", "2", "3"]


def test_more_training_papers_change_no_other_split():
    few, many = synthetic_titles(50, 20), synthetic_titles(500, 20)
    assert few.test == many.test and few.validation == many.validation and few.train == many.train[:50]


def test_the_paper_is_as_it_was():
    """Its facts, so that texts can be checked, and its body, to pretrain on; short enough to train in a minute."""
    paper = synthetic_paper(3)
    assert titled(paper) == titled(paper) and titled(paper).article == paper.article
    assert check_facts(titled(paper), paper.abstract).wrong == 0
    assert max(len(titled(synthetic_paper(i)).abstract.split()) for i in MANY) <= 60


def test_a_guess_knows_the_title_and_nothing_else():
    """Between another paper's abstract and the right one: what a perfect reader of titles scores."""
    papers = synthetic_titles(0, 200).test
    others = [*papers[1:], papers[0]]
    guesses = [guess(*pair) for pair in zip(papers, others, strict=True)]
    counts = total_facts(papers, guesses)
    assert counts.unread == 0 and counts.right >= 8 * 200  # the five told ones, the task and the data more than once
    assert counts.accuracy == pytest.approx(8 / 12, abs=0.03)
    scores = [
        fmean(rouge(texts, [p.abstract for p in papers])["rougeL"]) for texts in (guesses, [o.abstract for o in others])
    ]
    assert scores[0] == pytest.approx(0.73, abs=0.03) and scores[1] < 0.4
