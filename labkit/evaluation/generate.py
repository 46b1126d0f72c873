"""Sampling from a language model: temperature, top-k and other controls, a KV cache, a seed.

    generate(model, prompt, 40, temperature=0.8, top_k=50)
    generate(model, prompt, 4_000, controls=Controls(top_p=0.95), slide=model.config.block_size // 2)

With the cache each new token costs one position. When the context is full the window slides, positions shift, and what
stays in the window is read again (learned positions leave no cheaper exact way). With `slide=1` that happens for every
further token, which sees all the context there can be. With `slide=block_size // 2` half of a full window is dropped at
once, so that it happens every half window only and a token costs two positions on average; but it sees between half a
window and a whole one, three quarters on average. Until the window is full for the first time nothing differs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.evaluation.controls import Controls
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
    controls: Controls | None = None,
    slide: int = 1,
) -> Tensor:
    """Continue the prompts `idx` (batch, time) by `max_new_tokens`; returns (batch, time + max_new_tokens).

    It stops sooner if every row has come to the token `eos`; what a row holds after its first is of no meaning.
    `eos_bias` is added to its logit: below 0 texts get longer. `temperature` and `top_k` are short for
    `Controls(temperature, top_k)`; `temperature=0` is greedy. A full window moves on by `slide` tokens. `seed` makes
    the samples repeatable on one device, whatever else drew numbers before.
    Raises `ValueError` for an empty prompt, a negative temperature, controls besides a temperature or top_k, and a
    slide that isn't from 1 to the model's context.
    """
    block_size, prompt = model.config.block_size, idx.shape[1]
    if prompt == 0:
        raise ValueError("the prompt is empty: begin with the end-of-text token")
    if not 1 <= slide <= block_size:
        raise ValueError(f"slide must be from 1 to the context of {block_size} tokens, not {slide}")
    if controls is not None and (temperature, top_k) != (1.0, None):
        raise ValueError("temperature and top_k are two of the controls: give them there")
    controls = controls or Controls(temperature, top_k)
    generator = torch.Generator(idx.device).manual_seed(seed)
    with torch.inference_mode():  # such short operations that even no_grad's bookkeeping shows
        cache = KVCache(model, idx.shape[0]) if use_cache else None
        begin = 0  # of the window
        for _ in range(max_new_tokens):
            while idx.shape[1] - begin > block_size:
                begin += slide
                if cache is not None:
                    cache.length = 0  # every position is another now
            read = begin + cache.length if cache is not None else begin
            logits = model(idx[:, read:], cache)[:, -1]
            if eos is not None:
                logits[:, eos] += eos_bias
            idx = torch.cat([idx, _draw(controls.look_back(idx, logits), controls, generator)], dim=1)
            if eos is not None and (idx[:, prompt:] == eos).any(dim=1).all():
                break
    return idx.clone()  # a tensor that a model may be trained on; inference_mode's own may not


def sample(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator) -> Tensor:
    """Draw one token a row from next-token logits (batch, vocab); returns ids (batch, 1)."""
    return _draw(logits, Controls(temperature, top_k), generator)


def _draw(logits: Tensor, controls: Controls, generator: torch.Generator) -> Tensor:
    if controls.temperature == 0:
        return logits.max(dim=-1, keepdim=True).indices  # half the time of argmax on a CPU
    # One random number a row, looked up in the running sum: `multinomial` draws one for every word. In (0, sum], so
    # that a word without a chance is never met.
    chances = controls.truncate(logits).softmax(dim=-1).cumsum(dim=-1)
    drawn = 1 - torch.rand(len(chances), 1, generator=generator, device=chances.device)
    return torch.searchsorted(chances, drawn * chances[:, -1:])
