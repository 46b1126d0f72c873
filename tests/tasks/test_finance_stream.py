"""Alerts and updates are scored against what this stream says of itself."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain

import numpy as np
import pytest

from labkit.evaluation.classification import score, tfidf_logistic
from labkit.profile import LabError
from labkit.tasks.finance_stream import (
    DRIFT,
    DRIFTED,
    NEW_COMPANIES,
    NEW_WORDS,
    SURGE,
    SURGES,
    TOLD,
    TOPICS,
    VOLUME,
    finance_stream,
)
from labkit.tasks.labelled import key, place
from labkit.tasks.sentiment import LABELS
from labkit.tasks.synthetic_finance import (
    _SHAPES,
    BAD,
    COMPANIES,
    GOOD,
    HELD_OUT,
    NEITHER,
    PRODUCTS,
    SHARES,
    finance_text,
    synthetic_sentences,
)


@pytest.fixture(scope="module")
def stream():
    return finance_stream()


def news_of(stream, begin: int = 0, end: int | None = None):
    return list(chain(*stream.days[begin:end]))


def test_the_same_numbers_give_the_same_days_and_more_days_the_same_first(stream):
    assert finance_stream(n_days=5).days == stream.days[:5] != finance_stream(1, n_days=5).days
    assert {len(day) for day in stream.days} == {100} and "synthetic" in stream.name


def test_both_tasks_are_asked_in_the_same_form(stream):
    """A tuner takes either for an `Example`; the two prompts must differ in no more than the question."""
    news = stream.days[0][0]
    assert news.tone.text == news.topic.text and news.topic.prompt.endswith(' . "Topic" :')
    assert news.tone.prompt == news.topic.prompt.replace("Topic", "Label")


def test_days_are_as_bad_as_planned(stream):
    """The usual share of every label on every topic, but for surges; drift or no drift."""
    counts = np.zeros((len(stream.days), len(TOPICS), len(LABELS)))
    for day, some in enumerate(stream.days):
        for news in some:
            counts[day, news.topic.label, news.tone.label] += 1
    surging = np.zeros((len(stream.days), len(TOPICS)), bool)
    for day, topic in stream.surges.items():
        surging[day, TOPICS.index(topic)] = True
    assert surging.sum() == len(SURGES) == 6
    usual = [SHARES[label] for label in LABELS]
    for part in (counts[:DRIFT][~surging[:DRIFT]], counts[DRIFT:][~surging[DRIFT:]]):
        assert part.sum(0) / part.sum() == pytest.approx(usual, abs=0.025)
    assert counts[surging].sum() / (6 * 100) == pytest.approx(VOLUME / (4 + VOLUME), abs=0.06)
    assert counts.sum((0, 2)) / counts.sum() == pytest.approx([0.2] * 5, abs=0.025)


def test_a_surge_is_as_bad_as_planned_and_the_rest_of_it_as_ever():
    stream = finance_stream(n_days=30, surges=dict.fromkeys(range(30), "retail"))
    bad = Counter(LABELS[news.tone.label] for news in news_of(stream) if TOPICS[news.topic.label] == "retail")
    assert bad["negative"] / bad.total() == pytest.approx(SURGE, abs=0.05)
    ratio = SHARES["positive"] / (SHARES["positive"] + SHARES["neutral"])
    assert bad["positive"] / (bad["positive"] + bad["neutral"]) == pytest.approx(ratio, abs=0.08)


def test_what_drifts_are_the_words_on_the_planned_day(stream):
    before, after = news_of(stream, 0, DRIFT), news_of(stream, DRIFT)
    assert not any(news.new for news in before) and any(news.new for news in stream.days[DRIFT])
    assert sum(news.new for news in after) / len(after) == pytest.approx(DRIFTED, abs=0.03)
    fresh = re.compile("|".join(rf"\b{word}\b" for word in (*NEW_COMPANIES, *chain(*NEW_WORDS.values()))))
    stale = re.compile("|".join(rf"\b{word}\b" for word in (*COMPANIES, *chain(*NEW_WORDS))))
    for news in before + after:
        assert bool(fresh.search(news.tone.text)) == news.new != bool(stale.search(news.tone.text))
    assert not any(news.new for news in news_of(finance_stream(drift=None, n_days=45), DRIFT))


def test_no_word_for_a_rise_or_a_fall_was_forgotten():
    """Else some news would stay readable without an update. And no new word is an old one, or says two things."""
    up, down = (set(chain(*list(NEW_WORDS.values())[side::2])) for side in (0, 1))
    assert up.isdisjoint(down)
    movements = {word for shape in _SHAPES.values() for word in (*shape.up, *shape.down)} - {""}
    assert movements == set(chain(*NEW_WORDS)) and movements.isdisjoint(chain(*NEW_WORDS.values()))
    read = " ".join(finance_text(0, 3_000))
    assert not re.search("|".join(rf"\b({new})\b" for new in (*NEW_COMPANIES, *chain(*NEW_WORDS.values()))), read)


def test_the_label_is_what_the_sentence_means_in_new_words_too(stream):
    """Read anew, where a plain verb says it."""
    up, down = (set(NEW_WORDS[old]) | set(old) for old in list(NEW_WORDS)[:2])
    quantities = "|".join(sorted(GOOD + BAD + NEITHER, key=len, reverse=True))
    checked = Counter()
    for news in news_of(stream):
        found = re.match(rf".* 's ({quantities}) (\w+) by \d+ % in", news.tone.text)
        if found:
            direction = 1 if found[2] in up else -1
            assert found[2] in up | down
            sign = 1 if found[1] in GOOD else -1 if found[1] in BAD else 0
            assert news.tone.label == 1 + sign * direction, news
            checked[news.new] += 1
    assert min(checked.values()) > 50


def test_a_company_is_of_one_trade_and_often_nothing_else_says_which(stream):
    """In all sentences; the trade is told as often as planned, and no goods are of no trade."""
    topics: dict[str, set[int]] = {}
    for news in news_of(stream):
        (company,) = re.findall("|".join((*COMPANIES, *NEW_COMPANIES)), news.tone.text)
        topics.setdefault(company, set()).add(news.topic.label)
        assert not re.search(rf"\b({'|'.join(PRODUCTS)})\b", news.tone.text)
    assert set(map(len, topics.values())) == {1} and len(topics) == 50
    named = [f"{company} Group" in news.tone.text for news in news_of(stream) for company in topics]
    assert sum(named) / len(news_of(stream)) == pytest.approx(1 - TOLD, abs=0.03)


def test_nothing_is_seen_twice_or_elsewhere(stream):
    """Neither in pretraining nor in notebook 08's splits; and no combination that is its test's alone."""
    texts = [key(news.tone.text) for news in news_of(stream)]
    data = synthetic_sentences(2_400, 400)
    elsewhere = {key(sentence.text) for sentence in data.train + data.validation + data.test}
    elsewhere |= set(map(key, finance_text(1, 3_000)))
    assert len(set(texts)) == len(texts) and elsewhere.isdisjoint(texts)
    alone = {s.combination for s in data.test if place(s.combination) < HELD_OUT}
    assert len(alone) > 100 and alone.isdisjoint(news.tone.combination for news in news_of(stream))


def test_word_counts_know_both_tasks_until_the_words_change(stream):
    """What an update has to repair. If the drift cost nothing, there would be nothing to learn."""
    train = news_of(stream, 0, 15)

    def scores(task: str, test):
        examples = [getattr(news, task) for news in test]
        predicted = tfidf_logistic([getattr(news, task) for news in train], examples)
        n_labels = len(TOPICS if task == "topic" else LABELS)
        return score([example.label for example in examples], predicted, n_labels).macro_f1

    old, new = news_of(stream, 28, DRIFT), [news for news in news_of(stream, DRIFT) if news.new]
    assert scores("topic", old) > 0.97 and 0.5 < scores("topic", new) < 0.8
    assert scores("tone", old) > 0.75 and scores("tone", new) < scores("tone", old) - 0.1


def test_a_surge_on_nothing_is_refused():
    with pytest.raises(LabError, match=r"unknown topic 'bank': did you mean 'banks'"):
        finance_stream(surges={3: "bank"})
