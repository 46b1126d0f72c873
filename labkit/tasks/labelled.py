"""Labelled examples: a prompt, the words that may follow it, and which of them is right.

    data = load_sentiment(resolve("laptop"))
    example = data.test[0]
    example.prompt + " " + data.labels[example.label]              # what a language model is trained to write

Who scores or trains needs no more, whatever the task; classical baselines read `example.text`. The report's prompts end
in a space, so that the label begins a token without one. Here the space belongs to the label, as in running text: the
characters are the same, and byte-level BPE knows " neutral" from pretraining, but hardly ever meets "neutral" after a
lone space.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Example(Protocol):
    """What a task's examples have in common."""

    @property
    def label(self) -> int:
        """Which of the task's labels is right, as an index."""

    @property
    def text(self) -> str:
        """What is to be judged, without the prompt's own words."""

    @property
    def prompt(self) -> str:
        """All that stands before the label, without the space between."""


E = TypeVar("E", bound=Example)


@dataclass(frozen=True)
class Labelled(Generic[E]):
    """A dataset of examples in three splits.

    `labels` are the words that a prompt is completed with, in the order that an example's `label` counts; `name` is
    what the dataset is to be called wherever a number of it is shown; `dropped` counts the examples left out because
    another split, or the same one, has them too.
    """

    labels: tuple[str, ...]
    train: list[E]
    validation: list[E]
    test: list[E]
    name: str
    dropped: int

    @property
    def leak_share(self) -> float:
        """The share (0–1) of the test examples whose text (by `key`) is also trained on."""
        trained = {key(example.text) for example in self.train}
        return sum(key(example.text) in trained for example in self.test) / len(self.test)


def key(text: str) -> str:
    """What two texts share if they are the same up to case, spaces and punctuation.

    >>> key("Sales rose by 5 % , to EUR 2.1 mn .") == key("sales rose by 5% to EUR 2.1 mn")
    True
    """
    return " ".join(re.findall(r"\w+", text.lower()))


def place(text: str) -> float:
    """A text's place in [0, 1) by its `key`: as good as random, and the same in every run.

    Who splits by it needs no seed, and texts that are alike land on the same side.
    """
    return int.from_bytes(hashlib.sha256(key(text).encode()).digest()[:6], "big") / 2**48
