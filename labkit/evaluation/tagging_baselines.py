"""What taggers without a language model reach: a lexicon, and a linear model of a word and its neighbours.

    tag = fit_linear(data.train)
    print(entity_scores([s.tags for s in data.test], tag(data.test)).f1)

Each is fitted to sentences and gives a function from sentences to their tags. Both decide word by word, blind to the
tags beside, and may write an I- with nothing before it, which is no entity.

On the 3,856 test sentences of BioNLP2004, trained on all others, the lexicon has an entity F1 of 0.38 and the linear
model 0.62 (a minute or more); with 1,000 training sentences 0.25 and 0.44.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from labkit.tasks.ner import Sentence

Tagger = Callable[[Sequence[Sentence]], list[list[str]]]
WINDOW = 2  # words on each side that the linear model sees


def fit_lexicon(train: Sequence[Sentence]) -> Tagger:
    """Each word's most frequent tag in training; O for a word that wasn't there."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence in train:
        for token, tag in zip(sentence.tokens, sentence.tags, strict=True):
            counts[token][tag] += 1
    lexicon = {token: tags.most_common(1)[0][0] for token, tags in counts.items()}
    return lambda sentences: [[lexicon.get(token, "O") for token in sentence.tokens] for sentence in sentences]


def fit_linear(train: Sequence[Sentence], seed: int = 0, right: int = WINDOW) -> Tagger:
    """Logistic regression, one tag against the rest, by stochastic gradient descent; `right` as `features` has it."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        CountVectorizer(analyzer=lambda place: features(*place, right), dtype=np.float32),
        SGDClassifier(loss="log_loss", alpha=3e-6, max_iter=8, tol=None, random_state=seed),
    )
    model.fit(_places(train), [tag for sentence in train for tag in sentence.tags])

    def tag(sentences: Sequence[Sentence]) -> list[list[str]]:
        tags = iter(model.predict(_places(sentences)).tolist())
        return [[next(tags) for _ in sentence.tokens] for sentence in sentences]

    return tag


def features(tokens: Sequence[str], i: int, right: int = WINDOW) -> list[str]:
    """What the linear model knows of word `i`: the word, its shape, its ends, and the words around it.

    `right` is how many words after it are seen; with 0 it reads as a causal model does.
    """
    token = tokens[i]
    names = ["bias", f"shape {shape(token)}"]
    for length in range(1, 5):
        names += [f"begins {token[:length]}", f"ends {token[-length:]}"]
    for offset in range(-WINDOW, right + 1):
        j = i + offset
        word = tokens[j] if 0 <= j < len(tokens) else "<edge>"
        names += [f"{offset} {word.lower()}", f"{offset} ends {word[-3:]}", f"{offset} shape {shape(word)}"]
    return names


def shape(token: str) -> str:
    """Letters as A or a, digits as 0, runs as one: "NF-kappaB" is A-aA.

    >>> shape("CD28"), shape("c-fos")
    ('A0', 'a-a')
    """
    kinds = re.sub(r"[A-Z]", "A", re.sub(r"[a-z]", "a", re.sub(r"\d", "0", token)))
    return re.sub(r"(.)\1+", r"\1", kinds)


def _places(sentences: Sequence[Sentence]) -> list[tuple[Sequence[str], int]]:
    return [(sentence.tokens, i) for sentence in sentences for i in range(len(sentence.tokens))]
