"""Validation loss, and the two scales it is read on: perplexity and bits a byte.

Nats a token compare models with the *same* tokenizer only: a larger vocabulary makes longer tokens and a higher
loss for the same text. Bits a byte divide by what no tokenizer can change, the text's length in bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.profile import pick_dtype


@torch.no_grad()
def mean_loss(model: nn.Module, batches: Iterator[tuple[Tensor, Tensor]]) -> float:
    """Mean cross-entropy in nats a token over batches of (x, y), both (batch, time)."""
    device = next(model.parameters()).device
    dtype = pick_dtype(device)
    total, count = 0.0, 0
    for x, y in batches:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits = model(x.to(device))
        total += F.cross_entropy(logits.flatten(0, 1).float(), y.to(device).flatten(), reduction="sum").item()
        count += y.numel()
    if count == 0:
        raise ValueError("no validation batch: the validation text is shorter than one window")
    return total / count


def validation_batches(tokens, block_size: int, max_tokens: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The first `max_tokens` of a split as (x, y) windows that don't overlap: the same ones at every call.

    `tokens` is a `labkit.tasks.shards.Shards`.
    """
    starts = tokens.starts(block_size, max_tokens)
    for i in range(0, len(starts), batch_size):
        window = torch.from_numpy(tokens.window(starts[i : i + batch_size], block_size + 1))
        yield window[:, :-1], window[:, 1:]


def perplexity(loss: float) -> float:
    """exp(loss): between how many equally likely tokens the model hesitates."""
    return math.exp(loss)


def bits_per_byte(loss: float, bytes_per_token: float) -> float:
    """Nats a token → bits a byte of UTF-8 text: divide by ln 2 and by the bytes a token spells."""
    return loss / math.log(2) / bytes_per_token
