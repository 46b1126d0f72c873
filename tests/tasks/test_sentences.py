"""A wrong cut loses words of an article or gives a summariser half sentences."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.tasks.sentences import sentences


@pytest.mark.parametrize(
    "text",
    [
        "One. two! Three? four",
        "known  <cit> .| it was  <dig> mm .| next",  # the papers' own way
        "It is 3.5 points.| Really?!| Yes ...| No.",
        'He said "no."| (She did not.)| So.',
        "a line|\nanother line\n|\n\nthird",
        "他来了。|我走了！|真的？",
        "他说：“来了！”|众人大笑。|（他没有。）|“真的？！”",
    ],
)
def test_sentences_end_here(text):
    text = text if "|" in text else text.replace(". ", ".| ").replace("! ", "!| ").replace("? ", "?| ")
    assert sentences(text.replace("|", "")) == [part.strip() for part in text.split("|")]


@pytest.mark.parametrize(
    "text",
    [
        "growth of e. coli, i.e. of cells (see fig. 2), was 3.5 fold, e.g. here.",
        "as in smith et al. we use eq. 3 vs. eq. 4",
        "as in smith et al . we use fig . 3",  # as in the Hub's files, which were split into words
        "S. aureus by J. R. Doe",
        "version 2.0.1 of www.example.org is here",
    ],
)
def test_and_not_here(text):
    """What the rule leaves whole: abbreviations, initials, species, decimals."""
    assert sentences(text) == [text]


def test_no_text_has_no_sentences():
    assert sentences("") == sentences(" \n ") == []


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab.!?\"') \n。é"), max_size=60) | st.text(max_size=40))
def test_every_character_is_kept_in_order(text):
    """What falls between two sentences is white space and nothing else."""
    found = sentences(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(sentence and sentence == sentence.strip() for sentence in found)


@pytest.mark.parametrize(
    "text", ["." * 20_000, ". " * 20_000, "a." + " " * 20_000 + "b", '."' * 20_000, "et al." * 5_000, "!)" * 20_000]
)
def test_no_text_takes_for_ever(text):
    """A pattern that goes back over what it read needs ten seconds for a page of dots (as tables of contents have)."""
    began = time.process_time()
    sentences(text)
    assert time.process_time() - began < 2
