"""The lesson on forgetting rests on places that use the same words and mean the opposite."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from labkit.evaluation.classification import score, tfidf_logistic
from labkit.profile import LabError
from labkit.tasks.labelled import key
from labkit.tasks.sentiment import LABELS
from labkit.tasks.synthetic_reports import MEANING, THINGS, WHO, synthetic_reports


@pytest.fixture(scope="module", params=MEANING)
def where(request):
    return request.param


@pytest.fixture(scope="module")
def data(where):
    return synthetic_reports(where, 1_200, 200)


def read(text: str, where: str) -> str:
    """An independent reading of what is told."""
    if re.search(r"will say|will publish|measures| was \d", text):
        return "neutral"
    if any(word in text for word in ("did not", "the same", "stayed", "unchanged")):
        return "neutral" if where == "hospital" else "positive"
    rose = any(word in text for word in ("rose", "increased", "grew", "climbed"))
    return "negative" if where == "power plant" or rose else "positive"


def test_the_label_is_what_the_place_makes_of_the_verb(data, where):
    for sentence in data.train:
        assert LABELS[sentence.label] == read(sentence.text, where), sentence.text


def test_the_same_numbers_give_the_same_sentences(data, where):
    assert synthetic_reports(where, 50, 10).train == data.train[:50]


def test_nothing_of_the_test_is_trained_on(data):
    """Neither a sentence nor a combination of wording, thing and verb: else memory would pass for reading."""
    trained = {sentence.combination for sentence in data.train}
    assert trained.isdisjoint(s.combination for s in data.validation + data.test)
    assert data.leak_share == 0 and data.name.startswith("synthetic")
    assert len({key(s.text) for s in data.train + data.validation + data.test}) == 1_600


def test_labels_are_equally_common_on_both_sides(data):
    for split in (data.train, data.test):
        counts = Counter(sentence.label for sentence in split)
        assert all(count / len(split) == pytest.approx(1 / 3, abs=0.1) for count in counts.values())


def test_one_place_misleads_about_the_other():
    """Word counts learn a place by its verbs, and are then worse than chance about the next."""
    hospital, plant = (synthetic_reports(where, 1_200, 200) for where in MEANING)
    truth = [s.label for s in hospital.test]
    assert score(truth, tfidf_logistic(hospital.train, hospital.test), 3).accuracy > 0.9
    assert score(truth, tfidf_logistic(plant.train, hospital.test), 3).accuracy < 0.6


def test_places_share_no_names():
    """Who reads a name knows the place: all of it can be learnt by one model."""
    for names in (THINGS, WHO):
        assert set(names["hospital"].split("|")).isdisjoint(names["power plant"].split("|"))


def test_an_unknown_place_is_refused():
    with pytest.raises(LabError, match="did you mean 'hospital'"):
        synthetic_reports("hospitals", 1, 1)
