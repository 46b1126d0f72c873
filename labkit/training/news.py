"""One model, two questions on each text of the stream: its tone, and what it is about.

    tune(model, lessons(tokenizer, stream.days[0], max_tokens=256, heard=3), epochs=2, lr=1e-3)
    said = answers(model, tokenizer, stream.days[1])                 # {"tone": (news,), "topic": (news,)}
    grades(said, truth(stream.days[1]))                              # {"tone": …, "topic": …, "heard": …}

Bad news is rare, and an alarm hangs on it: with each piece trained on once, a model in trials was right about nine
tones in ten and called hardly anything bad. So `lessons` can repeat it, and `grades` never looks at accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from labkit.evaluation.classification import score
from labkit.evaluation.labels import score_labels
from labkit.tasks.finance_stream import TOPICS, News
from labkit.tasks.pairs import Pair
from labkit.tasks.sentiment import LABELS
from labkit.training.tuning import encode_examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

QUESTIONS = {"tone": LABELS, "topic": TOPICS}
BAD = LABELS.index("negative")

Answers = Mapping[str, np.ndarray]  # by question, a label's index for each piece of news


def lessons(tokenizer: PreTrainedTokenizerFast, news: Sequence[News], max_tokens: int, heard: int = 1) -> list[Pair]:
    """Both questions on each piece of news, with their answers; that of the tone of bad news `heard` times."""
    asked = {"tone": [*news, *[item for item in news if item.tone.label == BAD] * (heard - 1)], "topic": news}
    return [
        pair
        for question, labels in QUESTIONS.items()
        for pair in encode_examples(
            tokenizer, [getattr(item, question) for item in asked[question]], labels, max_tokens
        )
    ]


def answers(model: nn.Module, tokenizer: PreTrainedTokenizerFast, news: Sequence[News]) -> Answers:
    """What the model says of each piece of news."""
    return {
        question: score_labels(model, tokenizer, [getattr(item, question).prompt for item in news], labels)
        .argmax(1)
        .numpy()
        for question, labels in QUESTIONS.items()
    }


def truth(news: Sequence[News]) -> Answers:
    """What would be right."""
    return {question: np.array([getattr(item, question).label for item in news]) for question in QUESTIONS}


def grades(said: Answers, right: Answers) -> dict[str, float]:
    """Macro-F1 of the tone and of the topic, and the share of bad news that is `heard`, called bad (0–1 each).

    Raises `ValueError` where there is no bad news to hear.
    """
    if not (bad := right["tone"] == BAD).any():
        raise ValueError("no piece of this news is bad: whether bad news is heard can't be said")
    f1 = {q: score(right[q].tolist(), said[q].tolist(), len(labels)).macro_f1 for q, labels in QUESTIONS.items()}
    return {**f1, "heard": float((said["tone"][bad] == BAD).mean())}
