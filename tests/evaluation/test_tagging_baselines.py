"""A language model is held against these: were they weaker than they could be, it would look better than it is."""

from __future__ import annotations

import os

import pytest

from labkit.evaluation.entities import entity_scores
from labkit.evaluation.tagging_baselines import features, fit_lexicon, fit_linear, shape
from labkit.profile import resolve
from labkit.tasks.ner import Sentence, load_ner
from labkit.tasks.synthetic_ner import synthetic_ner


def f1(tagger, sentences) -> float:
    return entity_scores([s.tags for s in sentences], tagger(sentences)).f1


def test_the_lexicon_gives_a_word_its_most_frequent_tag():
    train = [Sentence(("FOS", "gene"), ("B-DNA", "I-DNA"))] + [Sentence(("FOS", "acts"), ("B-protein", "O"))] * 2
    assert fit_lexicon(train)([Sentence(("new", "FOS", "gene"), ("O", "O", "O"))]) == [["O", "B-protein", "I-DNA"]]


def test_the_linear_model_reads_the_word_behind_and_the_word_ahead():
    """One name, two kinds; only a neighbour tells."""
    frames = {
        "the {} gene": "O B-DNA I-DNA",
        "phosphorylation of {}": "O O B-protein",
        "the {} protein": "O B-protein I-protein",
    }
    train = [
        Sentence(tuple(frame.format(f"VK{i}").split()), tuple(tags.split()))
        for i in range(30)
        for frame, tags in frames.items()
    ]
    test = [Sentence(tuple(frame.format("QZ-99").split()), tuple(tags.split())) for frame, tags in frames.items()]
    assert f1(fit_linear(train), test) == 1 and f1(fit_lexicon(train), test) == 0


def test_features_of_a_word_at_the_edge():
    found = features(["CD28", "binds"], 0)
    assert {"0 cd28", "shape A0", "begins CD", "ends 28", "1 binds", "-1 <edge>", "2 <edge>"} <= set(found)
    assert len(set(found)) == len(found), "a feature twice would weigh twice"


def test_who_may_not_look_right_knows_nothing_of_what_comes():
    """Notebook 07 takes it for what a causal model can know."""
    before = ["the", "VKR-3"]
    ahead = {name for name in features([*before, "gene", "."], 1) if name.startswith(("1 ", "2 "))}
    assert set(features([*before, "gene", "."], 1, right=0)) == set(features([*before, "gene", "."], 1)) - ahead
    assert features([*before, "gene"], 1, right=0) == features([*before, "protein", "x"], 1, right=0)
    kinds = {"gene": "DNA", "protein": "protein"}

    def sentence(name: str, head: str) -> Sentence:
        return Sentence(("the", name, head), ("O", f"B-{kinds[head]}", f"I-{kinds[head]}"))

    train, test = [sentence(f"VK{i}", head) for i in range(30) for head in kinds], [sentence("QZ", h) for h in kinds]
    assert f1(fit_linear(train), test) == 1 > f1(fit_linear(train, right=0), test)


@pytest.mark.parametrize(("token", "expected"), [("NF-kappaB", "A-aA"), ("IL-12", "A-0"), (".", "."), ("CD4+", "A0+")])
def test_shapes(token, expected):
    assert shape(token) == expected


def test_on_synthetic_sentences_the_linear_model_is_far_ahead_and_repeats_itself():
    """And neither is perfect, so that there is something left to learn."""
    data = synthetic_ner(400, 100)
    tagger = fit_linear(data.train)
    tags = tagger(data.test)
    assert [len(t) for t in tags] == [len(s.tokens) for s in data.test]
    assert f1(tagger, data.test) - f1(fit_lexicon(data.train), data.test) > 0.4
    assert f1(tagger, data.test) < 0.99
    assert fit_linear(data.train)(data.test) == tags


def test_on_real_sentences():
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set")
    data = load_ner(resolve("smoke", "local"), n_train=400, n_test=300)
    assert 0.15 < f1(fit_lexicon(data.train), data.test) < f1(fit_linear(data.train), data.test) < 0.5
