"""What may be drawn next: the usual means against texts that repeat themselves, and against words nobody would say.

    generate(model, prompt, 400, controls=Controls(top_p=0.95, repetition_penalty=1.2))
    neo.generate(**prompt, max_new_tokens=400, **Controls(top_p=0.95, repetition_penalty=1.2).for_transformers())

Two controls look back at the text, its prompt included: `penalise` makes every word that stands there less likely,
`ban_repeats` forbids the word that would complete an n-gram a second time. The others look at the next word's
probabilities only and cut off unlikely words: all but k, all outside the likeliest share p (the "nucleus"), or all that
are much less likely than the best. They are applied in the order of `transformers`, and tests hold each of them, and
all together, against it.

Left out: contrastive search (Su et al. 2022, "A Contrastive Framework for Neural Text Generation"). `transformers` 5
no longer has it and would run code from the Hub (`transformers-community/contrastive-search`); no other library of this
course has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Controls:
    """A way to choose the next token; each control is off by default, and then costs nothing.

    Raises `ValueError` for a value that makes no sense.
    """

    temperature: float = 1.0  # divides the logits; 0: always the likeliest token (greedy)
    top_k: int | None = None  # only so many of the likeliest
    top_p: float = 1.0  # only the likeliest that together have this probability
    min_p: float = 0.0  # only those with this share of the likeliest's probability
    repetition_penalty: float = 1.0  # above 1: against tokens that the text has
    no_repeat_ngram: int = 0  # no run of so many tokens twice

    def __post_init__(self) -> None:
        for name, sensible, meaning in (
            ("temperature", self.temperature >= 0, "0 (greedy) or more"),
            ("top_k", self.top_k is None or self.top_k >= 1, "1 or more, or None"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("min_p", 0 <= self.min_p <= 1, "from 0 to 1"),
            ("repetition_penalty", self.repetition_penalty > 0, "above 0; 1 is none"),
            ("no_repeat_ngram", self.no_repeat_ngram == 0 or self.no_repeat_ngram >= 2, "0 (off), or 2 or more"),
        ):
            if not sensible:
                raise ValueError(f"{name} must be {meaning}, not {getattr(self, name)}")

    def look_back(self, ids: Tensor, logits: Tensor) -> Tensor:
        """Next-token logits (batch, vocab) after the texts `ids` (batch, time), held back from repeating them."""
        if self.repetition_penalty != 1:
            logits = penalise(ids, logits, self.repetition_penalty)
        if self.no_repeat_ngram:
            logits = ban_repeats(ids, logits, self.no_repeat_ngram)
        return logits

    def truncate(self, logits: Tensor) -> Tensor:
        """Logits (batch, vocab) at this temperature, which must not be 0, with −∞ for what is cut off."""
        logits = logits.float() / self.temperature
        if self.top_k is not None:
            logits = keep_top_k(logits, self.top_k)
        if self.top_p < 1:
            logits = keep_top_p(logits, self.top_p)
        if self.min_p > 0:
            logits = keep_min_p(logits, self.min_p)
        return logits

    def for_transformers(self) -> dict[str, Any]:
        """The same as arguments of a `transformers` model's `generate`, whose own defaults are not off (top_k=50)."""
        chance = {
            "temperature": float(self.temperature),
            "top_k": self.top_k or 0,
            "top_p": self.top_p,
            "min_p": self.min_p,
        }
        return {
            "do_sample": self.temperature > 0,
            **(chance if self.temperature > 0 else {}),  # it warns of those that a greedy search ignores
            "repetition_penalty": float(self.repetition_penalty),
            "no_repeat_ngram_size": self.no_repeat_ngram,
        }


def penalise(ids: Tensor, logits: Tensor, penalty: float) -> Tensor:
    """Logits (batch, vocab), those of tokens in `ids` (batch, time) lowered, however often they stand there.

    Keskar et al. 2019 ("CTRL", §4.1) divide them by the penalty. That would raise negative ones, so these are
    multiplied, as everybody does since.
    """
    seen = logits.gather(1, ids)
    return logits.scatter(1, ids, torch.where(seen < 0, seen * penalty, seen / penalty))


def ban_repeats(ids: Tensor, logits: Tensor, n: int) -> Tensor:
    """Logits (batch, vocab), −∞ for tokens that would end an n-gram that `ids` (batch, time) already has.

    It forbids names and set phrases as well: nobody can be called "the old man" three times (Paulus et al. 2018, for
    the beam search of summaries).
    """
    if ids.shape[1] < n:
        return logits
    grams = ids.unfold(1, n, 1)  # (batch, time - n + 1, n)
    begun = (grams[:, :, :-1] == ids[:, None, 1 - n :]).all(dim=2)
    # Counted, as a token may end several n-grams, of which a plain scatter would keep any one.
    banned = torch.zeros_like(logits, dtype=torch.int).scatter_add(1, grams[:, :, -1], begun.int())
    return logits.masked_fill(banned > 0, -torch.inf)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Logits (batch, vocab), −∞ for all but the k best of a row (Fan et al. 2018)."""
    kth_best = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < kth_best, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Logits (batch, vocab), −∞ outside the nucleus: the fewest tokens with a probability of p together.

    Where the model is sure the nucleus is one token, where it isn't it is hundreds (Holtzman et al. 2020, "The Curious
    Case of Neural Text Degeneration").
    """
    ordered, order = logits.sort(dim=-1, descending=True)
    chances = ordered.softmax(dim=-1)
    outside = chances.cumsum(dim=-1) - chances >= p  # better ones have p already
    return logits.masked_fill(torch.zeros_like(outside).scatter(1, order, outside), -torch.inf)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Logits (batch, vocab), −∞ for tokens with less than p times the probability of the row's best.

    Nguyen et al. 2024 ("Turning Up the Heat: Min-p Sampling"): unlike the nucleus it lets in no tail when a high
    temperature has flattened everything.
    """
    chances = logits.softmax(dim=-1)
    return logits.masked_fill(chances < p * chances.amax(dim=-1, keepdim=True), -torch.inf)
