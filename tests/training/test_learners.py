"""Each way to learn on must do what its name says, on the loop that all share."""

from __future__ import annotations

import copy

import pytest
import torch

from labkit.evaluation.labels import score_labels
from labkit.models.neo import new_neo
from labkit.tasks.pairs import IGNORE
from labkit.tasks.synthetic_reports import MEANING, synthetic_reports
from labkit.training.compare_tuning import RATES
from labkit.training.learners import EWC, L2SP, LEARNERS, Joint, LoRAs, LwF, Naive, Replay, TaskSequence
from labkit.training.regularisers import distillation, fisher
from labkit.training.tuning import answer_logits, encode_examples, tune
from labkit.zoo import train_tokenizer

DATA = [synthetic_reports(where, 32, 8) for where in MEANING]
TOKENIZER = train_tokenizer([e.prompt for task in DATA for e in task.train] + list(DATA[0].labels))
PROMPTS = [e.prompt for task in DATA for e in task.test]


@pytest.fixture(scope="module")
def sequence():
    torch.manual_seed(0)
    backbone = new_neo(len(TOKENIZER), 32, 2, 2, 128, window=16)
    return TaskSequence(backbone, TOKENIZER, DATA, [encode_examples(TOKENIZER, d.train, d.labels, 128) for d in DATA])


def learnt(name: str, sequence: TaskSequence, steps: int = 3, tasks: int = 2, **settings):
    """A learner after so many tasks; `settings` are its class's, changed."""
    learner = type(name, (LEARNERS[name],), settings)(sequence)
    for i in range(tasks):
        learner.learn(i, steps, learner.rate)
    return learner


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def moved(learner, since: dict) -> float:
    return sum((p - since[name]).square().sum().item() for name, p in learner.model.named_parameters())


def test_naive_is_tuning_twice(sequence):
    model = copy.deepcopy(sequence.backbone)
    for pairs in sequence.pairs:
        tune(model, pairs, epochs=3 * 16 / 32, lr=RATES["full"])
    assert same(learnt("naive", sequence).model, model)


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_leaves_the_backbone_alone_and_learns(sequence, name):
    before = copy.deepcopy(sequence.backbone)
    learner = learnt(name, sequence)
    assert same(sequence.backbone, before)
    start = score_labels(before, TOKENIZER, PROMPTS, DATA[0].labels)
    assert not torch.allclose(learner.scores(PROMPTS, DATA[0].labels), start, atol=1e-3)


@pytest.mark.parametrize("name", ["l2sp", "ewc", "lwf", "replay"])
def test_the_first_task_is_learnt_as_if_nothing_were_to_be_kept(sequence, name):
    """Else a method that learns the first task badly could boast of having little to forget."""
    assert same(learnt(name, sequence, tasks=1).model, learnt("naive", sequence, tasks=1).model)
    assert not same(learnt(name, sequence).model, learnt("naive", sequence).model)


@pytest.mark.parametrize("name", ["l2sp", "ewc"])
def test_the_stronger_the_nearer_to_the_task_before(sequence, name):
    distances = []
    for strength in (0.0, 1.0, 1e3):
        first = learnt(name, sequence, tasks=1, strength=strength, examples=8)
        since = {key: p.detach().clone() for key, p in first.model.named_parameters()}
        first.learn(1, 6, first.rate)
        distances.append(moved(first, since))
    assert distances[0] > distances[1] > distances[2] > 0


def test_ewc_adds_up_the_fishers_of_all_tasks_alike(sequence):
    """Each divided by its mean: a task that is learnt well has hardly any, and would not be defended."""
    learner = learnt("ewc", sequence, examples=8)
    values = torch.cat([f.flatten() for f in learner.importance.values()])
    assert values.mean().item() == pytest.approx(2, rel=1e-3) and (values >= 0).all()
    last = fisher(learner.model, sequence.pairs[1][:8])
    mean = torch.cat([f.flatten() for f in last.values()]).mean()
    assert all((learner.importance[name] >= f / mean - 1e-4).all() for name, f in last.items())


def test_lwf_measures_answers_alone_against_those_after_the_last_task(sequence):
    """Nothing at first; then how far the model has gone from its teacher where an answer is written."""
    learner = learnt("lwf", sequence, tasks=1, strength=3.0)
    batch = next(iter(learner._batches(1)))
    assert learner._penalty(batch, answer_logits(learner.model, batch)).item() == pytest.approx(0, abs=1e-5)
    teacher = copy.deepcopy(learner.model)
    learner.learn(1, 3, learner.rate)
    learner.teacher = teacher
    asked = batch["labels"] != IGNORE
    now, before = (model(input_ids=batch["input_ids"]).logits[asked] for model in (learner.model, teacher))
    assert distillation(now, before) > 1e-3
    penalty = learner._penalty(batch, answer_logits(learner.model, batch))
    assert penalty.item() == pytest.approx(3 * distillation(now, before).item(), rel=0.02)  # bfloat16 against float32
    assert not any(p.grad is not None and p.grad.any() for p in teacher.parameters())


def test_replay_keeps_so_many_examples_and_mixes_them_in(sequence):
    learner = learnt("replay", sequence, size=8, tasks=1)
    batch = next(iter(learner._batches(1)))
    old = {tuple(pair[0].tolist()) for pair in learner.memory.kept}
    rows = [tuple(row.tolist()) for row in batch["input_ids"]]
    assert len(old) == 8 and sum(any(row[: len(o)] == o for o in old) for row in rows) == 8 and len(rows) == 16


def test_each_task_keeps_its_own_lora(sequence):
    """What is learnt later must not touch an earlier task's adapter."""
    learner = LoRAs(sequence)
    learner.learn(0, 3, learner.rate)
    first = {name: value.clone() for name, value in learner.adapters[0].items()}
    prompts, labels = [e.prompt for e in DATA[0].test], DATA[0].labels
    before = learner.scores(prompts, labels)
    learner.learn(1, 3, learner.rate)
    assert all(torch.equal(value, first[name]) for name, value in learner.adapters[0].items())
    assert any(not torch.equal(value, first[name]) for name, value in learner.adapters[1].items())
    learner._use(learner.adapters[0])
    torch.testing.assert_close(Naive.scores(learner, prompts, labels), before)
    route = learner.router.route(PROMPTS)
    for i, row in enumerate(learner.scores(PROMPTS, labels)):
        learner._use(learner.adapters[route[i]])
        torch.testing.assert_close(Naive.scores(learner, [PROMPTS[i]], labels)[0], row, atol=1e-2, rtol=1e-2)


def test_joint_draws_from_all_tasks_in_every_stage(sequence):
    rows = [tuple(row.tolist()) for batch in Joint(sequence)._batches(0) for row in batch["input_ids"]]
    assert len(rows) == sum(map(len, sequence.pairs))


def test_what_is_kept_is_counted(sequence):
    """In bytes: copies of the model for the penalties, tokens for replay, adapters and a small matrix for LoRA."""
    size = sum(p.nbytes for p in sequence.backbone.parameters())
    kept = {name: learnt(name, sequence, steps=1).kept_bytes for name in LEARNERS}
    assert kept["naive"] == 0 and kept["l2sp"] == kept["lwf"] == size and kept["ewc"] == 2 * size
    assert 0 < kept["replay"] <= kept["joint"] == sum(t.nbytes for task in sequence.pairs for p in task for t in p)
    assert kept["lora"] == 4 * (2 * 2 * 2 * 16 * (32 + 32) + 2 * 32 + 32 * 32)
    assert (L2SP(sequence).kept_bytes, EWC(sequence).kept_bytes, LwF(sequence).kept_bytes) == (0, 0, 0)
    assert Replay(sequence).kept_bytes == 0
