"""A row of the comparison must be measured on the model that it names, and alike for all."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from labkit.evaluation.classification import score
from labkit.models.adapters import METHODS, adapt
from labkit.models.freezing import trainable
from labkit.models.neo import new_neo
from labkit.tasks.labelled import Labelled
from labkit.tasks.pairs import IGNORE, causal
from labkit.tasks.synthetic_finance import synthetic_sentences
from labkit.training.compare_tuning import (
    LARGE_RATES,
    RATES,
    Task,
    macro_f1_interval,
    measure,
    prose_loss,
    rates,
    training_bytes,
    tunable,
    validation_loss,
)
from labkit.training.tuning import answer_logits, encode_examples
from labkit.zoo import train_tokenizer

DATA: Labelled = synthetic_sentences(32, 12)
PROSE = ["The board met in Rome and nothing else happened there .", "Reed said so ."]
TOKENIZER = train_tokenizer([e.prompt for e in DATA.train] + PROSE + list(DATA.labels))


@pytest.fixture
def task():
    torch.manual_seed(0)
    backbone = new_neo(len(TOKENIZER), 32, 2, 2, 128, window=16)
    pairs = encode_examples(TOKENIZER, DATA.train, DATA.labels, 100)
    return Task(backbone, TOKENIZER, DATA, pairs, DATA.test, PROSE, prose_loss(backbone, TOKENIZER, PROSE))


def test_every_method_has_a_rate_and_large_models_a_smaller_one(task):
    """At the small backbone's 1e-3 all of GPT-Neo 1.3B would be tuned fifty times as fast as its kind is in papers."""
    assert set(RATES) == set(LARGE_RATES) == set(METHODS)
    assert all(LARGE_RATES[method] <= RATES[method] for method in METHODS)
    with torch.device("meta"):
        large = torch.nn.Linear(10_000, 10_000)
    assert rates(task.backbone) == RATES and rates(large) == LARGE_RATES


@pytest.mark.parametrize("method", METHODS)
def test_a_row_is_of_its_method_and_leaves_the_backbone_alone(task, method, tmp_path):
    """The next method would begin with what this one changed."""
    before = copy.deepcopy(task.backbone.state_dict())
    outcome = measure(task, method, steps=2, folder=tmp_path)
    row = outcome.row
    assert all(torch.equal(before[name], value) for name, value in task.backbone.state_dict().items())
    assert row["trainable"] == trainable(outcome.model)[0] and len(outcome.losses) == 2
    assert row["low"] <= row["accuracy"] <= row["high"] and row["f1_low"] <= row["macro_f1"] <= row["f1_high"]
    assert row["comes_off"] == (method not in ("full", "top_layers", "bitfit"))
    assert row["disk_kb"] * 1e3 >= 4 * row["trainable"]


@pytest.mark.parametrize("method", METHODS)
def test_the_answers_logits_are_those_among_all(task, method):
    """They are made at the answers' places alone, through whatever wraps the backbone. With AMX scores are in bf16."""
    model, batch = tunable(task, method).double().eval(), causal(task.pairs[:5], pad_id=0)
    every = model(input_ids=batch["input_ids"]).logits[batch["labels"] != IGNORE]
    torch.testing.assert_close(answer_logits(model, batch), every.float(), rtol=0, atol=2e-3)


def test_forgetting_is_nothing_before_the_first_change(task):
    for method in ("lora", "bottleneck", "full"):  # these begin as the backbone
        assert prose_loss(tunable(task, method), TOKENIZER, PROSE) == pytest.approx(task.before, rel=1e-5)


def test_the_loss_of_prose_does_not_depend_on_padding(task):
    alone = [prose_loss(task.backbone, TOKENIZER, [text]) for text in PROSE]
    tokens = [len(TOKENIZER(text)["input_ids"]) - 1 for text in PROSE]
    assert task.before == pytest.approx(np.average(alone, weights=tokens), rel=1e-4)
    ids = torch.tensor([TOKENIZER(PROSE[0])["input_ids"]])
    logits = task.backbone(input_ids=ids).logits[0, :-1]
    assert alone[0] == pytest.approx(F.cross_entropy(logits, ids[0, 1:]).item(), rel=1e-4)


def test_memory_counts_gradients_and_averages_of_what_is_trained(task):
    """All else equal, a number that is trained costs three more of its size."""
    batch = causal(task.pairs[:4], pad_id=0)
    model = adapt(copy.deepcopy(task.backbone), "full")
    whole = training_bytes(model, batch)
    weight = model.transformer.h[0].mlp.c_fc.bias
    weight.requires_grad_(False)
    assert whole - training_bytes(model, batch) == 3 * 4 * weight.numel()


def test_memory_grows_with_the_batch_and_nothing_is_left_behind(task):
    model = adapt(copy.deepcopy(task.backbone), "lora")
    small, large = (training_bytes(model, causal(task.pairs[:n], pad_id=0)) for n in (2, 8))
    assert small < large and not model.training
    assert all(p.grad is None for p in model.parameters())


def test_validation_loss_sees_what_was_tuned(task):
    model = tunable(task, "full")
    before = validation_loss(task, model, 8)
    with torch.no_grad():
        model.transformer.ln_f.weight.mul_(3)
    assert validation_loss(task, model, 8) != pytest.approx(before)


def test_the_interval_of_macro_f1_is_around_it():
    g = np.random.default_rng(0)
    truth = g.integers(3, size=200)
    predicted = np.where(g.random(200) < 0.8, truth, g.integers(3, size=200))
    found = score(list(truth), list(predicted), 3).macro_f1
    low, high = macro_f1_interval(truth, predicted, 3)
    assert low < found < high and 0.05 < high - low < 0.2
    assert macro_f1_interval(truth, truth, 3) == (1.0, 1.0)


def test_the_same_seed_gives_the_same_row(task, tmp_path):
    same = [measure(task, "lora", 2, tmp_path, seed=seed).losses for seed in (0, 0, 1)]
    assert same[0] == same[1] != same[2]
