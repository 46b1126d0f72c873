"""How a loss can be twice another while the texts are as good: three ways, to be measured on any model.

    rescaled_losses(model, batches, [0.25, 0.5, 1, 2, 4])
    with temperature(model, 0.25):
        texts = complete(model, tokenizer, prompts, 96)           # what it writes at 1
    losses_by_part(model, pairs, pad_id, width=128)               # of prompts, targets, padding

The Novel-GPT reports a loss of 5.80 for a model fully tuned, 2.27 and 2.62 for two with LoRA, and much the same ROUGE
for all three. What happened there can't be known; this is what can do it.

- **Confidence.** Greedy writing asks which word is likeliest, the loss also by how much. Divide the logits by a
  temperature (Guo et al. 2017, "On calibration of modern neural networks"), and no text changes, while the loss can be
  anything above its best. A model that is trained for too long grows too sure; a temperature mends its loss.
- **Scale.** The head of the model with 5.80 divides each row of its matrix by its length. Where training and measuring
  disagree on that, each word has a temperature of its own, its row's length: `temperature` takes those, too. Then texts
  do change, but not for the worse by as much as the loss.
- **What is counted.** A mean over prompt and padding, too, is a mean over what nobody trained the model to predict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.tasks.pairs import IGNORE, Pair

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH = 32  # rows


@torch.inference_mode()
def rescaled_losses(
    model: nn.Module, batches: Iterable[dict[str, Tensor]], temperatures: Sequence[float]
) -> list[float]:
    """The loss (nats a token) at each temperature, in one pass over the batches, which are `pairs.causal`'s.

    At 1 it is the model's own; below, the model is surer of itself. Raises `ZeroDivisionError` for no batches.
    """
    device = next(model.parameters()).device
    totals, n = [0.0] * len(temperatures), 0
    for batch in batches:
        labels = batch["labels"].to(device)
        asked = labels != IGNORE
        logits = model(input_ids=batch["input_ids"].to(device)).logits[asked].float()
        for i, t in enumerate(temperatures):
            totals[i] += F.cross_entropy(logits / t, labels[asked], reduction="sum").item()
        n += len(logits)
    return [total / n for total in totals]


@contextmanager
def temperature(model: PreTrainedModel, t: float | Tensor) -> Iterator[None]:
    """Within, the model's logits are divided by `t`, a number or one for each word, whoever asks for them."""
    hook = model.get_output_embeddings().register_forward_hook(lambda head, inputs, logits: logits / t)
    try:
        yield
    finally:
        hook.remove()


class Part(NamedTuple):
    """Some of the tokens: their loss (nats a token), and how many they are."""

    loss: float
    tokens: int


@torch.inference_mode()
def losses_by_part(model: nn.Module, pairs: Sequence[Pair], pad_id: int, width: int) -> dict[str, Part]:
    """The loss on "prompt", "target" and "padding", which fills each row up to `width` tokens.

    A row's first token is predicted by nothing and isn't counted; a part without tokens is left out.
    Raises `ValueError` for a row longer than `width`.
    """
    device = next(model.parameters()).device
    nats: dict[str, list[Tensor]] = {"prompt": [], "target": [], "padding": []}
    for i in range(0, len(pairs), BATCH):
        some = pairs[i : i + BATCH]
        if max(len(prompt) + len(target) for prompt, target in some) > width:
            raise ValueError(f"a prompt and its target are longer than {width} tokens")
        rows = torch.full((len(some), width), pad_id)
        for row, pair in zip(rows, some, strict=True):
            row[: len(pair[0]) + len(pair[1])] = torch.cat(pair)
        logits = model(input_ids=rows[:, :-1].to(device)).logits.float()
        found = F.cross_entropy(logits.mT, rows[:, 1:].to(device), reduction="none").cpu()
        for row, (prompt, target) in zip(found, some, strict=True):
            parts = row.split([len(prompt) - 1, len(target), width - len(prompt) - len(target)])
            for name, part in zip(nats, parts, strict=True):
                nats[name].append(part)
    whole = {name: torch.cat(parts).double() for name, parts in nats.items()}
    return {name: Part(part.mean().item(), len(part)) for name, part in whole.items() if len(part)}


def mean_loss(parts: Iterable[Part]) -> float:
    """The loss on all tokens of the parts together, nats a token."""
    parts = list(parts)
    return sum(part.loss * part.tokens for part in parts) / sum(part.tokens for part in parts)
