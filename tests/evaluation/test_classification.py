"""Scores that rule on the report's claims, and baselines that must not peek at the test set."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.evaluation.classification import majority, overlap, overlap_threshold, score, tfidf_logistic
from labkit.tasks.paraphrase import Pair
from labkit.tasks.sentiment import Sentence

answers = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2)), min_size=1, max_size=40)


@settings(deadline=None)  # the first example imports sklearn
@given(answers)
def test_scores_are_their_definitions(pairs):
    """By counting, also for labels that nobody has or predicts, and for answers without a label (−1)."""
    truth, predicted = zip(*pairs, strict=True)
    scores = score(truth, predicted, 3)
    assert scores.accuracy == pytest.approx(sum(t == p for t, p in pairs) / len(pairs))
    for label in range(3):
        hits = pairs.count((label, label))
        both = truth.count(label) + predicted.count(label)
        assert scores.f1[label] == pytest.approx(2 * hits / both if both else 0)
        assert [scores.confusion[label, other] for other in range(3)] == [pairs.count((label, o)) for o in range(3)]
    assert scores.macro_f1 == pytest.approx(sum(scores.f1) / 3)


def test_no_answer_is_zero_per_cent():
    """ "0 % before tuning": text without any label is wrong, and no error."""
    scores = score([0, 1, 1], [-1, -1, -1], 2)
    assert scores.accuracy == scores.macro_f1 == 0 and not scores.confusion.any()


def test_lengths_must_agree():
    """Cut to the shorter, the score would be of other examples."""
    with pytest.raises(ValueError, match="2 predictions for 3"):
        score([0, 1, 1], [0, 1], 2)
    with pytest.raises(ValueError, match="0 predictions for 0"):
        score([], [], 2)


def test_the_majority_is_the_training_set_s():
    """Of MRPC's test set, 66.5 % by always answering "equivalent": the report's 66.2 % is that."""
    train = [Pair("a", "b", label) for label in (0, 0, 1)]
    test = [Pair("a", "b", 1)] * 1147 + [Pair("a", "b", 0)] * 578
    assert set(majority(train, test)) == {0}
    assert score([p.label for p in test], majority(test, test), 2).accuracy == pytest.approx(0.6649, abs=1e-4)


def test_overlap():
    assert overlap(Pair("The cat sat .", "the CAT, sat", 1)) == 1
    assert overlap(Pair("a b c", "b c d", 0)) == pytest.approx(2 / 4)
    assert overlap(Pair("...", "!", 0)) == 0


def test_the_threshold_is_the_best_one_of_training_and_blind_to_the_test():
    train = [Pair("a b c d", "a b c d", 1), Pair("a b c d", "a b c e", 1), Pair("a b c d", "a e f g", 0)]
    test = [Pair("a b c d", "a b c f", 0), Pair("a b c d", "e f g h", 1)]  # against the training set's rule
    assert overlap_threshold(train, test) == [1, 0]
    assert overlap_threshold([Pair("a", "b", 1), Pair("a", "a", 0)], test) == [1, 1]  # overlap misleads: all are 1


def test_word_counts_know_neighbours_and_no_other_order():
    """What the synthetic data count on: the same words and pairs of words get the same label, whatever they mean."""
    near = [Sentence(text, label, 100) for text, label in (("profit rose debt fell", 2), ("profit fell debt rose", 0))]
    assert tfidf_logistic(near * 20, near) == [2, 0]
    far = [Sentence(text, label, 100) for text, label in (("so up so down so", 2), ("so down so up so", 0))]
    assert len(set(tfidf_logistic(far * 20, far))) == 1
