"""Two steps of a part at real size, with random weights and short rows: all of it must run, and be what it should.

Checked are the numbers of parameters, that the loss is one number, that two steps move what is trained and nothing
else, and that what is saved and loaded again gives the same loss to the last bit. On a CPU a model of over a billion
parameters is in bf16, so that full fine-tuning, with its gradients and averages, fits into 24 GB.
"""

from __future__ import annotations

import contextlib
import gc
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from labkit.evaluation.generate import generate
from labkit.evaluation.seq2seq import write
from labkit.models.adapters import load_adapter, save_adapter
from labkit.models.fast import FastLoss
from labkit.preflight.parts import Batch, Part
from labkit.profile import LabError, pick_device
from labkit.training.checkpoint import load_checkpoint, save_checkpoint
from labkit.training.finetune import finetune
from labkit.training.recipes import RECIPES

ROWS, TOKENS, STEPS, LR = 2, 32, 2, 1e-3
LARGE = 1e9  # parameters
TILE = 1_048_573


def rehearse(part: Part) -> dict[str, object]:
    """Run `part` as above; what was found, as a row of a table. Raises `LabError` for the first thing that is wrong."""
    began = time.perf_counter()
    device = pick_device()
    with _dtype(torch.bfloat16 if device.type == "cpu" and part.parameters > LARGE else torch.float32):
        model = _begin(part)
        _expect(part, "parameters", sum(p.numel() for p in model.parameters()), part.parameters)
        model = part.tunable(model, saved=True).to(device)
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        _expect(part, "trained parameters", sum(p.numel() for p in trained.values()), part.n_trained)
        batch = {name: tensor.to(device) for name, tensor in part.batch(ROWS, TOKENS).items()}
        before = {name: _some(p) for name, p in model.named_parameters()}
        losses = LOOPS[part.by](part, model, batch)
        _expect(part, "losses that are numbers", sum(map(math.isfinite, losses)), STEPS)
        moved = {name for name, p in model.named_parameters() if not torch.equal(_some(p), before[name])}
        _expect(part, "frozen numbers that moved", sorted(moved - set(trained)), [])
        _expect(part, "trained matrices that stayed", sorted(_matrices(trained) - moved), [])
        del before, trained
        with torch.no_grad():
            model.eval()
            loss = part.loss(model, batch)
            _expect(part, "the loss's shape", tuple(loss.shape), ())
            with tempfile.TemporaryDirectory() as folder:
                again = _there_and_back(part, model, Path(folder))
                del model
                gc.collect()
                after = part.loss(again().to(device).eval(), batch)
                _expect(part, "the loss after saving and loading", after.item(), loss.item())
    gc.collect()
    return {"part": part.name, "parameters": part.parameters, "trained": part.n_trained,
            "loss": losses[0], "then": losses[-1], "seconds": time.perf_counter() - began}  # fmt: skip


def _begin(part: Part) -> nn.Module:
    """The part's model, the same each time, from few random numbers that are said again and again.

    Drawing 1.3 billion takes half a minute. The tile's length is a prime, so that no two rows of a matrix are alike.
    """
    from transformers.initialization import no_init_weights

    torch.manual_seed(0)
    with no_init_weights():
        model = part.start()
    if hasattr(model, "tie_weights"):  # left out, too
        model.tie_weights()
    tile = 0.02 * torch.randn(TILE)
    for name, p in model.named_parameters():
        if p.dim() > 1:
            tile = tile.roll(7919)  # or queries would be keys, and see nothing but themselves
            for some in p.data.view(-1).split(TILE):
                some.copy_(tile[: len(some)])
        else:  # norms and biases, which begin as they always do
            p.data.fill_(float(name.endswith("weight")))
    return model


def _finetuned(part: Part, model: nn.Module, batch: Batch) -> list[float]:
    return [row["loss"] for row in finetune(model, partial(part.loss, model), [batch], STEPS, LR)]


def _pretrained(part: Part, model: nn.Module, batch: Batch) -> list[float]:
    """By the default recipe's optimisers, each with its state."""
    trunk = model.model  # FastLoss's GPT-2, Qwen's decoder
    optimizers, losses = RECIPES["default"].optimizers(trunk, LR), []
    for _ in range(STEPS):
        loss = part.loss(model.train(), batch)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    return losses


def _written(part: Part, model: nn.Module, batch: Batch) -> list[float]:
    """Nothing is trained: a few tokens for each row."""
    ids = batch["input_ids"]
    if isinstance(model, FastLoss):
        new = generate(model.model, ids, TOKENS)[:, ids.shape[1] :]
    else:
        new = write(model, ids, batch["attention_mask"], max_new_tokens=TOKENS, eos_bias=-1e9)
    _expect(part, "the shape of what it writes", tuple(new.shape), (ROWS, TOKENS))
    with torch.no_grad():
        return [part.loss(model, batch).item()] * STEPS


LOOPS = {"finetune": _finetuned, "pretrain": _pretrained, "write": _written}


def _there_and_back(part: Part, model: nn.Module, folder: Path) -> Callable[[], nn.Module]:
    """Save what was trained; returns what loads it, so that two models needn't be in memory at once."""
    if part.method:
        save_adapter(model, folder)
        return lambda: load_adapter(_begin(part), folder)
    if isinstance(model, FastLoss):  # the course's own checkpoints
        save_checkpoint(folder / "model.pt", {"model": model.state_dict()})

        def again() -> nn.Module:
            fresh = part.start()
            fresh.load_state_dict(load_checkpoint(folder / "model.pt")["model"])
            return fresh

        return again
    model.save_pretrained(folder)
    kind = type(model)
    return lambda: kind.from_pretrained(folder, dtype=torch.get_default_dtype())


def _some(p: Tensor) -> Tensor:
    """Some of its numbers, enough to see it move."""
    return p.detach().flatten()[:: max(1, p.numel() // 1000)].clone()


def _matrices(trained: dict[str, nn.Parameter]) -> set[str]:
    return {name for name, p in trained.items() if p.dim() > 1}


def _expect(part: Part, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise LabError(f"{part.name}: {what}: {found}, where {expected} was expected. Don't start the run; mend that")


@contextlib.contextmanager
def _dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
