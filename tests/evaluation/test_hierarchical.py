"""Chunks that fit and lose nothing, and a hierarchy that ends whatever the model writes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.evaluation.hierarchical import cut, summarise_hierarchical


def words(text):
    return len(text.split())


def letters(text):
    """A counter for which long words are many tokens, as they are for byte-pair encodings."""
    return sum((len(word) + 3) // 4 for word in text.split())


def shorten(kept):
    """A summariser that keeps the first words of every text."""
    return lambda texts: [" ".join(text.split()[:kept]) for text in texts]


def numbered(count, sentence=7):
    """An article of `count` different words, a full stop after every `sentence`."""
    return [" ".join(f"W{i}." if i % sentence == sentence - 1 else f"w{i}" for i in range(count))]


WORD = st.one_of(st.sampled_from(["a", "the", "model", "loss.", "Why?", "e.g.", "3.5", "GPT-2."]), st.text(max_size=40))
ARTICLE = st.lists(st.lists(WORD, max_size=30).map(" ".join), max_size=5)
SIZES = st.integers(1, 30).flatmap(lambda budget: st.tuples(st.just(budget), st.integers(0, budget - 1)))


@given(ARTICLE, SIZES, st.sampled_from([words, letters]))
@settings(deadline=None, max_examples=150)
def test_every_chunk_fits_and_every_word_is_in_one(article, sizes, count):
    """A chunk too long is cut by the model without a word, and what is in no chunk can be in no summary."""
    budget, overlap = sizes
    chunks = cut(article, count, budget, overlap)
    assert all(0 < count(chunk) <= budget for chunk in chunks)
    whole = "".join("".join(article).split())
    assert "".join("".join(cut(article, count, budget, 0)).split()) == whole, "without overlap, each once and in order"
    if count is words:
        assert {word for chunk in chunks for word in chunk.split()} == set(" ".join(article).split())


@given(st.integers(0, 400), SIZES, st.integers(1, 12))
@settings(deadline=None)
def test_the_overlap_is_as_asked(length, sizes, sentence):
    """Too little and a thread is cut, too much and the model reads the same text again and again."""
    budget, overlap = sizes
    chunks = [chunk.split() for chunk in cut(numbered(length, sentence), words, budget, overlap)]
    for before, after in pairwise(chunks):
        shared = len(set(before) & set(after))
        assert before[len(before) - shared :] == after[:shared] and shared <= overlap
        limit = min(overlap, len(before) - 1)
        fewer_for_a_sentence = any(word.endswith(".") for word in before[-limit - 1 : len(before) - shared])
        assert shared == limit or fewer_for_a_sentence


def test_without_sentences_the_overlap_is_exact():
    assert cut(["a b c d e f g"], words, 4, 1) == ["a b c d", "d e f g"]
    assert cut(["a b c d e f g"], words, 3, 2) == ["a b c", "b c d", "c d e", "d e f", "e f g"]
    assert cut(["a b c d e"], words, 2, 0) == ["a b", "c d", "e"]


def test_chunks_keep_sentences_whole_where_they_fit():
    """Half a sentence makes the model invent the other half."""
    text = "The model is small. It has two layers. Then a very long sentence that no chunk can hold comes. It ends."
    chunks = cut([text], words, 8, 0)
    assert chunks[0] == "The model is small. It has two layers."
    assert chunks[1:] == ["Then a very long sentence that no chunk", "can hold comes. It ends."]
    assert cut([text], words, 8, 4)[1].startswith("It has two layers."), "the overlap is whole sentences too"


def test_a_word_longer_than_the_budget_is_cut():
    """A formula or an address without spaces must not stop the whole article."""
    assert "".join(cut(["x" * 50], len, 8, 0)) == "x" * 50
    with pytest.raises(ValueError, match="single character"):
        cut(["é"], lambda text: 2 * len(text), 1, 0)


@pytest.mark.parametrize("sizes", [(0, 0), (5, 5), (5, -1)])
def test_sizes_that_cannot_work_are_refused(sizes):
    """An overlap as long as the chunk would never move on."""
    with pytest.raises(ValueError, match="overlap"):
        cut(["a b"], words, *sizes)


def test_an_article_that_fits_is_summarised_in_one_pass_with_its_paragraphs():
    """It must equal what the model gives without this file."""
    seen = []
    done = summarise_hierarchical(
        ["One  here.", "Two."], lambda texts: seen.extend(texts) or [" S. "], words, budget=3, overlap=1
    )
    assert seen == ["One here.\nTwo."]
    assert (done.summary, done.levels, done.chunks, done.truncated) == ("S.", 1, (1,), False)


def test_a_long_article_takes_two_levels_and_its_end_can_reach_the_summary():
    seen = []

    def last_words(texts):
        seen.append(texts)
        return [" ".join(text.split()[-2:]) for text in texts]

    done = summarise_hierarchical(numbered(40, sentence=100), last_words, words, budget=10, overlap=0)
    assert (done.chunks, done.levels, done.truncated) == ((4, 1), 2, False)
    assert seen[1] == ["w8 w9\nw18 w19\nw28 w29\nw38 w39"] and done.summary == "w38 w39"


@given(st.integers(1, 600), st.integers(0, 200), st.integers(1, 5))
@settings(deadline=None)
def test_levels_grow_with_the_length(length, more, kept):
    """The length of the article chooses the number of levels: a longer one must never get fewer."""

    def levels(count):
        return summarise_hierarchical(numbered(count, 1000), shorten(kept), words, budget=12, overlap=0).levels

    assert levels(length) <= levels(length + more)
    assert levels(12) == 1 and levels(13) == 2 and levels(600) >= 3


@given(ARTICLE, SIZES, st.sampled_from([0, 1, 3, 10_000]))
@settings(deadline=None, max_examples=60)
def test_it_ends_whatever_the_model_writes(article, sizes, times):
    """A model that repeats its input, or writes more than it reads, must not hang the notebook."""
    calls = []

    def wordy(texts):
        calls.append(len(texts))
        return [f"{text} " * min(times, 3) if times < 10_000 else "w " * 99 for text in texts]

    done = summarise_hierarchical(article, wordy, words, *sizes)
    assert tuple(calls) == done.chunks
    assert all(a > b for a, b in pairwise(calls)) and calls[-1:] in ([], [1], calls[:1])


def test_a_model_that_does_not_shorten_is_cut_and_that_is_said():
    """Else the end of the article would be missing and the reader none the wiser."""
    done = summarise_hierarchical(numbered(40, 100), list, words, budget=10, overlap=2)
    assert done.truncated and done.chunks[-1] == 1 and done.summary.split() == [f"w{i}" for i in range(10)]


@pytest.mark.parametrize("said", ["", " \n"])
def test_empty_generations_give_an_empty_summary(said):
    done = summarise_hierarchical(numbered(40), lambda texts: [said] * len(texts), words, budget=10, overlap=2)
    assert done.summary == "" and done.levels == 1 and not done.truncated


def test_an_empty_summary_among_others_is_left_out():
    """Silence about one part must not silence the others."""
    done = summarise_hierarchical(
        numbered(20, 100), lambda texts: ["the end" if "w19" in t or "end" in t else "" for t in texts], words, 10, 0
    )
    assert done.chunks == (2, 1) and done.summary == "the end"


@pytest.mark.parametrize("article", [[], [""], ["  ", "\n"]])
def test_an_empty_article_is_never_shown_to_the_model(article):
    """A model asked to summarise nothing invents something."""
    done = summarise_hierarchical(article, lambda texts: 1 / 0, words, 10, 2)
    assert (done.summary, done.levels, done.chunks, done.truncated) == ("", 0, (), False)


def test_a_summariser_that_loses_texts_is_refused():
    """Summaries would be joined to the wrong parts."""
    with pytest.raises(ValueError, match="4 texts gave 1 summaries"):
        summarise_hierarchical(numbered(40, 100), lambda texts: texts[:1], words, 10, 0)
