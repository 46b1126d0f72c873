"""Rules that make an article fit: none exceeds the budget, changes the order or says a thing twice; one does."""

from __future__ import annotations

import random
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.tasks.compression import (
    COMPRESSIONS,
    first_sentences,
    head_then_first_sentences,
    head_then_first_sentences_with_repeat,
    oracle,
    truncate,
)
from labkit.tasks.papers import Paper


def words(text: str) -> int:
    return len(text.split())


def pieces(text: str) -> int:
    """Four characters a token, as a tokenizer that may cut words; a new line is one more."""
    return -(-len(text) // 4) + text.count("\n")


def recall(text: str, abstract: str) -> float:
    """The share of the abstract's words that are in the text."""
    return len(set(abstract.split()) & set(text.split())) / len(set(abstract.split()))


def paper(seed: int, paragraphs: int = 8) -> Paper:
    """No word occurs twice, so that any repetition and any disorder shows."""
    rng, number = random.Random(seed), iter(range(10_000))

    def sentence() -> str:
        return f"Word{next(number)} " + " ".join(f"word{next(number)}" for _ in range(rng.randint(1, 12))) + "."

    body = tuple(" ".join(sentence() for _ in range(rng.randint(1, 5))) for _ in range(paragraphs))
    return Paper(str(seed), body, " ".join(rng.sample([*" ".join(body).split(), "unheard"], 20)) if body else "none")


SEEING = {**COMPRESSIONS, "oracle": partial(oracle, score=recall)}
ALL = {**SEEING, "with repeat": head_then_first_sentences_with_repeat}
everything = pytest.mark.parametrize("name", ALL)


@everything
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 300), count=st.sampled_from([words, pieces]))
def test_no_budget_is_exceeded(name, seed, budget, count):
    """Else the model cuts the input once more, or fails on a position that it doesn't have."""
    assert count(ALL[name](paper(seed), budget, count)) <= budget


@everything
def test_where_no_word_fits_there_is_no_text(name):
    """A tokenizer may spend more than the budget on its special tokens alone."""
    assert ALL[name](paper(0), 3, lambda text: words(text) + 4) == ""


@pytest.mark.parametrize("name", SEEING)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 300))
def test_the_order_is_kept_and_nothing_is_said_twice(name, seed, budget):
    """Whole words of the article, each at most once: repeated text wastes what the budget is for."""
    article, seen = paper(seed).article.split(), SEEING[name](paper(seed), budget, words).split()
    assert seen == [word for word in article if word in set(seen)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_an_article_that_fits_is_whole(seed):
    """Short papers must not lose anything to a rule for long ones."""
    article = paper(seed)
    for name in ALL.keys() - {"first sentences"}:
        assert ALL[name](article, words(article.article), words) == article.article
    firsts = [paragraph.split(".")[0] + "." for paragraph in article.paragraphs]
    assert first_sentences(article, 10_000, words).split("\n") == firsts


@everything
def test_an_empty_article_is_an_empty_text(name):
    assert ALL[name](Paper("", (), "abstract"), 10, words) == ""


def test_the_report_s_rule():
    """600 of 1,024 tokens of the beginning, then first sentences of the paragraphs that it didn't begin."""
    article = paper(1, paragraphs=400)
    text = head_then_first_sentences(article, 1024, words)
    beginning = article.article.split()[:600]
    assert text.split()[:600] == beginning and words(text) == 1024
    further = [paragraph.split() for paragraph in article.paragraphs if paragraph.split()[0] not in beginning]
    firsts = [word for sentence in further for word in sentence[: 1 + [w[-1] for w in sentence].index(".")]]
    assert text.split()[600:] == firsts[:424]


def test_a_head_that_ends_with_a_paragraph():
    """The paragraph after it hasn't begun: its first sentence belongs to the text."""
    article = Paper("", ("One.", "Two.", "Three four. Five.", "Six. Seven."), "")
    assert head_then_first_sentences(article, 5, words) == "One.\nTwo.\nThree four.\nSix."


def test_the_bug_repeats_what_the_beginning_said():
    """The museum's exhibit must show its fault: the beginning's first sentences twice, the end's not at all."""
    article = paper(2, paragraphs=40)
    sound, buggy = (
        rule(article, 300, words).split() for rule in (head_then_first_sentences, head_then_first_sentences_with_repeat)
    )
    assert len(set(sound)) == len(sound) == len(buggy) > len(set(buggy))
    assert buggy.count(article.paragraphs[0].split()[0]) == 2
    assert article.article.split().index(buggy[-1]) < article.article.split().index(sound[-1])


def test_the_oracle_is_worth_its_cheating():
    """A choice that has seen the abstract and is little better than the beginning isn't an upper bound."""
    papers = [paper(seed, paragraphs=15) for seed in range(20)]
    for budget in (20, 60, 150):
        mean = {
            name: sum(recall(rule(article, budget, words), article.abstract) for article in papers) / len(papers)
            for name, rule in SEEING.items()
        }
        assert mean.pop("oracle") > 1.3 * max(mean.values())


def test_the_oracle_takes_what_adds_not_what_scores():
    """Two good sentences that say the same are worth one: greedy choice must look at what it has."""
    article = Paper("", ("a b c d.", "filler words here. a b c d too.", "e f."), "a b c d. e f. g")
    assert oracle(article, 11, words, recall) == "a b c d. e f."


def test_text_without_spaces():
    """Chinese has a word a character here; cut at spaces, its first paragraph would be all or nothing."""
    article = Paper("", ("我们提出一种新方法。它很快。", "实验表明它有效。结果很好。"), "我们提出一种新方法。")
    for rule in ALL.values():
        assert 0 < len(rule(article, 12, len)) <= 12
    assert truncate(article, 5, len) == "我们提出一"
