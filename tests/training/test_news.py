"""Two questions on one text must not answer each other, and a deaf model must not look good."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from labkit.models.neo import new_neo
from labkit.tasks.finance_stream import TOPICS, finance_stream
from labkit.tasks.sentiment import LABELS
from labkit.training.news import BAD, QUESTIONS, answers, grades, lessons, truth
from labkit.training.tuning import tune
from labkit.zoo import train_tokenizer

NEWS = finance_stream(n_days=1, per_day=40).days[0]
TOKENIZER = train_tokenizer([f"{e.prompt} {' '.join((*LABELS, *TOPICS))}" for n in NEWS for e in (n.tone, n.topic)])


def written(pairs) -> Counter:
    return Counter(TOKENIZER.decode(torch.cat(pair)) for pair in pairs)


def test_each_piece_of_news_is_asked_about_twice_and_bad_news_more_often():
    once, thrice = (written(lessons(TOKENIZER, NEWS, 256, heard)) for heard in (1, 3))
    assert set(once.values()) == {1} and len(once) == 2 * len(NEWS)
    bad = {text for text, count in (thrice - once).items() if count == 2}
    assert bad == {text for text in once if text.endswith(" negative" + TOKENIZER.eos_token)} == set(thrice - once)
    assert len(bad) == sum(news.tone.label == BAD for news in NEWS) > 0


def test_what_was_learnt_is_answered_question_by_question():
    """On the news that were trained on: after that, right answers to both, of the right kind."""
    torch.manual_seed(0)
    model = new_neo(len(TOKENIZER), 64, 2, 2, 128, window=32)
    some = NEWS[:12]
    tune(model, lessons(TOKENIZER, some, 128), epochs=60, lr=3e-3)
    said, right = answers(model, TOKENIZER, some), truth(some)
    assert list(said) == list(QUESTIONS) and all(len(each) == len(some) for each in said.values())
    assert (said["tone"] == right["tone"]).mean() > 0.8 and (said["topic"] == right["topic"]).mean() > 0.8


def test_who_calls_nothing_bad_is_right_most_of_the_time_and_hears_nothing():
    right = truth(finance_stream(n_days=3).days[2])
    deaf = {"tone": np.where(right["tone"] == BAD, 1, right["tone"]), "topic": right["topic"]}
    assert (deaf["tone"] == right["tone"]).mean() > 0.8
    assert grades(right, right) == {"tone": 1.0, "topic": 1.0, "heard": 1.0}
    found = grades(deaf, right)
    assert found["heard"] == 0 and found["tone"] < 2 / 3 and found["topic"] == 1


def test_half_of_the_bad_news_is_half():
    right = {"tone": np.array([BAD, BAD, 1, 2]), "topic": np.array([0, 1, 2, 3])}
    said = right | {"tone": np.array([BAD, 2, BAD, 2])}
    assert grades(said, right)["heard"] == 0.5
    with pytest.raises(ValueError, match="no piece of this news is bad"):
        grades(said, right | {"tone": np.array([1, 1, 1, 2])})
