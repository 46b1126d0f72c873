"""What the lessons on summarising conclude rests on these papers being what they are said to be."""

from __future__ import annotations

import re

import pytest

from labkit.tasks.papers import Paper
from labkit.tasks.synthetic_papers import (
    CHANCES,
    HELD_OUT,
    TEMPLATES,
    check_facts,
    synthetic_paper,
    synthetic_papers,
    total_facts,
)

MANY = range(300)


def test_the_same_number_gives_the_same_paper():
    assert synthetic_paper(7) == synthetic_paper(7) != synthetic_paper(8)


def test_no_paper_is_in_two_splits():
    papers = synthetic_papers(400, 100)
    texts = [paper.article for split in (papers.train, papers.validation, papers.test) for paper in split]
    assert len(set(texts)) == len(texts) == 600


@pytest.mark.parametrize("optional", [False, True])
def test_references_state_facts_and_no_wrong_one(optional):
    """If the checker misread a wording of the references it would blame models for their teachers' words."""
    counts = [check_facts(paper, paper.abstract) for paper in (synthetic_paper(i, optional) for i in MANY)]
    assert all(count.right >= 3 and count.wrong == count.unread == 0 for count in counts)


def test_another_papers_abstract_is_mostly_wrong():
    pairs = [(synthetic_paper(i), synthetic_paper(i + 1)) for i in MANY]
    assert sum(check_facts(a, b.abstract).accuracy for a, b in pairs) / len(pairs) < 0.1


@pytest.mark.parametrize("fact", ["method", "dataset", "score", "limit"])
def test_one_planted_error_is_found(fact):
    """Names, numbers and phrases: each kind of fact, replaced by another paper's."""
    paper, other = synthetic_paper(3), synthetic_paper(5)
    assert paper.facts[fact] != other.facts[fact]
    wrong = re.sub(re.escape(paper.facts[fact]), other.facts[fact], paper.abstract, flags=re.IGNORECASE)
    right = check_facts(paper, paper.abstract)
    assert check_facts(paper, wrong).wrong >= 1 and check_facts(paper, wrong).right < right.right


def test_what_cannot_be_read_is_neither_right_nor_wrong():
    """A reward that counted it as right would teach a model to mumble."""
    assert check_facts(synthetic_paper(3), "It improves 69 to 555559. ") == (0, 0, 1)
    assert check_facts(synthetic_paper(3), "") == (0, 0, 0)


def test_every_fact_of_an_abstract_stands_in_its_article():
    for paper in map(synthetic_paper, MANY):
        for role in ("task", "problem", "method", "kind", "dataset", "score", "baseline", "baseline_score", "limit"):
            assert paper.facts[role].lower() in paper.article.lower()


def test_templates_differ_in_order_and_the_held_out_one_in_words():
    seen = {synthetic_paper(i).template for i in MANY}
    assert seen == set(TEMPLATES)
    words = {word for i in MANY for word in synthetic_paper(i).article.lower().split()}
    held_out = {word for i in MANY for word in synthetic_paper(i, template=HELD_OUT).article.lower().split()}
    assert len(held_out - words) > 10


def test_distractors_lengthen_the_article_and_leave_the_abstract():
    short, long = synthetic_paper(4), synthetic_paper(4, distractors=30)
    assert long.abstract == short.abstract
    assert long.article.count(".") == short.article.count(".") + 30
    assert len(short.paragraphs) < len(long.paragraphs) < len(short.paragraphs) + 30
    for sentence in short.paragraphs:
        assert any(paragraph.startswith(sentence) for paragraph in long.paragraphs)


def test_optional_parts_come_as_often_as_said():
    papers = [synthetic_paper(i, optional=True) for i in range(2_000)]
    told = {"problem": "(Today|Often|Lately|Still) ", "comparison": "Rival ", "limitation": " needs "}
    for part, wording in told.items():
        share = sum(bool(re.search(wording, paper.abstract)) for paper in papers) / len(papers)
        assert share == pytest.approx(CHANCES[part], abs=0.04)


def test_facts_add_up_and_real_papers_have_none():
    papers = [synthetic_paper(i) for i in range(3)]
    texts = [papers[0].abstract, papers[0].abstract, "Nobody can read this."]
    counts = [check_facts(paper, text) for paper, text in zip(papers, texts, strict=True)]
    assert total_facts(papers, texts) == tuple(map(sum, zip(*counts, strict=True)))
    assert total_facts([Paper("1", ("A body.",), "An abstract.")], ["It scores 5 on X."]) == (0, 0, 0)
    with pytest.raises(ValueError):
        total_facts(papers, texts[:2])
