"""Watching a stream of news for bad news on a topic beyond the usual, and for words the model no longer knows.

    negative, total = zip(*(tally(topics, tones == 0, 5) for topics, tones in answers))       # (days, topics) each
    surge(negative, total).alert                                   # (days, topics): ring the bell
    cusum(surprise) >= THRESHOLD                                   # (days,): the text, or the model, isn't as it was

Two questions, two tests, and each says how often it is wrong when nothing has happened. `surge` counts: it compares a
day's share with that of all days before it, and asks nothing of a day but that its news is drawn at random. `cusum`
takes any number a day that is about normally distributed, an average over many sentences: nats a token under the
model, the share of wrong answers in labelled feedback. It adds up what is small but lasts.

Both judge a day by the days before it only, and neither is told when to begin. What they take for the usual is what
came first: after an update label the old days anew, by the new model, or begin again; else the alarm is about the
model. They know no weekdays and no seasons. A drift that creeps becomes the usual.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from labkit.tasks.labelled import key

SLACK, THRESHOLD = 0.5, 5.0  # of `cusum`, in standard deviations: one false alarm in 938 days


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


def cusum(values: Sequence[float], slack: float = SLACK) -> np.ndarray:
    """How far the values have run above those before them, (days,), in standard deviations; see `THRESHOLD`.

    Page's sum (1954): each day adds its distance from the usual less `slack`, and the sum never falls below 0. The
    usual is not given but estimated anew from all days before, and the distance made exactly standard normal by
    Student's t (the self-starting sum, Hawkins 1987): so false alarms are no more frequent for a short past. Small
    changes need a long one to show. False alarms come up to twice as often if the values are skewed, as averages of a
    few dozen sentences may be. For what had better be high, negate.
    """
    from scipy.stats import norm
    from scipy.stats import t as student

    x = np.asarray(values, dtype=float)
    t = np.zeros(len(x))
    for day in range(2, len(x)):
        past = x[:day]
        if np.ptp(past):  # else nothing has varied yet: there is nothing to measure by
            t[day] = (x[day] - past.mean()) / (past.std(ddof=1) * math.sqrt(1 + 1 / day))
    z = norm.isf(student.sf(t, np.maximum(1, np.arange(len(x)) - 1)))
    return np.array(list(accumulate(z, lambda total, far: max(0.0, total + far - slack), initial=0.0))[1:])


def run_length(threshold: float = THRESHOLD, shift: float = 0.0, slack: float = SLACK) -> float:
    """The mean number of days until `cusum` reaches `threshold`, if all values lie `shift` deviations too high.

    For a shift of 0 that is the time between false alarms, else the delay of a true one, if the past was long. Within
    a few per cent (Siegmund 1985).
    """
    drift, b = shift - slack, threshold + 1.166
    return (math.exp(-2 * drift * b) + 2 * drift * b - 1) / (2 * drift**2) if drift else b * b


def words(texts: Iterable[str]) -> list[str]:
    """All words of the texts, without numbers."""
    return [word for text in texts for word in key(text).split() if not word.isdecimal()]


def unseen(texts: Iterable[str], known: Collection[str]) -> tuple[int, int]:
    """How many words of the texts aren't among the known ones, and how many words there are: counts for `surge`."""
    found = words(texts)
    return sum(word not in known for word in found), len(found)
