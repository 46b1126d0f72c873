"""Entity F1 is seqeval's, else no number of the course could stand beside a published one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2, Entities

from labkit.evaluation.entities import (
    entities,
    entity_counts,
    entity_scores,
    f1_difference,
    f1_interval,
    micro_f1,
)
from labkit.evaluation.intervals import bootstrap
from labkit.evaluation.metrics import metric_path
from labkit.profile import ROOT

# Few kinds, so that entities often agree; tags in any order, as models write them.
TAG = st.sampled_from(["O", "B-DNA", "I-DNA", "B-RNA", "I-RNA", "B-cell_type", "I-cell_type"])
SENTENCE = st.integers(1, 8).flatmap(lambda n: st.tuples(*[st.lists(TAG, min_size=n, max_size=n)] * 2))
PAIRS = st.lists(SENTENCE, min_size=1, max_size=5).map(lambda pairs: [list(side) for side in zip(*pairs, strict=True)])
GOLD = [["B-DNA", "I-DNA", "O", "B-RNA"], ["B-DNA", "O"], ["O", "O"]]
FOUND = [["B-DNA", "I-DNA", "O", "O"], ["B-RNA", "O"], ["B-DNA", "O"]]


@settings(max_examples=300, deadline=None)
@given(PAIRS)
def test_entities_are_those_of_seqeval(pair):
    for tags in pair[0]:
        expected = [e.to_tuple()[1:] for e in Entities([tags], IOB2).entities[0]]
        assert entities(tags) == expected


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_counts_by_hand_give_seqeval_s_scores(pair):
    """Over all kinds and for each: the intervals are drawn from these counts, the scores aren't."""
    gold, predicted = pair
    scores = entity_scores(gold, predicted)
    for kind, f1 in [("", scores.f1), *((kind, one.f1) for kind, one in scores.kinds.items())]:
        counts = entity_counts(gold, predicted, kind)
        assert counts.shape == (len(gold), 3)
        assert micro_f1(counts.sum(0)) == pytest.approx(f1)
    gold_n, predicted_n, right = entity_counts(gold, predicted).sum(0)
    assert scores.precision == pytest.approx(right / max(1, predicted_n))
    assert scores.recall == pytest.approx(right / max(1, gold_n))
    assert scores.macro_f1 == pytest.approx(np.mean([one.f1 for one in scores.kinds.values()] or [0.0]))
    words = [a == b for ours, theirs in zip(gold, predicted, strict=True) for a, b in zip(ours, theirs, strict=True)]
    assert scores.accuracy == pytest.approx(np.mean(words))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if gold_n + predicted_n:
            micro = precision_recall_fscore_support(gold, predicted, average="micro", scheme=IOB2)
            assert scores.f1 == pytest.approx(micro[2])


def test_scores_of_an_example():
    """By hand: 3 to find, 3 found, 1 of them right."""
    scores = entity_scores(GOLD, FOUND)
    assert scores.precision == scores.recall == scores.f1 == pytest.approx(1 / 3)
    assert scores.kinds["DNA"] == pytest.approx((0.5, 0.5, 0.5, 2)) and scores.kinds["RNA"] == (0, 0, 0, 1)
    assert scores.macro_f1 == pytest.approx(0.25) and scores.accuracy == pytest.approx(5 / 8)
    assert entity_counts(GOLD, FOUND).tolist() == [[2, 1, 1], [1, 1, 0], [0, 1, 0]]
    assert entity_counts(GOLD, FOUND, "RNA").tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_who_finds_nothing_is_accurate_and_scores_zero():
    """What the report's "accuracy 0.90" hides."""
    gold = [["O"] * 4 + ["B-DNA"]] * 3
    scores = entity_scores(gold, [["O"] * 5] * 3)
    assert scores.accuracy == 0.8 and scores.f1 == scores.macro_f1 == 0
    assert entity_scores([["O"]], [["O"]]).f1 == 0


def test_an_inside_tag_without_a_beginning_is_an_entity_only_for_the_lenient():
    tags = [["I-DNA", "I-DNA", "O"]]
    gold = [["B-DNA", "I-DNA", "O"]]
    assert entity_scores(gold, tags).f1 == 0 and entity_scores(gold, tags, strict=False).f1 == 1


def test_unequal_lengths_are_named():
    """seqeval prints the lengths of thousands of sentences."""
    for score in (entity_scores, entity_counts):
        with pytest.raises(ValueError, match="sentence 1 has 2 tags and 1"):
            score([["O"], ["O", "O"]], [["O"], ["O"]])
        with pytest.raises(ValueError, match="zip"):
            score([["O"]], [])


def test_interval_of_equal_sentences_is_the_bootstrap_of_a_mean():
    """Where each sentence has one entity and one prediction, F1 is a mean, whose interval is known."""
    right = np.random.default_rng(0).random(300) < 0.6
    counts = np.stack([np.ones(300), np.ones(300), right], axis=1).astype(int)
    assert f1_interval(counts) == pytest.approx(bootstrap(right), abs=0.01)
    counts *= np.arange(300)[:, None]  # so that no two samples have the same F1
    assert f1_interval(counts) == f1_interval(counts) != f1_interval(counts, seed=1)


def test_interval_holds_the_true_f1_about_as_often_as_it_says():
    """Sentences with many entities weigh more: an interval of the mean of sentences' F1 would miss."""
    rng, held = np.random.default_rng(0), 0
    for seed in range(100):
        gold = rng.integers(0, 8, size=120)
        right = rng.binomial(gold, 0.3 + 0.05 * gold)
        low, high = f1_interval(np.stack([gold, gold, right], axis=1), resamples=400, seed=seed)
        sizes = np.arange(8)
        held += low <= (sizes * (0.3 + 0.05 * sizes)).sum() / sizes.sum() <= high
    assert held >= 88


def test_two_systems_on_the_same_sentences_are_drawn_together():
    """What makes a sentence hard for both falls out; drawn apart, the interval would be several times wider."""
    rng = np.random.default_rng(0)
    gold = rng.integers(1, 6, size=200)
    hard = rng.random(200) < 0.5
    b = np.stack([gold, gold, np.where(hard, 0, gold)], axis=1)
    a = b.copy()
    a[:, 2] = np.minimum(gold, b[:, 2] + (rng.random(200) < 0.2))
    difference, low, high = f1_difference(a, b)
    assert difference == pytest.approx(micro_f1(a.sum(0)) - micro_f1(b.sum(0)))
    assert 0 < low < difference < high and high - low < 0.5 * (f1_interval(a)[1] - f1_interval(a)[0])
    assert f1_difference(a, a) == (0, 0, 0)
    with pytest.raises(ValueError, match="different sentences"):
        f1_difference(a, b[::-1] + np.array([1, 0, 0]))
    with pytest.raises(ValueError, match="no interval"):
        f1_interval(a[:1])


def test_the_metric_answers_as_the_hub_s_does(tmp_path):
    """From a file of the package, without a network, in the words that the report's compute_metrics reads."""
    code = (
        "import evaluate, json, sys; metric = evaluate.load(sys.argv[1]);"
        f"print(json.dumps(metric.compute(predictions={FOUND!r}, references={GOLD!r})))"
    )
    env = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", code, metric_path("seqeval")], env=env, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr[-2000:]
    answer = json.loads(run.stdout.splitlines()[-1])
    scores = entity_scores(GOLD, FOUND)
    for name in ("precision", "recall", "f1", "accuracy"):
        assert answer[f"overall_{name}"] == getattr(scores, name)
    assert answer["DNA"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "number": 2}
