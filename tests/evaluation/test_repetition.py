"""Whether models repeat themselves is decided by these numbers: each is held against its definition, spelled out."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.evaluation.repetition import distinct, longest_run, rep, repetition_curve
from labkit.evaluation.summaries import repetition

LOOP = list("abcdefg") + list("xyz") * 20  # fine for seven tokens, then a loop
texts = st.lists(st.sampled_from("abc"), max_size=30)


def test_known_values():
    assert rep("abcabcabc", 3) == pytest.approx(4 / 7)  # 7 trigrams, 3 different
    assert rep([1, 2, 1, 2, 1], 1) == pytest.approx(3 / 5)
    assert distinct(["abab", "abc"], 2) == pytest.approx(3 / 7)  # ab, ba, bc, by 7 tokens
    assert longest_run("to be or not to be") == len("to be")
    assert longest_run("a" * 100) == 99 and longest_run(LOOP) == 57
    assert longest_run("天地玄黄天地") == 2
    assert (
        rep("ab", 3) == rep("", 1) == distinct([], 1) == distinct([""], 2) == longest_run("") == longest_run("a") == 0
    )


@settings(max_examples=200, deadline=None)
@given(texts, st.integers(1, 5))
def test_every_number_is_its_definition(tokens, n):
    """Spelled out over all pairs of places."""
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    assert rep(tokens, n) == pytest.approx(1 - len(set(grams)) / len(grams) if grams else 0)
    assert rep(tokens, 3) == repetition(" ".join(tokens), 3)  # of summaries: the same
    assert distinct([tokens], n) == pytest.approx(len(set(grams)) / max(1, len(tokens)))
    blocks = [
        size
        for size in range(1, len(tokens))
        for i in range(len(tokens) - size)
        for j in range(i + 1, len(tokens) - size + 1)
        if tokens[i : i + size] == tokens[j : j + size]
    ]
    assert longest_run(tokens) == max(blocks, default=0)


@settings(max_examples=100, deadline=None)
@given(texts, st.sets(st.integers(1, 30)), st.integers(1, 4))
def test_a_curve_says_of_each_length_what_the_beginning_says(tokens, some, n):
    """A row that peeked beyond its length would blame the model for what comes later."""
    lengths = sorted(length for length in some if length <= len(tokens))
    rows = repetition_curve(tokens, lengths, n)
    assert [row["length"] for row in rows] == lengths
    for row in rows:
        first = tokens[: row["length"]]
        assert row[f"rep-{n}"] == rep(first, n) and row["longest run"] == longest_run(first)
        assert row["distinct-1"] == distinct([first], 1)
        text, end = "".join(first), row["last run"]
        assert text[len(text) - end :] in text[:-1] and text[len(text) - end - 1 :] not in text[:-1]
    # All the repeated n-grams, counted length by length.
    counts = [max(0, length - n + 1) for length in lengths]
    pieces = [b - a for a, b in zip([0, *counts], counts, strict=False)]
    found = sum(row[f"rep-{n}, new"] * piece for row, piece in zip(rows, pieces, strict=True))
    assert found == pytest.approx(rows[-1][f"rep-{n}"] * counts[-1] if rows else 0)


def test_a_planted_loop_shows_where_it_begins():
    """500 tokens that never repeat, then a loop of 40: what the claim "beyond so many characters" is about."""
    fresh = random.Random(0).sample(range(10_000), 500)
    early, late, end = repetition_curve(fresh + fresh[-40:] * 20, [500, 600, 1_300])
    assert early["rep-4"] == early["longest run"] == early["last run"] == 0 and early["distinct-1"] == 1
    assert late["rep-4, new"] == pytest.approx(97 / 100)  # but for the three across the seam
    assert end["rep-4, new"] == 1 > end["rep-4"] > late["rep-4"]
    assert (late["last run"], end["last run"], end["longest run"]) == (100, 800, 800)


def test_texts_that_say_the_same_are_not_distinct():
    """None of them repeats itself, so that `rep` can't see it."""
    same, different = [list("abcd")] * 5, [list(f"{i}abc") for i in range(5)]
    assert rep(same[0], 2) == rep(different[0], 2) == 0
    assert distinct(same, 2) == 3 / 20 < distinct(different, 2) == 7 / 20


def test_a_tensor_is_refused():
    """Its elements are never equal as keys: every text would be free of repetition."""
    for measure in (lambda x: rep(x, 1), longest_run, lambda x: distinct([x], 1), lambda x: repetition_curve(x, [2])):
        with pytest.raises(TypeError, match="tolist"):
            measure(torch.tensor([1, 1, 1]))


@pytest.mark.parametrize("lengths", [[0, 1], [2, 2], [3, 1], [1, 9]])
def test_lengths_that_the_text_does_not_have_are_an_error(lengths):
    """A text that ended early has no repetition at 4,000: a row for it would be somebody else's."""
    with pytest.raises(ValueError, match="rise from 1 to at most 8"):
        repetition_curve("abcdefgh", lengths)
