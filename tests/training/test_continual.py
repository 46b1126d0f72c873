"""A matrix of accuracies is as good as its rows: which task, after which, on which sentences."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from labkit.models.neo import new_neo
from labkit.profile import LabError
from labkit.tasks.synthetic_reports import MEANING, synthetic_reports
from labkit.training import continual
from labkit.training.continual import accuracies, learn_first, run_sequence, zero_shot
from labkit.training.learners import LEARNERS, Naive, TaskSequence
from labkit.training.tuning import encode_examples
from labkit.zoo import train_tokenizer

DATA = [synthetic_reports(where, 64, 24) for where in MEANING]
TOKENIZER = train_tokenizer([e.prompt for task in DATA for e in task.train] + list(DATA[0].labels))


@pytest.fixture(scope="module")
def sequence():
    torch.manual_seed(0)
    backbone = new_neo(len(TOKENIZER), 32, 2, 2, 128, window=16)
    return TaskSequence(backbone, TOKENIZER, DATA, [encode_examples(TOKENIZER, d.train, d.labels, 128) for d in DATA])


def test_row_i_is_measured_when_task_i_is_learnt(sequence):
    """By hand, with the learner; and on the first sentences only."""
    outcome = run_sequence(sequence, "naive", steps=12, n_test=10)
    learner, expected = Naive(sequence), []
    for i in range(2):
        learner.learn(i, 12, learner.rate)
        expected.append([])
        for task in DATA:
            some = task.test[:10]
            predicted = learner.scores([e.prompt for e in some], task.labels).argmax(1).tolist()
            expected[i].append(np.mean([p == e.label for p, e in zip(predicted, some, strict=True)]))
    np.testing.assert_allclose(outcome.matrix, expected, atol=1e-6)
    assert outcome.seconds > 0 and outcome.kept == 0 and outcome.routed is None


@pytest.mark.parametrize("method", LEARNERS)
def test_every_method_gives_a_square_matrix_and_the_same_for_a_seed(sequence, method):
    a, b = (run_sequence(sequence, method, steps=2, n_test=8) for _ in range(2))
    assert a.matrix.shape == (2, 2) and (a.matrix >= 0).all() and (a.matrix <= 1).all()
    assert (a.matrix == b.matrix).all() and (a.routed is None) == (method != "lora")


@pytest.mark.parametrize("method", LEARNERS)
def test_a_shared_start_changes_nothing_but_the_time(sequence, method):
    """Of the same settings: to the last digit what each would have learnt alone, and the start is there for all."""
    start = learn_first(sequence, steps=3, seed=1, n_test=24)
    before = copy.deepcopy(start.model)
    shared = run_sequence(sequence, method, 3, seed=1, n_test=24, start=start)
    alone = run_sequence(sequence, method, 3, seed=1, n_test=24)
    assert (shared.matrix == alone.matrix).all() and shared.kept == alone.kept and shared.routed == alone.routed
    assert all(torch.equal(p, q) for p, q in zip(before.parameters(), start.model.parameters(), strict=True))
    assert shared.seconds > start.seconds * (method not in ("lora", "joint"))


def test_the_rate_can_be_set(sequence):
    assert (run_sequence(sequence, "naive", 2, lr=1e-12, n_test=24).matrix == zero_shot(sequence, 24)).all()


def test_accuracy_counts_right_answers_of_each_task_apart(sequence):
    def scores(prompts, labels):  # right about all of the first task, wrong about all of the second
        truth = {e.prompt: (e.label + i) % 3 for i, task in enumerate(DATA) for e in task.test}
        return torch.nn.functional.one_hot(torch.tensor([truth[prompt] for prompt in prompts]), len(labels))

    assert accuracies(sequence, scores) == [1.0, 0.0]


def test_routed_is_the_share_that_got_their_own(sequence, monkeypatch):
    monkeypatch.setattr(continual.LoRAs, "learn", lambda self, i, steps, lr: self._remember(i))
    outcome = run_sequence(sequence, "lora", n_test=24)
    learner = continual.LoRAs(sequence)
    for i in range(2):
        learner._remember(i)
    routes = [learner.router.route([e.prompt for e in task.test]) for task in DATA]
    assert outcome.routed == pytest.approx(np.mean([(r == i).float().mean().item() for i, r in enumerate(routes)]))


def test_an_unknown_method_is_refused(sequence):
    with pytest.raises(LabError, match="did you mean 'replay'"):
        run_sequence(sequence, "reply")
