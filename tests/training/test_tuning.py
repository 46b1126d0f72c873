"""What is tuned must learn to answer, and nothing else."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch

from labkit.evaluation.labels import read_answer, score_labels, write_answer
from labkit.models.adapters import METHODS, adapt
from labkit.models.neo import new_neo
from labkit.profile import LabError
from labkit.tasks.pairs import causal
from labkit.tasks.sentiment import LABELS, Sentence
from labkit.training.tuning import answer_loss, encode_examples, tune
from labkit.zoo import train_tokenizer

TEXTS = ["Profit rose .", "Profit fell .", "Sales rose sharply .", "Losses rose .", "Debt fell .", "The board met ."]
EXAMPLES = [Sentence(text, i % 3, 100) for i, text in enumerate(TEXTS)]
TOKENIZER = train_tokenizer([e.prompt + " " + LABELS[e.label] for e in EXAMPLES] * 3)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return new_neo(len(TOKENIZER), 32, 2, 2, 64, window=16)


def test_the_loss_is_that_of_the_answers_tokens(model):
    """Asked for the prompt's tokens too, a model learns to write prompts."""
    pairs = encode_examples(TOKENIZER, EXAMPLES[:2], LABELS, max_tokens=64)
    loss = answer_loss(model, causal(pairs, pad_id=0)).item()
    alone, count = 0.0, 0
    for prompt, answer in pairs:
        labels = torch.cat([torch.full_like(prompt, -100), answer])[None]
        alone += model(input_ids=torch.cat([prompt, answer])[None], labels=labels).loss.item() * len(answer)
        count += len(answer)
    assert loss == pytest.approx(alone / count, rel=2e-2)  # bf16 where the machine has it


def test_a_model_that_has_learnt_gives_the_same_answers_in_both_ways(model):
    pairs = encode_examples(TOKENIZER, EXAMPLES, LABELS, max_tokens=64)
    rows = tune(model, pairs, epochs=150, lr=1e-2, batch_size=6)
    prompts = [e.prompt for e in EXAMPLES]
    scored = score_labels(model, TOKENIZER, prompts, LABELS).argmax(1).tolist()
    written = [read_answer(write_answer(model, TOKENIZER, prompt), LABELS) for prompt in prompts]
    assert rows[-1]["loss"] < 0.05 and scored == written == [e.label for e in EXAMPLES]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_through_the_same_loop(model, method):
    before = copy.deepcopy(model.state_dict())
    tuned = adapt(model, method)
    pairs = encode_examples(TOKENIZER, EXAMPLES, LABELS, max_tokens=64)
    rows = tune(tuned, pairs, epochs=8, lr=1e-2, batch_size=6, evaluate=lambda: {"x": 1.0}, evaluations=2)
    assert rows[-1]["loss"] < rows[0]["loss"] and sum("x" in row for row in rows) == 2
    if method != "full":
        frozen = [name for name, p in model.named_parameters() if not p.requires_grad and name in before]
        assert frozen and all(torch.equal(model.get_parameter(name), before[name]) for name in frozen)


def test_a_prompt_that_is_too_long_is_refused_not_cut():
    with pytest.raises(LabError, match=r"longer context.*Sales rose"):
        encode_examples(TOKENIZER, EXAMPLES[2:3], LABELS, max_tokens=8)


def test_the_same_seed_trains_the_same_model(model):
    pairs = encode_examples(TOKENIZER, EXAMPLES, LABELS, max_tokens=64)
    run = partial(tune, pairs=pairs, epochs=2, lr=1e-3, batch_size=2)
    losses = [[row["loss"] for row in run(copy.deepcopy(model), seed=seed)] for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
