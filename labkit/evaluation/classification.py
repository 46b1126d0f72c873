"""Is a classifier better than no classifier? Scores of predicted labels, and the baselines that belong beside them.

    predicted = tfidf_logistic(data.train, data.test)
    truth = [example.label for example in data.test]
    score(truth, predicted, len(data.labels)).accuracy, score(truth, majority(data.train, data.test), 3).accuracy

Truth and predictions are lists of label indexes, one an example, so that `labkit.evaluation.intervals` can say how sure
a score is: `bootstrap([t == p for t, p in zip(truth, predicted)])`. A prediction of −1 is an answer that names no
label: wrong, whatever is asked. Every baseline learns from the training examples only and costs seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from labkit.tasks.labelled import Example, key
from labkit.tasks.paraphrase import Pair


class Scores(NamedTuple):
    """How well labels were predicted, in fractions (0–1).

    `f1` is each label's; `confusion[t, p]` counts examples of label t that were predicted p (labels, labels), less
    those that were predicted no label.
    """

    accuracy: float
    f1: tuple[float, ...]
    confusion: np.ndarray

    @property
    def macro_f1(self) -> float:
        """The mean of the labels' F1: a classifier that ignores a rare label pays for it as for a common one."""
        return fmean(self.f1)


def score(truth: Sequence[int], predicted: Sequence[int], n_labels: int) -> Scores:
    """Compare predictions with the truth. A label that nobody has or predicts has an F1 of 0.

    Raises `ValueError` for unequal lengths, and for nothing to compare.
    """
    from sklearn.metrics import confusion_matrix, f1_score

    if len(truth) != len(predicted) or not truth:
        raise ValueError(f"{len(predicted)} predictions for {len(truth)} examples: each needs one")
    labels = range(n_labels)
    f1 = f1_score(truth, predicted, labels=labels, average=None, zero_division=0.0)
    accuracy = float(np.mean(np.equal(truth, predicted)))
    return Scores(accuracy, tuple(map(float, f1)), confusion_matrix(truth, predicted, labels=labels))


def macro_f1_interval(
    truth: Sequence[int], predicted: Sequence[int], n_labels: int, resamples: int = 2_000, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of macro-F1 over examples, from samples of them with replacement (Efron 1979, percentiles)."""
    t, p = np.asarray(truth), np.asarray(predicted)
    drawn = np.random.default_rng(seed).integers(len(t), size=(resamples, len(t)))
    f1 = []
    for label in range(n_labels):
        has, says = t == label, p == label
        both, either = (has & says)[drawn].sum(1), has[drawn].sum(1) + says[drawn].sum(1)
        f1.append(2 * both / np.maximum(1, either))
    low, high = np.quantile(np.mean(f1, axis=0), (0.025, 0.975))
    return float(low), float(high)


def majority(train: Sequence[Example], test: Sequence[Example]) -> list[int]:
    """The commonest training label, for every test example."""
    ((commonest, _),) = Counter(example.label for example in train).most_common(1)
    return [commonest] * len(test)


def tfidf_logistic(train: Sequence[Example], test: Sequence[Example]) -> list[int]:
    """Logistic regression on the words and pairs of words of `text`, weighted by how rare they are (TF-IDF).

    The classical baseline: it knows which words go with which label, and of their order only who stands beside whom.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(words, LogisticRegression(C=10, max_iter=1_000))
    model.fit([example.text for example in train], [example.label for example in train])
    return [int(label) for label in model.predict([example.text for example in test])]


def overlap(pair: Pair) -> float:
    """The share (0–1) of the words of both sentences that are in both (Jaccard)."""
    first, second = (set(key(text).split()) for text in (pair.first, pair.second))
    return len(first & second) / max(1, len(first | second))


def overlap_threshold(train: Sequence[Pair], test: Sequence[Pair]) -> list[int]:
    """Label 1, "equivalent", for pairs whose `overlap` is at least a threshold: the one that is best in training.

    A threshold of 0, which is the majority class, is tried too.
    """
    scores, labels = np.array([overlap(pair) for pair in train]), np.array([pair.label for pair in train])
    thresholds = [0.0, *np.unique(scores)]
    best = max(thresholds, key=lambda threshold: np.mean((scores >= threshold) == labels))
    return [int(overlap(pair) >= best) for pair in test]
