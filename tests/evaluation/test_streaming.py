"""Reduced, an evaluation must say what it said with all logits kept, and keep next to nothing."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from transformers import EvalPrediction, Trainer, TrainingArguments

from labkit.evaluation.streaming import (
    evaluate_tokens,
    memory,
    naive_scores,
    reduce_for_trainer,
    reduce_logits,
    scores,
    token_scores,
)
from labkit.models.qwen import new_qwen
from labkit.tasks.pairs import IGNORE, causal

V = 11


def model():
    torch.manual_seed(0)
    return new_qwen(V, 16, 1, 2, 1, 16)


def pairs():
    generator = torch.Generator().manual_seed(0)
    sizes = [(2 + i % 3, 1 + i % 6) for i in range(30)]
    return [tuple(torch.randint(V, (n,), generator=generator) for n in size) for size in sizes]


def by_trainer(tmp_path, reduced: bool, batch_size: int = 4) -> dict[str, float]:
    """The scores of a real `Trainer`, for rows of labels that aren't shifted, with prompts and padding left out."""
    rows = []
    for prompt, target in pairs():
        labels = torch.cat([torch.full_like(prompt, IGNORE), target])
        labels, ids = (
            F.pad(x, (0, 10 - len(x)), value=v) for x, v in ((labels, IGNORE), (torch.cat([prompt, target]), 0))
        )
        rows.append({"input_ids": ids, "labels": labels})
    arguments = TrainingArguments(
        tmp_path, per_device_eval_batch_size=batch_size, report_to="none", use_cpu=True, disable_tqdm=True
    )
    trainer = Trainer(
        model(), arguments, eval_dataset=rows, compute_metrics=token_scores if reduced else naive_scores,
        preprocess_logits_for_metrics=reduce_for_trainer if reduced else None,
    )  # fmt: skip
    found = trainer.evaluate()
    return {name: found[f"eval_{name}"] for name in ("token_loss", "token_accuracy")}


def test_three_ways_one_number(tmp_path):
    """`Trainer` with all logits, `Trainer` with ids, and the plain loop, to the last digit and in any batches."""
    naive = by_trainer(tmp_path, False)
    assert by_trainer(tmp_path, True) == by_trainer(tmp_path, True, 7) == naive
    for size in (1, 4, 30):
        batches = [causal(pairs()[i : i + size], 0) for i in range(0, 30, size)]
        found = evaluate_tokens(model(), batches)
        assert found["token_accuracy"] == naive["token_accuracy"] > 0
        assert found["token_loss"] == pytest.approx(naive["token_loss"], rel=1e-6)  # other shapes of matrix products


def test_the_loss_is_the_cross_entropy_and_the_order_of_batches_is_nothing():
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(6, 9, V, generator=generator)
    labels = torch.randint(V, (6, 9), generator=generator)
    labels[:, 5:] = IGNORE
    found = scores(*reduce_logits(logits, labels), labels)
    assert found["token_loss"] == pytest.approx(F.cross_entropy(logits.flatten(0, 1), labels.flatten()).item())
    hits = (logits.argmax(-1) == labels)[labels != IGNORE]
    assert found["token_accuracy"] == hits.double().mean().item()
    other = torch.randperm(6)
    assert scores(*reduce_logits(logits[other], labels[other]), labels[other]) == found


def test_by_hand():
    """One token with a chance of 3/4, and right; one with 1/4, and wrong; one that isn't asked for."""
    logits = torch.tensor([[3.0, 1.0], [3.0, 1.0], [3.0, 1.0]]).log()[None]
    labels = torch.tensor([[0, 1, IGNORE]])
    found = scores(*reduce_logits(logits, labels), labels)
    assert found == {"token_loss": pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2), "token_accuracy": 0.5}


def test_trainer_s_labels_are_shifted_once():
    """A model that copies its input is always wrong about the next token, and right about this one."""
    ids = torch.tensor([[1, 2, 3, 4]])
    copies = EvalPrediction(predictions=(10.0 * F.one_hot(ids, V)).numpy(), label_ids=ids.numpy())
    knows = SimpleNamespace(predictions=(10.0 * F.one_hot(ids.roll(-1), V)).numpy(), label_ids=ids.numpy())
    assert naive_scores(copies)["token_accuracy"] == 0 and naive_scores(knows)["token_accuracy"] == 1


def test_half_precision_is_summed_in_full():
    logits, labels = torch.randn(1, 4, V).bfloat16(), torch.randint(V, (1, 4))
    assert reduce_logits(logits, labels)[1].dtype == torch.float32


def test_the_bytes_kept_are_counted_and_a_real_process_grows_less():
    """Four bytes a word of the vocabulary against twelve a place, one place a row fewer."""
    rows = memory(n_batches=48, batch_size=2, length=32, vocab_size=8192)
    assert rows["logits"]["kept_bytes"] == 48 * 2 * 32 * 8192 * 4
    assert rows["ids"]["kept_bytes"] == 48 * 2 * 31 * (8 + 4)
    assert rows["logits"]["scores"] == rows["ids"]["scores"]
    assert rows["logits"]["peak_bytes"] > rows["logits"]["kept_bytes"] > 2 * rows["ids"]["peak_bytes"] > 0
