"""Loss, and the two scales it is read on: perplexity and bits a byte.

Nats a token compare models with the *same* tokenizer only: a larger vocabulary makes longer tokens and a higher
loss for the same text. Bits a byte divide by what no tokenizer can change, the text's length in bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.tasks.shards import Shards


def batch_loss(model: nn.Module, x: Tensor, y: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Mean cross-entropy (nats a token) of next tokens `y` after `x`, both (batch, time), on the model's device.

    Matrix products run in `dtype`; the softmax over the vocabulary always in fp32, where bf16 would lose the tail.
    """
    device = next(model.parameters()).device
    x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        logits = model(x)
    return F.cross_entropy(logits.float().flatten(0, 1), y.flatten())


@torch.no_grad()
def loss_sum(
    loss_of: Callable[[Tensor, Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[float, int]:
    """Summed cross-entropy in nats, and the number of tokens, over batches (x, y) of which `loss_of` is the mean."""
    total, count = 0.0, 0
    for x, y in batches:
        total += loss_of(x, y).item() * y.numel()
        count += y.numel()
    return total, count


def validation_starts(tokens: Shards, block_size: int, max_tokens: int) -> np.ndarray:
    """Where the validation windows begin: the split's first `max_tokens`, without overlap, the same at every call.

    Raises `LabError` if the split is shorter than one window.
    """
    return tokens.starts(block_size + 1, stride=block_size)[: max(1, max_tokens // block_size)]


def windows(tokens: Shards, starts: np.ndarray, block_size: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of (x, y) with y shifted by one, both (batch, block_size), from windows that begin at `starts`."""
    for i in range(0, len(starts), batch_size):
        window = torch.from_numpy(tokens.window(starts[i : i + batch_size], block_size + 1))
        yield window[:, :-1], window[:, 1:]


def perplexity(loss: float) -> float:
    """exp(loss): between how many equally likely tokens the model hesitates."""
    return math.exp(loss)


def bits_per_byte(loss: float, bytes_per_token: float) -> float:
    """Nats a token → bits a byte of UTF-8 text: divide by ln 2 and by the bytes a token spells."""
    return loss / math.log(2) / bytes_per_token
