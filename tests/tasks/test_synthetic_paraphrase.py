"""What notebook 09 concludes rests on these pairs being what they are said to be."""

from __future__ import annotations

import re
from itertools import islice

import pytest

from labkit.evaluation.classification import majority, overlap_threshold, score, tfidf_logistic
from labkit.tasks.labelled import key
from labkit.tasks.paraphrase import LABELS
from labkit.tasks.synthetic_paraphrase import (
    _VERBS,
    CHANGES,
    EQUIVALENT,
    _stream,
    paraphrase_notes,
    paraphrase_text,
    synthetic_pairs,
)


@pytest.fixture(scope="module")
def data():
    return synthetic_pairs(4_000, 1_000)


VERB = {form: number for number, synonyms in enumerate(_VERBS) for forms in synonyms for form in forms}


def read(sentence: str) -> dict[str, object]:
    """An independent reading of a sentence: its facts, by name."""
    found = re.search(r"(\w+) (was |did )?(not )?(\w+) (by )?(\w+)", re.sub(r"^(In|On|After) [^,]*, ", "", sentence))
    subject, _, negation, verb, passive, other = found.groups()
    who, whom = (other, subject) if passive else (subject, other)
    facts = {"roles": (who, whom), "negation": bool(negation), "verb": VERB[verb]}
    for name, pattern in (("place", "in"), ("day", "on"), ("number", "after")):
        if detail := re.search(rf"\b{pattern} (\d+ )?\w+", sentence, re.IGNORECASE):
            facts[name] = detail[0].lower()
    return facts


def test_the_label_is_what_the_sentences_mean(data):
    """Read anew: equivalent pairs agree in every fact that both tell, the others differ in the one that is named."""
    for pair in data.train:
        first, second = read(pair.first), read(pair.second)
        different = [fact for fact in CHANGES if fact in second and first[fact] != second[fact]]
        assert different == ([pair.change] if pair.change else []) and pair.label == (not pair.change), pair


def test_nothing_of_the_test_is_seen_in_training_or_pretraining(data):
    """Not even who did what to whom; else a pair's first sentence could give its label away."""
    test = {(read(pair.first)["roles"], read(pair.first)["verb"]) for pair in data.validation + data.test}
    seen = [pair.first for pair in data.train]
    seen += [text.split(" . ")[0] for text in paraphrase_text(0, 2_000) + paraphrase_notes(0, 2_000)]
    assert test.isdisjoint((read(text)["roles"], read(text)["verb"]) for text in seen)
    texts = [key(pair.text) for pair in data.train + data.validation + data.test]
    assert len(set(texts)) == len(texts) == 6_000


def test_balance_length_and_vocabulary_suit_a_tiny_model(data):
    assert sum(pair.label for pair in data.train) / 4_000 == pytest.approx(EQUIVALENT, abs=0.02)
    sentences = [sentence for pair in data.train for sentence in (pair.first, pair.second)]
    assert max(len(re.findall(r"\w+", sentence)) for sentence in sentences) <= 14
    assert len({word for note in paraphrase_notes(0, 2_000) for word in note.split()}) < 200
    assert all(pair.first != pair.second for pair in data.train)


def test_word_overlap_gets_a_little_and_word_counts_nothing(data):
    """If overlap were enough, so would be a threshold; "not" alone must not give a pair away."""
    truth = [pair.label for pair in data.test]
    base, by_overlap, by_words = (
        score(truth, baseline(data.train, data.test), 2).accuracy
        for baseline in (majority, overlap_threshold, tfidf_logistic)
    )
    assert base + 0.02 < by_overlap < base + 0.12
    assert by_words < base + 0.04


def test_fewer_kinds_of_change_can_be_asked_for():
    assert {pair.change for pair in synthetic_pairs(300, 10, ("number", "day")).train} == {"", "number", "day"}


def test_the_same_numbers_give_the_same_pairs(data):
    assert synthetic_pairs(30, 10).train == data.train[:30]
    assert paraphrase_text(0, 20) == paraphrase_text(0, 30)[:20] != paraphrase_text(1, 20)


def test_a_note_names_the_right_label_and_plain_text_none():
    for note, pair in zip(paraphrase_notes(2, 500), islice(_stream("notes 2", False), 500), strict=True):
        assert note.startswith(f"{pair.text} ") and note.endswith(" .")
        assert re.findall("(?:not )?equivalent", note) == [LABELS[pair.label]]
    assert "equivalent" not in " ".join(paraphrase_text(0, 1_000))
