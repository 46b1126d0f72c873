"""Tasks learnt one after the other, and what is left of the first ones: a row of notebook 11's table.

    sequence = load_tasks(resolve("laptop"))
    outcome = run_sequence(sequence, "ewc")
    outcome.matrix[-1, 0]                                # accuracy on the first task, when the last is learnt

    start = learn_first(sequence)                        # once, for all methods that begin alike: a third is saved
    outcomes = {method: run_sequence(sequence, method, start=start) for method in LEARNERS}

`labkit.evaluation.continual` makes scores of the matrix.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from labkit.evaluation.labels import score_labels
from labkit.profile import Lab, pick_device, unknown
from labkit.tasks.sequence import load_sequence
from labkit.training.learners import LEARNERS, LoRAs, Naive, TaskSequence
from labkit.training.tuning import encode_examples
from labkit.zoo import load_backbone

STEPS = 100  # of each task
N_TEST = 150  # sentences of each task


class Outcome(NamedTuple):
    """A method's row: `matrix[i, j]` is the accuracy (0–1) on task j's test sentences when task i was learnt.

    `seconds` of learning; `kept`, bytes beside the model when all is learnt; `routed`, the share of test sentences that
    get their own task's adapter then (None where one model answers all).
    """

    matrix: np.ndarray
    seconds: float
    kept: int
    routed: float | None


class Start(NamedTuple):
    """What all methods that begin alike share: the model that has learnt the first task, its row, and what it cost."""

    model: nn.Module
    row: list[float]
    seconds: float


def load_tasks(lab: Lab) -> TaskSequence:
    """The lab's tasks and backbone, on the device."""
    backbone, tokenizer = load_backbone(lab)
    data, room = load_sequence(lab), backbone.config.max_position_embeddings
    pairs = [encode_examples(tokenizer, task.train, task.labels, room) for task in data]
    return TaskSequence(backbone.to(pick_device()), tokenizer, data, pairs)


def learn_first(sequence: TaskSequence, steps: int = STEPS, seed: int = 0, n_test: int = N_TEST) -> Start:
    """Learn the first task, for `run_sequence` with the same settings."""
    learner, began = Naive(sequence, seed), time.perf_counter()
    learner.learn(0, steps, learner.rate)
    seconds = time.perf_counter() - began
    return Start(learner.model, accuracies(sequence, learner.scores, n_test), seconds)


def run_sequence(
    sequence: TaskSequence,
    method: str,
    steps: int = STEPS,
    lr: float | None = None,
    seed: int = 0,
    n_test: int = N_TEST,
    start: Start | None = None,
) -> Outcome:
    """Learn the tasks in order by a method of `LEARNERS`, `steps` steps each, and test on all of them after each.

    `lr` is the method's own rate if None. A method that begins alike goes on from `start`, and has its seconds counted
    as its own. The backbone and the start are left as they are. Raises `LabError` for an unknown method.
    """
    if method not in LEARNERS:
        raise unknown("method", method, LEARNERS)
    learner = LEARNERS[method](sequence, seed)
    rows, seconds = [], 0.0
    for i in range(len(sequence.data)):
        shared, began = start if i == 0 and learner.begins_alike else None, time.perf_counter()
        if shared:
            learner.take_over(shared.model)
            seconds += shared.seconds
        else:
            learner.learn(i, steps, lr or learner.rate)
        seconds += time.perf_counter() - began
        rows.append(shared.row if shared else accuracies(sequence, learner.scores, n_test))
    return Outcome(
        np.array(rows), seconds, learner.kept_bytes, routed(learner, n_test) if isinstance(learner, LoRAs) else None
    )


def accuracies(
    sequence: TaskSequence, scores: Callable[[Sequence[str], Sequence[str]], Tensor], n_test: int = N_TEST
) -> list[float]:
    """The accuracy (0–1) on the first `n_test` test sentences of each task, each scored among its own labels."""
    found = []
    for task in sequence.data:
        some = task.test[:n_test]
        predicted = scores([e.prompt for e in some], task.labels).argmax(1)
        found.append((predicted == torch.tensor([e.label for e in some])).float().mean().item())
    return found


def zero_shot(sequence: TaskSequence, n_test: int = N_TEST) -> list[float]:
    """`accuracies` of the backbone, which has learnt none of the tasks."""
    return accuracies(sequence, partial(score_labels, sequence.backbone, sequence.tokenizer), n_test)


def routed(learner: LoRAs, n_test: int = N_TEST) -> float:
    """The share (0–1) of all tasks' test sentences that get their own task's adapter."""
    right = [
        learner.router.route([e.prompt for e in task.test[:n_test]]) == i
        for i, task in enumerate(learner.sequence.data)
    ]
    return torch.cat(right).float().mean().item()
