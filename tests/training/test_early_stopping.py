"""Early stopping: it must stop when it says, and what is left must be the best, not the last."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from labkit.training.early_stopping import EarlyStopping
from labkit.training.finetune import finetune


def run(losses, patience, steps=None):
    """A training whose validation losses are planted; every step changes the model."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    stopper = EarlyStopping(model, patience)
    values, states = iter(losses), {0: copy.deepcopy(model.state_dict())}

    def evaluate():
        states[len(states)] = copy.deepcopy(model.state_dict())
        return {"val_loss": next(values)}

    batches = [{"x": torch.randn(4, 2)}]
    steps = steps or len(losses)
    rows = finetune(model, lambda b: model(b["x"]).square().mean() - model(b["x"]).sum(), batches, steps, 0.1,
                    evaluate=evaluate, eval_every=1, stop=stopper)  # fmt: skip
    return model, stopper, rows, states


@pytest.mark.parametrize(
    ("losses", "patience", "last", "best"),
    [
        ([3, 2, 2.5, 2.4, 1], 2, 4, 2),  # the 1 is never seen
        ([3, 2, 2.5, 1, 1.5, 1.2], 2, 6, 4),  # a better one starts the count anew
        ([3, 2, 2, 2, 1], 2, 4, 2),  # equal is no better
        ([4, 3, 2, 1], 1, 4, 4),  # never stopped
        ([float("nan"), float("nan"), 1], 2, 2, 0),  # no number is no progress
    ],
)
def test_it_stops_after_so_many_evaluations_that_were_not_the_best(losses, patience, last, best):
    model, stopper, rows, states = run(losses, patience)
    assert (len(rows), stopper.best_step) == (last, best)
    stopper.restore()
    for name, value in states[best].items():
        assert torch.equal(model.state_dict()[name], value), "what is left isn't the best"
    if last > best:
        assert not torch.equal(model[1].weight, states[last]["1.weight"])


def test_only_what_is_trained_is_kept():
    """An adapter's copy must cost what the adapter costs, not what the backbone does."""
    _, stopper, _, _ = run([1.0], 1)
    assert list(stopper.kept) == ["1.weight", "1.bias"]


def test_without_a_stop_a_run_goes_to_its_end_whatever_the_patience():
    _, stopper, rows, _ = run([1.0, 2, 3, 4, 5], float("inf"))
    assert len(rows) == 5 and stopper.best_step == 1
