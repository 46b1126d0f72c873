"""What the lesson on names concludes rests on these sentences being what their header says."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import chain
from statistics import fmean

import pytest

from labkit.evaluation.entities import entities
from labkit.profile import LabError
from labkit.tasks.ner import KINDS, Sentence
from labkit.tasks.synthetic_ner import UNSEEN, stems, synthetic_abstracts, synthetic_ner, synthetic_sentence

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def data():
    return synthetic_ner(1_000, 400)


@pytest.fixture(scope="module")
def abstracts() -> list[str]:
    return list(synthetic_abstracts(300))


def names(sentences: list[Sentence]) -> list[tuple[str, tuple[str, ...]]]:
    return [(e.kind, s.tokens[e.start : e.end]) for s in sentences for e in entities(s.tags)]


def letters(words) -> set[str]:
    """Runs of letters, in capitals: what a stem is in a name."""
    return {run.upper() for word in words for run in re.findall("[A-Za-z]+", word)}


def reserved() -> set[str]:
    return {stem.upper() for stem in stems()[1]}


def test_the_same_number_gives_the_same_sentence(data, abstracts):
    """In another process too: a cached backbone would else have been trained on other text."""
    assert synthetic_sentence("test", 3) == data.test[3] != synthetic_sentence("test", 3, seed=1)
    assert list(synthetic_abstracts(3)) == abstracts[:3] != list(synthetic_abstracts(3, seed=1))
    first = " ".join(data.train[0].tokens)
    assert first.startswith("For 28 days , Woven induced exocytosis of viral "), (
        "another grammar: measure the header's figures again"
    )


def test_an_unknown_split_is_named():
    """No text's checksum would ever be of it: the search would not end."""
    with pytest.raises(LabError, match="did you mean 'validation'"):
        synthetic_sentence("valdation", 0)


def test_no_sentence_is_in_two_splits_or_in_the_pretraining_text(data, abstracts):
    """Whatever the seeds are: a text's checksum says where it belongs."""
    other = synthetic_ner(1_000, 400, seed=1)
    texts = {split: {s.tokens for s in getattr(data, split) + getattr(other, split)} for split in SPLITS}
    assert not (texts["train"] & texts["validation"] | texts["train"] & texts["test"])
    assert not texts["validation"] & texts["test"]
    assert all(len(texts[split]) > 0.99 * len(getattr(data, split)) * 2 for split in SPLITS)
    everything = " ".join(abstracts)
    assert not any(" ".join(tokens) in everything for tokens in texts["test"] | texts["validation"])


def test_shares_are_those_of_the_real_set(data):
    """Else an accuracy or a mean F1 would be easier or harder to reach for the mixture alone."""
    tags = list(chain.from_iterable(s.tags for s in data.train))
    found = names(data.train)
    share = Counter(kind for kind, _ in found)
    assert tags.count("O") / len(tags) == pytest.approx(0.78, abs=0.03)
    assert fmean(len(s.tokens) for s in data.train) == pytest.approx(26.5, abs=2)
    assert len(found) / len(data.train) == pytest.approx(2.8, abs=0.3)
    assert fmean(len(name) for _, name in found) == pytest.approx(2.2, abs=0.2)
    real = {"protein": 0.60, "DNA": 0.18, "cell_type": 0.13, "cell_line": 0.07, "RNA": 0.02}
    assert set(real) == set(KINDS)
    for kind, expected in real.items():
        assert share[kind] / len(found) == pytest.approx(expected, abs=0.03)


def test_reserved_stems_are_in_tests_only_and_as_often_as_stated(data, abstracts):
    """Unseen names are the point: one in the pretraining text, and the test would be of memory."""
    assert not reserved() & letters(chain.from_iterable(s.tokens for s in data.train))
    assert not reserved() & letters(chain.from_iterable(text.split() for text in abstracts))
    stem = {s.upper() for s in stems()[0]} | reserved()
    for split in (data.validation, data.test):
        used = [runs & stem for _, name in names(split) if (runs := letters(name)) & stem]
        assert sum(bool(runs & reserved()) for runs in used) / len(used) == pytest.approx(UNSEEN, abs=0.05)


def test_most_test_entities_are_new_as_strings(data):
    known = {name for _, name in names(data.train)}
    found = names(data.test)
    assert sum(name not in known for _, name in found) / len(found) == pytest.approx(0.75, abs=0.05)


def test_one_name_is_of_several_kinds(data):
    """What follows from a lexicon must fall short: for bare names the context decides, and some are no entity."""
    kinds = defaultdict(set)
    for s in data.train:
        for token, tag in zip(s.tokens, s.tags, strict=True):
            if letters([token]) & {stem.upper() for stem in stems()[0]}:
                kinds[letters([token]).pop()].add(tag[2:] or "O")
    assert fmean(len(of) > 1 for of in kinds.values()) > 0.6
    assert {"O", "protein", "DNA", "cell_line"} <= set().union(*kinds.values())


def test_pretraining_text_has_words_that_a_small_training_set_lacks(data, abstracts):
    """Else there is nothing that pretraining could teach."""
    trained = {token for s in data.train[:300] for token in s.tokens}
    pretrained = {word for text in abstracts for word in text.split()}
    lacking = {token for s in data.test for token in s.tokens} - trained
    common = {word for word in lacking if word.islower() and word.isalpha()}
    assert len(common) > 50 and len(common & pretrained) / len(common) > 0.9


def test_abstracts_state_what_names_are_and_tagged_sentences_do_not(data, abstracts):
    note = re.compile(r"gene that encodes|is a (drug|protein) |gene encodes a|is an inhibitor of|is transcribed in")
    assert fmean(bool(note.search(text)) for text in abstracts) > 0.5
    assert not any(note.search(" ".join(s.tokens)) for s in data.train)
    assert all(text.count(" . ") == 7 and text.endswith(" .") for text in abstracts)
    assert not any(mark in " ".join(abstracts) for mark in "$[]")
