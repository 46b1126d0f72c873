"""The loop that every fine-tuning lesson uses: what it reports must be what happened."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from labkit.profile import LabError
from labkit.tasks.pairs import IGNORE
from labkit.training.finetune import Diverged, backward, epochs, finetune, linear


def regression(seed: int = 0):
    torch.manual_seed(seed)
    model, target = nn.Linear(4, 1), nn.Linear(4, 1)
    x = torch.randn(64, 4)
    batches = [{"x": part, "y": target(part).detach()} for part in x.split(16)]
    return model, batches, lambda batch: (model(batch["x"]) - batch["y"]).square().mean()


def test_the_loss_falls_and_every_step_has_a_row():
    model, batches, loss_of = regression()
    rows = finetune(model, loss_of, batches, steps=100, lr=0.05, warmup_steps=5)
    assert [row["step"] for row in rows] == list(range(1, 101))
    assert rows[-1]["loss"] < 0.1 * rows[0]["loss"] and not model.training
    assert rows[0]["lr"] == pytest.approx(0.01) and max(row["lr"] for row in rows) == pytest.approx(0.05)


def test_steps_are_those_of_adamw_with_clipping():
    """Parity with the loop written out."""
    model, batches, loss_of = regression()
    finetune(model, loss_of, batches, steps=6, lr=0.05, warmup_steps=2, weight_decay=0.1)
    other, batches, _ = regression()
    optimizer = torch.optim.AdamW(other.parameters(), 0.05, (0.9, 0.95), weight_decay=0.1)
    for step in range(6):
        optimizer.param_groups[0]["lr"] = 0.05 * linear(step, 2, 6)
        batch = batches[step % 4]
        optimizer.zero_grad()
        (other(batch["x"]) - batch["y"]).square().mean().backward()
        nn.utils.clip_grad_norm_(other.parameters(), 1.0)
        optimizer.step()
    torch.testing.assert_close(model.weight, other.weight)


def test_evaluations_come_when_asked_and_at_the_end_in_evaluation_mode():
    model, batches, loss_of = regression()
    rows = finetune(model, loss_of, batches, 10, 0.01, evaluate=lambda: {"training": model.training}, eval_every=4)
    assert {row["step"]: row["training"] for row in rows if "training" in row} == {4: False, 8: False, 10: False}


def test_a_diverged_run_stops_and_keeps_its_log():
    model, batches, loss_of = regression()
    calls = iter(range(100))

    def breaks(batch):
        return loss_of(batch) * (math.nan if next(calls) == 3 else 1)

    with pytest.raises(Diverged, match="step 4: lower the learning rate") as caught:
        finetune(model, breaks, batches, 10, 0.01)
    assert len(caught.value.rows) == 4 and math.isnan(caught.value.rows[-1]["loss"])
    assert model.weight.isfinite().all()  # the step that was not a number was not taken


def test_no_data_is_said():
    with pytest.raises(LabError, match="nothing to train on"):
        next(epochs([]))


def test_the_rate_goes_up_and_down_to_nothing():
    rates = [linear(step, 10, 50) for step in range(50)]
    assert rates[0] == 0.1 and max(rates) == 1.0 and rates[-1] == pytest.approx(1 / 40) and linear(50, 10, 50) == 0


def tagging(seed: int = 0):
    """A model, and rows of which some are asked for much and one for a single label."""
    torch.manual_seed(seed)
    model, labels = nn.Linear(4, 3), torch.randint(3, (6, 5))
    labels[0, 1:], labels[4, 2:] = IGNORE, IGNORE
    batch = {"input_ids": torch.randn(6, 5, 4), "labels": labels}

    def loss_of(some):
        return nn.functional.cross_entropy(model(some["input_ids"]).flatten(0, 1), some["labels"].flatten())

    return model, batch, loss_of


@pytest.mark.parametrize("pieces", [2, 3, 4, 6])
def test_a_batch_in_pieces_has_the_gradient_of_the_whole(pieces):
    """The mean of the pieces' means would weigh a short answer as a long one."""
    model, batch, loss_of = tagging()
    whole, _ = backward(model, loss_of, batch)
    gradient = model.weight.grad.clone()
    model.zero_grad()
    loss, _ = backward(model, loss_of, batch, pieces)
    assert loss == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(model.weight.grad, gradient)
    mean_of_means = sum(loss_of({n: t[i : i + 1] for n, t in batch.items()}).item() for i in range(6)) / 6
    assert abs(mean_of_means - whole) > 1e-3  # so that this test can fail


def test_a_batch_too_large_for_memory_is_taken_in_pieces():
    """Else a smaller GPU than the authors' would end a run that it could do."""
    model, batch, loss_of = tagging()
    backward(model, loss_of, batch)
    gradient = model.weight.grad.clone()
    model.zero_grad()
    seen = []

    def little_memory(some):
        seen.append(len(some["labels"]))
        if seen[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return loss_of(some)

    _, pieces = backward(model, little_memory, batch)
    torch.testing.assert_close(model.weight.grad, gradient)
    assert pieces == 4 and seen == [6, 3, 2, 2, 2]


def test_a_row_too_large_for_memory_is_an_error_with_a_remedy():
    model, batch, _ = tagging()

    def no_memory(some):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with pytest.raises(LabError, match="CUDA out of memory, for one row of a batch: take shorter texts"):
        backward(model, no_memory, batch)
