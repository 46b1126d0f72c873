"""Sources and targets as tensors: what a model that writes summaries trains on.

    pairs = encode(tokenizer, papers, source_tokens=128, target_tokens=64)
    loader = shuffled(pairs, 16, partial(seq2seq, pad_id=tokenizer.pad_token_id), seed=0)

A target's padding is `IGNORE` in `labels`, so that the loss never asks for it: counted in, it soon is most of what a
model learns (see the bug museum of notebook 04).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from labkit.tasks.bpe import Tokenizer
from labkit.tasks.papers import Paper

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IGNORE = -100  # the label that `cross_entropy` skips
SEPARATOR = "\n\nAbstract:"  # where a decoder alone is told to begin; words, so that no vocabulary has to grow

Pair = tuple[Tensor, Tensor]  # token ids of a source (time,) and of its target (time,)


def encode(
    tokenizer: PreTrainedTokenizerFast, papers: Sequence[Paper], source_tokens: int, target_tokens: int
) -> list[Pair]:
    """Articles and abstracts as token ids, cut to so many; the tokenizer adds its start and end."""
    sources = tokenizer([p.article for p in papers], max_length=source_tokens, truncation=True)["input_ids"]
    targets = tokenizer([p.abstract for p in papers], max_length=target_tokens, truncation=True)["input_ids"]
    return [(torch.tensor(s), torch.tensor(t)) for s, t in zip(sources, targets, strict=True)]


def encode_causal(tokenizer: Tokenizer, papers: Sequence[Paper], source_tokens: int, target_tokens: int) -> list[Pair]:
    """The same for a decoder alone: each article ends with `SEPARATOR`, each abstract with <|endoftext|>."""
    sources = causal_sources(tokenizer, [p.article for p in papers], source_tokens)
    targets = (ids[: target_tokens - 1] for ids in tokenizer.encode_batch([" " + p.abstract for p in papers]))
    return [(torch.tensor(s), torch.tensor([*t, tokenizer.eot])) for s, t in zip(sources, targets, strict=True)]


def causal_sources(tokenizer: Tokenizer, articles: Sequence[str], source_tokens: int) -> list[list[int]]:
    """Articles as prompts of up to `source_tokens` tokens, `SEPARATOR` included."""
    separator = tokenizer.encode(SEPARATOR)
    return [ids[: source_tokens - len(separator)] + separator for ids in tokenizer.encode_batch(articles)]


def seq2seq(pairs: Sequence[Pair], pad_id: int) -> dict[str, Tensor]:
    """A batch for an encoder–decoder, all (batch, time): `input_ids`, `attention_mask` and `labels`."""
    sources, targets = zip(*pairs, strict=True)
    input_ids = pad_sequence(sources, batch_first=True, padding_value=pad_id)
    labels = pad_sequence(targets, batch_first=True, padding_value=IGNORE)
    return {"input_ids": input_ids, "attention_mask": (input_ids != pad_id).long(), "labels": labels}


def causal(pairs: Sequence[Pair], pad_id: int) -> dict[str, Tensor]:
    """A batch for a decoder alone, both (batch, time): source and target in a row, and the labels of the target.

    `labels[:, t]` is the token that follows `input_ids[:, : t + 1]`: shifted here, once, and nowhere else.
    """
    rows = [torch.cat(pair) for pair in pairs]
    labels = [torch.cat([torch.full((len(source) - 1,), IGNORE), target]) for source, target in pairs]
    return {
        "input_ids": pad_sequence([row[:-1] for row in rows], batch_first=True, padding_value=pad_id),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORE),
    }


def shuffled(
    pairs: Sequence[Pair], batch_size: int, collate: Callable[[Sequence[Pair]], dict[str, Tensor]], seed: int
) -> DataLoader:
    """Batches in an order that `seed` alone decides, whatever else has drawn random numbers; a new one each epoch."""
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(pairs, batch_size, shuffle=True, collate_fn=collate, generator=generator)
