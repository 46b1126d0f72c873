"""Domain pretraining: a language model that has read one kind of text goes on with another.

    writer = Writer.of_gpt2(*load_model(folder), context=256)       # or Writer.of_transformers(model, tokenizer, 256)
    writer.train(writer.stream(book.text for book in novels.train), steps=200, tokens_per_step=2048)
    rows = writer.windows(writer.stream(book.text for book in novels.heldout))
    fmean(writer.losses(rows)), writer.go_on(writer.prompts(stories, 192), 64, Controls(top_p=0.9))

The course's GPT-2 and the models of `transformers` are trained, scored and asked to go on by the same calls, each with
its own vocabulary: nats a token of two vocabularies don't compare, bits a byte do. The recipe is `language_model`'s:
150 steps of the laptop's GPT-2 on synthetic novels ended at 0.66 nats a held-out token with Muon for the blocks'
matrices, and at 0.80 with AdamW alone, at 2e-3 (one run each). Nothing holds the model to what it could do before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from labkit.evaluation.controls import Controls
from labkit.evaluation.generate import generate
from labkit.models.fast import FastLoss
from labkit.models.gpt2 import GPT2
from labkit.profile import LabError
from labkit.tasks.bpe import Tokenizer
from labkit.tasks.pairs import IGNORE
from labkit.training.language_model import train_language_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

CHARACTERS = 12  # a token, at most, on average: so much of a text's end is enough, and a novel is long


@dataclass
class Writer:
    """A language model and its vocabulary; `context` is how many tokens it reads at a time, `end` ends a text."""

    model: GPT2 | PreTrainedModel
    encode: Callable[[Sequence[str]], list[list[int]]]
    decode: Callable[[Sequence[int]], str]
    end: int
    context: int

    @classmethod
    def of_gpt2(cls, model: GPT2, tokenizer: Tokenizer, context: int) -> Writer:
        """The course's own model, with a tokenizer of `tasks.bpe`."""
        return cls(model, tokenizer.encode_batch, tokenizer.decode, tokenizer.eot, context)

    @classmethod
    def of_transformers(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, context: int) -> Writer:
        """A causal language model of `transformers`."""

        def encode(texts: Sequence[str]) -> list[list[int]]:
            return tokenizer(list(texts), add_special_tokens=False)["input_ids"]

        return cls(model, encode, tokenizer.decode, tokenizer.eos_token_id, context)

    def stream(self, texts: Iterable[str]) -> Tensor:
        """All texts as one row of ids (tokens,), each with its end."""
        return torch.tensor([i for ids in self.encode(list(texts)) for i in (*ids, self.end)])

    def windows(self, stream: Tensor, most: int | None = None) -> Tensor:
        """The stream, or `most` of its first tokens, as whole rows (rows, context); what is left over is dropped.

        Raises `LabError` if there is not one.
        """
        rows = len(stream[:most]) // self.context
        if not rows:
            raise LabError(f"{len(stream):,} tokens are no row of {self.context}: take a longer text")
        return stream[: rows * self.context].view(rows, self.context)

    def train(self, stream: Tensor, steps: int, tokens_per_step: int) -> list[float]:
        """Pretrain further on the stream; the loss of each step, nats a token."""
        return train_language_model(self._scored, stream, steps, tokens_per_step, self.context)

    @torch.no_grad()
    def losses(self, rows: Tensor, labels: Tensor | None = None) -> list[float]:
        """Each row's mean loss, nats a token, of `rows` (rows, time), where `labels`, if given, isn't `IGNORE`."""
        scored, device = self._scored.eval(), next(self.model.parameters()).device
        pairs = zip(rows, rows if labels is None else labels, strict=True)
        return [scored(input_ids=x[None].to(device), labels=y[None].to(device)).loss.item() for x, y in pairs]

    def prompts(self, texts: Sequence[str], tokens: int) -> Tensor:
        """The last `tokens` of each text (texts, tokens), or as many as the shortest has: none is padded."""
        encoded = self.encode([text[-CHARACTERS * tokens :] for text in texts])
        tokens = min(tokens, *map(len, encoded))
        return torch.tensor([ids[-tokens:] for ids in encoded])

    def go_on(self, prompts: Tensor, n: int, controls: Controls, seed: int = 0) -> list[str]:
        """How it goes on by up to `n` tokens after `prompts` (texts, time), which fit into the context with them."""
        prompts = prompts.to(next(self.model.parameters()).device)
        if isinstance(self.model, GPT2):
            ids = generate(self.model, prompts, n, controls=controls, seed=seed, eos=self.end)
        else:
            torch.manual_seed(seed)
            ids = self.model.generate(
                prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=n, eos_token_id=self.end,
                pad_token_id=self.end, **controls.for_transformers(),
            )  # fmt: skip
        written = ids[:, prompts.shape[1] :].tolist()
        return [self.decode(row[: row.index(self.end)] if self.end in row else row) for row in written]

    def beside(self, fronts: Sequence[str], told: Sequence[str], keep: Sequence[str], room: int) -> Tensor:
        """Contexts (texts, room): what is put in front, then the latest of what was told; which `keep` is the end of.

        Of a front what doesn't fit beside `keep` is left out. Each `told` must be as long as the room.
        """
        rows = zip(*map(self.encode, (fronts, [text[-CHARACTERS * room :] for text in told], keep)), strict=True)
        return torch.tensor([fit(front[: max(0, room - len(kept))], latest, room) for front, latest, kept in rows])

    def asked(self, texts: Sequence[Sequence[tuple[str, bool]]], n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Texts in parts, as their first `n` ids, the labels of all, and those of marked parts: all (texts, n).

        A text that is too short is filled up with ends that nobody is asked for.
        """
        rows = []
        for parts in texts:
            encoded = zip(self.encode([part for part, _ in parts]), parts, strict=True)
            ids = [(token, marked) for tokens, (_, marked) in encoded for token in tokens][:n]
            ids += [(IGNORE, False)] * (n - len(ids))
            rows.append([(self.end if i == IGNORE else i, i, i if marked else IGNORE) for i, marked in ids])
        return torch.tensor(rows).unbind(dim=2)

    @cached_property
    def _scored(self) -> nn.Module:
        return _Scored(self.model) if isinstance(self.model, GPT2) else self.model


class _Scored(nn.Module):
    """GPT-2 called as `transformers` calls a model: labels are the inputs, and are shifted here."""

    def __init__(self, model: GPT2) -> None:
        super().__init__()
        self.base_model, self.loss = model, FastLoss(model)

    def forward(self, input_ids: Tensor, labels: Tensor, use_cache: bool = False) -> SimpleNamespace:
        return SimpleNamespace(loss=self.loss(input_ids[:, :-1], labels[:, 1:], IGNORE))


def fit(front: list[int], told: list[int], room: int) -> list[int]:
    """`room` tokens: those in front, and as many of the latest that were told as there is room for beside them.

    >>> fit([1, 2], [5, 6, 7, 8, 9], 4)
    [1, 2, 8, 9]
    """
    front = front[:room]
    return front + told[max(0, len(told) - room + len(front)) :]
