"""An alarm that rings for nothing is switched off: the test must be wrong as seldom as it says, and not deaf."""

from __future__ import annotations

from itertools import chain, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from labkit.evaluation.monitor import surge, tally, unseen, words
from labkit.tasks.finance_stream import DRIFT, TOPICS, finance_stream


@pytest.fixture(scope="module")
def stream():
    return finance_stream()


def counts(stream, wrong: float = 0.0):
    """Negative news and all news by day and topic, as labelled by a model that errs in that share of all answers."""
    rng = np.random.default_rng(0)
    days = []
    for day in stream.days:
        tones = np.array([news.tone.label for news in day])
        tones = np.where(rng.random(len(day)) < wrong, rng.integers(3, size=len(day)), tones)
        days.append(tally([news.topic.label for news in day], tones == 0, len(TOPICS)))
    return tuple(zip(*days, strict=True))


def surging(stream) -> np.ndarray:
    """The truth, (days, topics)."""
    truth = np.zeros((len(stream.days), len(TOPICS)), bool)
    for day, topic in stream.surges.items():
        truth[day, TOPICS.index(topic)] = True
    return truth


# Surges


def test_a_day_is_tallied_by_topic():
    negative, total = tally([0, 2, 2, -1, 0], [True, True, False, True, False], 4)
    assert negative.tolist() == [1, 0, 1, 0] and total.tolist() == [2, 0, 2, 0]


@pytest.mark.parametrize("wrong", [0.0, 0.2])
def test_every_planned_surge_is_found_and_hardly_anything_else(stream, wrong):
    """Also by the labels of a model that errs, as they do: it errs on the usual days, too."""
    found = surge(*counts(stream, wrong))
    truth = surging(stream)
    assert (found.alert & ~truth).sum() <= 1  # 60 days at the rate of 0.01 allow for 0.6
    assert found.alert[25:28].any() and found.alert[50:53].any() and found.alert[truth].mean() > 0.5


def test_p_is_fisher_s(stream):
    negative, total = map(np.array, counts(stream))
    p = surge(negative, total, rate=0).p  # no alert: all days are past
    for day, topic in product((1, 7, 26), range(5)):
        k, n = negative[day, topic], total[day, topic]
        before = negative[:day, topic].sum(), (total - negative)[:day, topic].sum()
        table = [[k, n - k], before]
        assert p[day, topic] == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)


@given(st.floats(0.02, 0.9), st.integers(1, 9), st.integers(0, 12), st.floats(0.01, 0.5))
@settings(max_examples=60, deadline=None)
def test_false_alerts_are_no_more_than_promised_whatever_the_share(share, n, past, rate):
    """Exactly: the probability of every day and every past, added up where there is an alert."""
    false = 0.0
    for k, h in product(range(n + 1), range(past + 1)):
        if surge([[h], [k]], [[past], [n]], rate).alert[1, 0]:
            false += stats.binom.pmf(k, n, share) * stats.binom.pmf(h, past, share)
    assert false <= rate + 1e-9


def test_false_alerts_over_many_days_and_topics():
    """At most the rate, and not far below it either, or it would be deaf; pasts are shared between days."""
    rng = np.random.default_rng(0)
    alerts, n_days = 0, 0
    for _ in range(60):
        total = rng.multinomial(500, [0.2] * 5, size=40)
        alerts += surge(rng.binomial(total, 0.13), total, rate=0.2).alert.sum()
        n_days += 40
    assert 0.12 < alerts / n_days < 0.22


days = st.integers(1, 8)
table = st.tuples(days, st.integers(1, 3)).flatmap(lambda shape: arrays(int, (2, *shape), elements=st.integers(0, 20)))


@given(table, st.integers(1, 8))
@settings(deadline=None)
def test_a_day_is_judged_by_the_days_before_it_only(table, until):
    """Or the alarm couldn't be had on that day."""
    negative, total = table.min(0), table.max(0)
    whole, part = surge(negative, total, 0.3), surge(negative[:until], total[:until], 0.3)
    assert np.array_equal(whole.p[:until], part.p) and np.array_equal(whole.alert[:until], part.alert)
    assert (whole.p[0] == 1).all() and ((whole.p >= 0) & (whole.p <= 1)).all()
    assert (whole.p[total == 0] == 1).all()


def test_what_raised_an_alert_is_not_the_usual_afterwards():
    """Else a long surge would fall silent by itself."""
    total = np.full((30, 1), 20)
    negative = np.full((30, 1), 3)
    negative[10:] = 10
    assert surge(negative, total).alert[:, 0].tolist() == [False] * 10 + [True] * 20


@pytest.mark.parametrize(("negative", "total"), [([[3]], [[2]]), ([[-1]], [[2]]), ([1, 1], [2, 2]), ([[1]], [[2, 2]])])
def test_counts_that_cannot_be_are_refused(negative, total):
    with pytest.raises(ValueError, match="no more negative news than news"):
        surge(negative, total)


# Drift


def test_unseen_words_give_the_drift_away_on_its_day_and_not_before(stream):
    """No model is needed for that; and after an update, when the words are known, it is quiet."""
    texts = [[news.tone.text for news in day] for day in stream.days]
    known = set(words(chain(*texts[:15])))
    new, total = (np.array([column]).T for column in zip(*(unseen(day, known) for day in texts[15:]), strict=True))
    alert = surge(new, total).alert[:, 0]
    assert np.flatnonzero(alert)[0] == DRIFT - 15
    known |= set(words(chain(*texts[DRIFT : DRIFT + 3])))
    new, total = (np.array([column]).T for column in zip(*(unseen(day, known) for day in texts[50:]), strict=True))
    assert not surge(new, total).alert.any()


def test_numbers_are_no_words():
    assert unseen(["Profit rose to EUR 47 mn .", "Zorv 's profit rose ."], {"profit", "rose", "to", "s"}) == (3, 9)
    assert words(["It rose 4 % ."]) == ["it", "rose"]
