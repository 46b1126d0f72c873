"""Watching a stream of news for bad news on a topic beyond the usual, and for words the model no longer knows.

    negative, total = zip(*(tally(topics, tones == 0, 5) for topics, tones in answers))       # (days, topics) each
    surge(negative, total).alert                                   # (days, topics): ring the bell
    surge(*new_words).alert                                        # the same test, of words that were never seen

One test for two questions, and it says how often it is wrong when nothing has happened: `surge` compares a day's share
with that of all days before it, and asks nothing of a day but that its news is drawn at random.

It judges a day by the days before it only, and isn't told when to begin. What it takes for the usual is what came
first: after an update label the old days anew, by the new model, or begin again; else the alarm is about the model. It
knows no weekdays and no seasons. A drift that creeps becomes the usual.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from labkit.tasks.labelled import key


class Surges(NamedTuple):
    """How often chance alone would give as much bad news as on that day, and where that is too seldom to be chance.

    Both (days, topics).
    """

    p: np.ndarray
    alert: np.ndarray


def tally(topics: Sequence[int], negative: Sequence[bool], n_topics: int) -> tuple[np.ndarray, np.ndarray]:
    """A day's negative news and all its news, by topic, (n_topics,) each; what has no topic (−1) isn't counted."""
    t, bad = np.asarray(topics, dtype=int), np.asarray(negative, dtype=bool)
    return np.bincount(t[(t >= 0) & bad], minlength=n_topics), np.bincount(t[t >= 0], minlength=n_topics)


def surge(negative: ArrayLike, total: ArrayLike, rate: float = 0.01) -> Surges:
    """Alerts where a day's negative news on a topic is more than its own past explains; counts, (days, topics).

    `rate` is how many false alerts there are in a day at most, over all topics, while nothing happens: of n news on a
    topic, k of them negative, the chance of k or more is a tail of the binomial distribution if the usual share is
    known. It isn't; given how many of the day's and the past's news are negative together, it is a tail of the
    hypergeometric one, whatever the share (Fisher's exact test, 1935). Each topic gets an equal part of `rate`
    (Bonferroni). What raised an alert doesn't count as past. Raises `ValueError` for counts that can't be.
    """
    from scipy.stats import hypergeom

    negative, total = np.asarray(negative), np.asarray(total)
    if negative.shape != total.shape or negative.ndim != 2 or (negative < 0).any() or (negative > total).any():
        raise ValueError("negative and total must be counts (days, topics), and no more negative news than news")
    p = np.ones(total.shape)
    past_negative, past_total = np.zeros((2, total.shape[1]), dtype=int)
    for day, (k, n) in enumerate(zip(negative, total, strict=True)):
        p[day] = hypergeom.sf(k - 1, np.maximum(1, past_total + n), past_negative + k, n)
        quiet = p[day] > rate / total.shape[1]
        past_negative, past_total = past_negative + k * quiet, past_total + n * quiet
    return Surges(p, p <= rate / total.shape[1])


def words(texts: Iterable[str]) -> list[str]:
    """All words of the texts, without numbers."""
    return [word for text in texts for word in key(text).split() if not word.isdecimal()]


def unseen(texts: Iterable[str], known: Collection[str]) -> tuple[int, int]:
    """How many words of the texts aren't among the known ones, and how many words there are: counts for `surge`."""
    found = words(texts)
    return sum(word not in known for word in found), len(found)
