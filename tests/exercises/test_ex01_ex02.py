"""The exercises themselves: the reference is right, every known mistake is told by its name."""

import math
import re

import pytest
import torch

from labkit.exercises.checking import _call, examine
from labkit.exercises.compare import complaint
from labkit.exercises.exercise import exercises

EXERCISES = list(exercises().values())
MISTAKES = [pytest.param(e, m, id=f"{e.id}:{m.says[:40]}") for e in EXERCISES for m in e.mistakes]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_an_exercise_is_well_formed(exercise):
    """A mistake listed twice, or a topic under another notebook's number, would go unnoticed otherwise."""
    module = re.search(r"\.ex(\d\d)_", exercise.reference.__module__).group(1)
    assert exercise.id.startswith(f"{module}-")
    assert exercise.reference.__name__ == exercise.wants
    assert len(exercise.cases) >= 2 and len({m.says for m in exercise.mistakes}) >= 2


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_inputs_are_the_same_at_every_call(exercise):
    """Expected and returned are computed on separately made inputs."""
    for case in exercise.cases:
        assert complaint(case.make(), case.make()) is None


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_the_reference_passes_and_a_stub_is_met_kindly(exercise):
    def stub(*args):
        raise NotImplementedError(f"{exercise.id}: your turn")

    assert examine(exercise, exercise.reference)
    assert examine(exercise, stub).status == "not started"


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_every_known_mistake_fails_by_its_own_name(exercise, mistake):
    """Also: no mistake hides behind one that is listed before it."""
    verdict = examine(exercise, mistake.answer)
    assert (verdict.status, verdict.says, verdict.hint) == ("failed", mistake.says, mistake.hint)
    labels = [label for label, _ in verdict.details]
    assert labels == ["tried on", *exercise.parameters, "expected", "returned", "so"]


def _off(value):
    return tuple(_off(v) for v in value) if isinstance(value, tuple) else value + 7


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_an_unknown_mistake_gets_the_general_hint(exercise):
    verdict = examine(exercise, lambda *args: _off(exercise.reference(*args)))
    assert verdict.status == "failed" and verdict.hint == exercise.hint


# Solutions as a student would write them, independent of the references.


def causal_attention(q, k, v):
    scores = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5
    past = torch.tril(torch.ones(q.shape[1], q.shape[1]))
    scores = scores.masked_fill(past == 0, -1e9)
    weights = torch.exp(scores - scores.amax(-1, keepdim=True))
    return torch.einsum("bij,bjd->bid", weights / weights.sum(-1, keepdim=True), v)


def attention_by_loops(q, k, v):
    out = torch.zeros_like(v)
    for b in range(q.shape[0]):
        for i in range(q.shape[1]):
            scores = torch.stack([q[b, i] @ k[b, j] for j in range(i + 1)]) / math.sqrt(q.shape[2])
            out[b, i] = torch.softmax(scores, 0) @ v[b, : i + 1]
    return out


def count_parameters(n_layer, n_embd, vocab_size, block_size):
    attention = n_embd * 3 * n_embd + 3 * n_embd + n_embd * n_embd + n_embd
    mlp = n_embd * 4 * n_embd + 4 * n_embd + 4 * n_embd * n_embd + n_embd
    norm = 2 * n_embd
    return (vocab_size + block_size) * n_embd + n_layer * (attention + mlp + 2 * norm) + norm


def shift_targets(tokens):
    time = tokens.shape[1] - 1
    return tokens.narrow(1, 0, time).clone(), tokens.narrow(1, 1, time).clone()


def learning_rate(step, max_lr, warmup_steps, max_steps, min_lr):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    done = min(1.0, (step - warmup_steps) / (max_steps - warmup_steps))
    share = (1 + torch.cos(torch.tensor(math.pi * done))) / 2
    return share * max_lr + (1 - share) * min_lr


def bits_per_byte(loss, n_tokens, n_bytes):
    return torch.tensor(loss * n_tokens / n_bytes) * math.log2(math.e)


@pytest.mark.parametrize(
    ("id", "answer"),
    [
        ("01-causal-attention", causal_attention),
        ("01-causal-attention", attention_by_loops),
        ("01-count-parameters", count_parameters),
        ("02-shift-targets", shift_targets),
        ("02-learning-rate", learning_rate),
        ("02-bits-per-byte", bits_per_byte),
    ],
)
def test_right_answers_written_another_way_pass(id, answer):
    """Tolerances must allow fp32 in another order, -1e9 for -inf, and a number as a tensor."""
    verdict = examine(exercises()[id], answer)
    assert verdict, verdict


@pytest.mark.parametrize("size", [(1, 2, 3, 4), (2, 8, 10, 6), (12, 768, 50_257, 1_024)])
def test_parameter_counts_are_those_of_transformers(size):
    from transformers import GPT2Config, GPT2LMHeadModel

    n_layer, n_embd, vocab_size, block_size = size
    config = GPT2Config(n_layer=n_layer, n_embd=n_embd, vocab_size=vocab_size, n_positions=block_size, n_head=1)
    with torch.device("meta"):
        model = GPT2LMHeadModel(config)
    model.tie_weights()
    expected = sum(p.numel() for p in model.parameters())
    assert exercises()["01-count-parameters"].reference(*size) == expected
    if size[0] == 12:
        assert expected == 124_439_808


def test_the_first_attention_case_is_what_its_words_say():
    """Students check it by eye: row i is the mean of v's rows up to i."""
    exercise = exercises()["01-causal-attention"]
    _, _, v = exercise.cases[0].make()
    means = torch.stack([v[0, : i + 1].mean(0) for i in range(3)])[None]
    assert complaint(_call(exercise.reference, exercise.cases[0]), means) is None


def test_the_learning_rates_are_what_their_words_say():
    exercise = exercises()["02-learning-rate"]
    rates = [_call(exercise.reference, case) for case in exercise.cases]
    assert rates[:3] == pytest.approx([1e-4, 1e-3, 1e-3])
    assert rates[4] == pytest.approx((1e-3 + 1e-4) / 2)
    assert 1e-4 < rates[5] < 1.01e-4 and rates[6:] == [1e-4, 1e-4]


def test_the_bits_are_what_their_words_say():
    exercise = exercises()["02-bits-per-byte"]
    assert [_call(exercise.reference, c) for c in exercise.cases[:2]] == pytest.approx([1, 8])
