r"""What a ROUGE score hides: length, repetition and copying; and two summaries that took no model.

    describe(predictions, [paper.article for paper in papers], [paper.abstract for paper in papers])
    "\n".join(lead(paper.paragraphs, 3)), "\n".join(oracle(paper.article, paper.abstract))

A summary may earn its ROUGE by saying a thing twice, by running on, or by copying sentences. `lead`, the first
sentences, is what a model must beat; `oracle`, the article's own sentences chosen with the abstract in hand, tells how
far copying could get. Words are ROUGE's. A share of nothing, as in an empty summary, is 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from statistics import fmean
from typing import NamedTuple

import numpy as np

from labkit.evaluation.repetition import rep
from labkit.evaluation.rouge import ngrams, rouge, rouge_l, words
from labkit.tasks.papers import Paper
from labkit.tasks.sentences import sentences

COPIED_SPAN = 3  # words: "of the" stands in every article


def length(text: str) -> int:
    """Words."""
    return len(words(text))


def repetition(text: str, n: int = 3) -> float:
    """The share, 0–1, of the n-grams that the text had before."""
    return rep(words(text), n)


def novelty(summary: str, source: str, n: int = 2) -> float:
    """The share, 0–1, of the summary's n-grams that the source doesn't have (See et al. 2017)."""
    grams, known = ngrams(words(summary), n), set(ngrams(words(source), n))
    return sum(gram not in known for gram in grams) / len(grams) if grams else 0.0


def copied(summary: str, source: str) -> float:
    """The share, 0–1, of the summary's words that stand in a span of three or more which the source has, too.

    The coverage of Grusky et al. 2018 ("Newsroom"), which counts spans from a single word on.
    """
    tokens, known = words(summary), set(ngrams(words(source), COPIED_SPAN))
    taken = {
        i + offset
        for i, gram in enumerate(ngrams(tokens, COPIED_SPAN))
        if gram in known
        for offset in range(COPIED_SPAN)
    }
    return len(taken) / len(tokens) if tokens else 0.0


def describe(predictions: Sequence[str], sources: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Means over the summaries: `words`, `repetition`, `novelty`, `copied`, and the four of `rouge`.

    Raises `ValueError` unless there are as many of each, and at least one.
    """
    pairs = list(zip(predictions, sources, strict=True))
    columns: dict[str, list[float]] = {
        "words": [length(prediction) for prediction in predictions],
        "repetition": [repetition(prediction) for prediction in predictions],
        "novelty": [novelty(*pair) for pair in pairs],
        "copied": [copied(*pair) for pair in pairs],
        **rouge(predictions, references),
    }
    return {name: fmean(column) for name, column in columns.items()}


def lead(paragraphs: Sequence[str], n: int) -> list[str]:
    """The first `n` sentences; fewer if there are no more. Raises `TypeError` for one text instead of paragraphs."""
    if isinstance(paragraphs, str):
        raise TypeError("paragraphs must be a list of texts")  # one would be read letter by letter
    return list(islice((sentence for paragraph in paragraphs for sentence in sentences(paragraph)), n))


def best_lead(papers: Sequence[Paper], most: int = 8) -> int:
    """How many first sentences, up to `most`, have the highest mean ROUGE-L: a baseline is tuned, too."""

    def score(n: int) -> float:
        return fmean(rouge_l("\n".join(lead(paper.paragraphs, n)), paper.abstract) for paper in papers)

    return max(range(1, most + 1), key=score)


def oracle(article: str, abstract: str) -> list[str]:
    """The article's sentences that together score best, chosen greedily, in the order of reading.

    The score is the mean of ROUGE-1 and ROUGE-2 (F1), without the bigrams from one sentence to the next. Each time the
    sentence is taken that raises it most, until none does: the labels of Nallapati et al. 2017 ("SummaRuNNer"). That
    needn't be the best choice there is. Milliseconds for an article, as all sentences are tried at once.
    """
    every = sentences(article)
    unigrams, bigrams = (_Shared.between(every, abstract, n) for n in (1, 2))
    chosen: list[int] = []
    best = 0.0
    while len(chosen) < len(every):
        scores = (unigrams.f1(chosen) + bigrams.f1(chosen)) / 2
        scores[chosen] = 0
        if scores.max() <= best:
            break
        best = scores.max()
        chosen.append(int(scores.argmax()))
    return [every[i] for i in sorted(chosen)]


class _Shared(NamedTuple):
    """How often each n-gram of an abstract stands in each sentence (sentences, n-grams), and in the abstract."""

    counts: np.ndarray
    target: np.ndarray
    sizes: np.ndarray  # all n-grams of a sentence, the abstract's or not

    @classmethod
    def between(cls, every: Sequence[str], abstract: str, n: int) -> _Shared:
        target = Counter(ngrams(words(abstract), n))
        grams = [Counter(ngrams(words(sentence), n)) for sentence in every]
        counts = [[count[gram] for gram in target] for count in grams]
        return cls(*map(np.array, (counts, list(target.values()), [count.total() for count in grams])))

    def f1(self, chosen: list[int]) -> np.ndarray:
        """Of the chosen sentences with each of all sentences added (sentences,)."""
        common = np.minimum(self.counts + self.counts[chosen].sum(0), self.target).sum(1)
        total = self.sizes + self.sizes[chosen].sum() + self.target.sum()
        return 2 * common / np.maximum(total, 1)
