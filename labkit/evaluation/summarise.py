"""Abstracts from models: articles in, a text for each out, for both kinds of model.

Greedy, a batch at a time. `eos_bias` is the one knob for length: what is added to the logit of the end, so that below
0 abstracts get longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from labkit.evaluation.generate import generate
from labkit.evaluation.seq2seq import write
from labkit.models.gpt2 import GPT2
from labkit.tasks.bpe import Tokenizer
from labkit.tasks.pairs import causal_sources

if TYPE_CHECKING:
    from transformers import BartForConditionalGeneration, PreTrainedTokenizerFast

BATCH = 64  # articles


def summarise_bart(
    model: BartForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    articles: Sequence[str],
    source_tokens: int,
    max_new_tokens: int,
    eos_bias: float = 0.0,
) -> list[str]:
    """What an encoder–decoder writes for each article, of which it reads the first `source_tokens` tokens."""
    texts = []
    for i in range(0, len(articles), BATCH):
        batch = tokenizer(list(articles[i : i + BATCH]), max_length=source_tokens, truncation=True, padding=True,
                          return_tensors="pt", return_token_type_ids=False).to(model.device)  # fmt: skip
        ids = write(model, **batch, max_new_tokens=max_new_tokens, eos_bias=eos_bias)
        texts += tokenizer.batch_decode(ids, skip_special_tokens=True)
    return [text.strip() for text in texts]


def summarise_gpt2(
    model: GPT2,
    tokenizer: Tokenizer,
    articles: Sequence[str],
    source_tokens: int,
    max_new_tokens: int,
    eos_bias: float = 0.0,
) -> list[str]:
    """What a decoder alone writes after each article and the separator.

    Articles of equal length go together: such a batch needs no padding, which would shift GPT-2's learned positions.
    """
    prompts = causal_sources(tokenizer, articles, source_tokens)
    texts = [""] * len(articles)
    for length in sorted({len(prompt) for prompt in prompts}):
        same = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
        for part in (same[i : i + BATCH] for i in range(0, len(same), BATCH)):
            idx = torch.tensor([prompts[i] for i in part], device=model.wte.weight.device)
            written = generate(model, idx, max_new_tokens, temperature=0, eos=tokenizer.eot, eos_bias=eos_bias)
            for i, ids in zip(part, written[:, length:].tolist(), strict=True):
                texts[i] = tokenizer.decode(ids[: ids.index(tokenizer.eot)] if tokenizer.eot in ids else ids).strip()
    return texts
