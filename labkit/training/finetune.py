"""Fine-tuning: a plain loop over batches, for any model that gives a loss.

    rows = finetune(model, lambda batch: model(**batch).loss, loader, steps=600, lr=3e-3)

AdamW, warm-up and linear decay to 0, gradients clipped to norm 1. No checkpoints: what runs here takes minutes.

On a GPU weights in fp32 are multiplied in bf16, and a batch that its memory can't hold is taken in pieces, halved until
they fit: the gradient is the same, since each piece counts by its labels, not as one of so many.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from labkit.profile import LabError, autocast
from labkit.tasks.pairs import IGNORE
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
    pieces = 1
    bar = tqdm(zip(range(1, steps + 1), epochs(loader), strict=False), total=steps, desc="fine-tuning", leave=False)
    for step, batch in bar:
        model.train()
        loss, pieces = backward(model, loss_of, {name: tensor.to(device) for name, tensor in batch.items()}, pieces)
        rows.append({"step": step, "loss": loss, "lr": schedule.get_last_lr()[0]})
        if not math.isfinite(loss):
            raise Diverged(step, rows)
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


def backward(model: nn.Module, loss_of: Callable[[Batch], Tensor], batch: Batch, pieces: int = 1) -> tuple[float, int]:
    """Accumulate the gradient of `batch`'s loss over `pieces` of it, twice as many as long as memory runs out.

    Returns the loss and the pieces it took, to begin with in the next step. Raises `LabError` if a single row is too
    large. A loss that is no number is returned as it is.
    """
    n = len(next(iter(batch.values())))
    while True:
        try:
            return sum(_piece(model, loss_of, piece, share) for piece, share in _cut(batch, pieces)), pieces
        except torch.OutOfMemoryError as error:
            if dist.is_initialized():  # the others would wait for ever for a piece that they don't know of
                raise
            why = str(error).split(".")[0]
        model.zero_grad(set_to_none=True)  # here the error is gone, and with it what its frames held
        torch.cuda.empty_cache()
        if pieces >= n:
            raise LabError(f"{why}, for one row of a batch: take shorter texts, a smaller model or a larger GPU")
        pieces *= 2


def _piece(model: nn.Module, loss_of: Callable[[Batch], Tensor], piece: Batch, share: float) -> float:
    with mixed_precision(model):
        loss = loss_of(piece) * share
    loss.backward()
    return loss.item()


def mixed_precision(model: nn.Module) -> contextlib.AbstractContextManager[object]:
    """Autocast for fp32 weights on a GPU; on CPUs models are small, and their rates were tried in fp32."""
    p = next(model.parameters())
    return autocast(p.device) if p.device.type == "cuda" and p.dtype == torch.float32 else contextlib.nullcontext()


def _cut(batch: Batch, pieces: int) -> Iterator[tuple[Batch, float]]:
    """The batch in pieces of its rows, each with its share of the labels (of the rows, if there are none)."""
    n = len(next(iter(batch.values())))
    asked = (batch["labels"] != IGNORE).flatten(1).sum(1) if "labels" in batch else torch.ones(n)
    for rows in torch.arange(n).chunk(pieces):
        some = slice(int(rows[0]), int(rows[-1]) + 1)
        share = 1.0 if pieces == 1 else (asked[some].sum() / asked.sum()).item()
        if share:  # a piece that nothing is asked of has no mean loss
            yield {name: tensor[some] for name, tensor in batch.items()}, share


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
