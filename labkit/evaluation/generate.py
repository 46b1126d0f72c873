"""Sampling from a language model: temperature, top-k, a KV cache, a seed.

With the cache each new token costs one position; when the context is full the window slides, positions shift,
and every further token is read with its whole window again (learned positions leave no cheaper exact way).
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.models.gpt2 import GPT2, KVCache


def generate(
    model: GPT2,
    idx: Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
    use_cache: bool = True,
    eos: int | None = None,
    eos_bias: float = 0.0,
) -> Tensor:
    """Continue the prompts `idx` (batch, time) by `max_new_tokens`; returns (batch, time + max_new_tokens).

    It stops sooner if every row has come to the token `eos`; what a row holds after its first is of no meaning.
    `eos_bias` is added to its logit: below 0 texts get longer. `temperature=0` is greedy. `seed` makes the samples
    repeatable on one device, whatever else drew numbers before.
    Raises `ValueError` for an empty prompt or a negative temperature.
    """
    if idx.shape[1] == 0:
        raise ValueError("the prompt is empty: begin with the end-of-text token")
    if temperature < 0:
        raise ValueError(f"temperature must be 0 (greedy) or more, not {temperature}")
    generator = torch.Generator(idx.device).manual_seed(seed)
    block_size, prompt = model.config.block_size, idx.shape[1]
    with torch.inference_mode():  # such short operations that even no_grad's bookkeeping shows
        cache = KVCache(model, idx.shape[0]) if use_cache else None
        for _ in range(max_new_tokens):
            cached = cache is not None and idx.shape[1] <= block_size
            new = idx[:, cache.length :] if cached else idx[:, -block_size:]
            logits = model(new, cache if cached else None)[:, -1]
            if eos is not None:
                logits[:, eos] += eos_bias
            idx = torch.cat([idx, sample(logits, temperature, top_k, generator)], dim=1)
            if eos is not None and (idx[:, prompt:] == eos).any(dim=1).all():
                break
    return idx.clone()  # a tensor that a model may be trained on; inference_mode's own may not


def sample(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator) -> Tensor:
    """Draw one token a row from next-token logits (batch, vocab); returns ids (batch, 1)."""
    if temperature == 0:
        return logits.max(dim=-1, keepdim=True).indices  # half the time of argmax on a CPU
    logits = logits.float() / temperature
    if top_k is not None:
        kth_best = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < kth_best, -torch.inf)
    # One random number a row, looked up in the running sum: `multinomial` draws one for every word. In (0, sum], so
    # that a word without a chance is never met.
    chances = logits.softmax(dim=-1).cumsum(dim=-1)
    drawn = 1 - torch.rand(len(chances), 1, generator=generator, device=chances.device)
    return torch.searchsorted(chances, drawn * chances[:, -1:])
