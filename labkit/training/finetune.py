"""Fine-tuning: a plain loop over batches, for any model that gives a loss.

    rows = finetune(model, lambda batch: model(**batch).loss, loader, steps=600, lr=3e-3)

AdamW, warm-up and linear decay to 0, gradients clipped to norm 1. No checkpoints: what runs here takes minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from labkit.profile import LabError
from labkit.training.recipes import BETAS

Batch = dict[str, Tensor]


class Diverged(LabError):
    """The loss is no longer a number; `rows` is the log up to there."""

    def __init__(self, step: int, rows: list[dict[str, Any]]) -> None:
        loss = rows[-1]["loss"]
        super().__init__(f"the loss is {loss} at step {step}: lower the learning rate, or train in bf16 or fp32")
        self.rows = rows


def finetune(
    model: nn.Module,
    loss_of: Callable[[Batch], Tensor],
    loader: Iterable[Batch],
    steps: int,
    lr: float,
    warmup_steps: int = 0,
    weight_decay: float = 0.01,
    evaluate: Callable[[], dict[str, float]] | None = None,
    eval_every: int = 0,
    stop: Callable[[list[dict[str, Any]]], bool] | None = None,
) -> list[dict[str, Any]]:
    """Take `steps` steps, epoch after epoch of `loader`; a row a step with `loss` (nats a token), `lr`, `grad_norm`.

    `evaluate` is asked every `eval_every` steps and at the end; its numbers join that step's row, and if `stop`, given
    all rows so far, says so, that step was the last (`early_stopping`). The model is in training mode for the steps and
    left in evaluation mode; batches are moved to where it is. Raises `Diverged` at the first loss that isn't finite.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr, BETAS, weight_decay=weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: linear(step, warmup_steps, steps))
    device = next(model.parameters()).device
    rows: list[dict[str, Any]] = []
    bar = tqdm(zip(range(1, steps + 1), epochs(loader), strict=False), total=steps, desc="fine-tuning", leave=False)
    for step, batch in bar:
        model.train()
        loss = loss_of({name: tensor.to(device) for name, tensor in batch.items()})
        rows.append({"step": step, "loss": loss.item(), "lr": schedule.get_last_lr()[0]})
        if not math.isfinite(rows[-1]["loss"]):
            raise Diverged(step, rows)
        loss.backward()
        rows[-1]["grad_norm"] = nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        bar.set_postfix(loss=f"{rows[-1]['loss']:.3f}", refresh=False)
        if evaluate and (step == steps or (eval_every and step % eval_every == 0)):
            model.eval()
            rows[-1] |= evaluate()
            if stop and stop(rows):
                break
    model.eval()
    return rows


def epochs(loader: Iterable[Batch]) -> Iterator[Batch]:
    """The batches of `loader`, from the start again when it ends. Raises `LabError` if it has none."""
    while True:
        some = False
        for batch in loader:
            some = True
            yield batch
        if not some:
            raise LabError("there is nothing to train on: the data are fewer than one batch")


def linear(step: int, warmup_steps: int, max_steps: int) -> float:
    """The share of the maximum learning rate at `step`: up in a line, then down to 0 at `max_steps`."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return (max_steps - step) / max(1, max_steps - warmup_steps)
