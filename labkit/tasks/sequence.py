"""Tasks to be learnt one after the other, by one model with one way to answer.

    for data in load_sequence(resolve("laptop")):
        print(data.name, data.labels, len(data.train))

`embedded`: is it good news or bad, in financial news (notebook 08's task), then in hospital reports, then in those of
power plants. The labels are the same, what they follow from is not: see `synthetic_reports`. In van de Ven & Tolias'
words (2019) the *domain* grows, and nobody says which one a sentence is from.

`local` and `hub`: three real tasks that share no label: the tone of financial news, whether a biomedical sentence names
a kind of cell (read off BioNLP2004's tags), whether two sentences say the same (MRPC). Each is scored among its own
labels, so a model is told which task it is at; and the small GPT-Neo learns little of the third.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.profile import Lab
from labkit.tasks.labelled import Labelled, key
from labkit.tasks.ner import Sentence as Tagged
from labkit.tasks.ner import load_ner
from labkit.tasks.paraphrase import load_paraphrase
from labkit.tasks.sentiment import COUNTS, LEVELS, Sentence, load_sentiment
from labkit.tasks.synthetic_reports import MEANING, synthetic_reports

WORDS = 40  # of a biomedical sentence, at most: in pieces, more may outrun the small model's context
CELLS = ("other", "cells")


def load_sequence(lab: Lab) -> list[Labelled[Any]]:
    """The tasks, in the order in which they are to be learnt. Raises `LabError` as the loaders of its tasks do."""
    if lab.source == "embedded":
        counts = COUNTS[lab.profile.name]
        return [load_sentiment(lab), *(synthetic_reports(where, *counts) for where in MEANING)]
    return [load_sentiment(lab), names_cells(lab), load_paraphrase(lab)]


def names_cells(lab: Lab) -> Labelled[Sentence]:
    """Sentences of up to `WORDS` words, each with whether a kind of cell, or a line of cells, is tagged in it.

    What is the same as a test sentence up to case and punctuation is dropped from training and validation.
    """
    data = load_ner(lab)
    train, validation, test = (_short(split) for split in (data.train, data.validation, data.test))
    tested = {key(sentence.text) for sentence in test}
    fresh = [[s for s in split if key(s.text) not in tested] for split in (train, validation)]
    dropped = sum(data.dropped.values()) + len(train) + len(validation) - sum(map(len, fresh))
    return Labelled(CELLS, *fresh, test, f"{data.name}, up to {WORDS} words: are cells named?", dropped)


def _short(sentences: Iterable[Tagged]) -> list[Sentence]:
    return [
        Sentence(" ".join(tagged.tokens), int(any("cell" in tag for tag in tagged.tags)), max(LEVELS))
        for tagged in sentences
        if len(tagged.tokens) <= WORDS
    ]
