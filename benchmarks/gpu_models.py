"""What the jobs of `benchmarks.gpu` are made with: sizes, models with random weights, texts of random words.

Nothing is fetched. Random weights may end a text at once or never, so the end, and what else is no word, is ruled out
by the bias that BART adds to its logits: every text has all the tokens it may have, which real ones often haven't.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from labkit.models.bart import SPECIAL
from labkit.models.neo import gpt_neo_1_3b_config, new_neo
from labkit.profile import PROFILES, Profile, pick_device, seed_everything
from labkit.tasks.papers import Paper

if TYPE_CHECKING:
    from transformers import BartForConditionalGeneration, GPTNeoForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Sizes:
    """How large everything is. The profile has GPT-2, the micro-batch, and the tokens of articles and abstracts."""

    profile: Profile
    bart: Mapping[str, int]  # for BartConfig; what is absent is as in BART-large
    neo: Callable[[], GPTNeoForCausalLM]
    tuning_tokens: int  # of a text that GPT-Neo is tuned on
    batches: tuple[int, ...]  # texts that GPT-2 writes at a time
    articles: int  # that DistilBART writes about
    new_tokens: int
    steps: int  # of training in a round
    rounds: int  # at most


def neo_1_3b() -> GPTNeoForCausalLM:
    """GPT-Neo 1.3B, but for its numbers."""
    from transformers import GPTNeoForCausalLM

    return GPTNeoForCausalLM(gpt_neo_1_3b_config())


FULL = Sizes(
    PROFILES["full"], {"vocab_size": 50_264, "encoder_layers": 6, "decoder_layers": 6}, neo_1_3b,
    tuning_tokens=256, batches=(1, 16), articles=64, new_tokens=256, steps=5, rounds=9,
)  # fmt: skip
TINY = Sizes(
    PROFILES["smoke"],
    {"vocab_size": 500, "encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "encoder_ffn_dim": 32,
     "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 96},
    partial(new_neo, 500, n_embd=16, n_layer=2, n_head=2, block_size=48, window=8),
    tuning_tokens=24, batches=(1, 2), articles=3, new_tokens=8, steps=1, rounds=2,
)  # fmt: skip


def distilbart(s: Sizes) -> tuple[BartForConditionalGeneration, PreTrainedTokenizerFast]:
    """DistilBART on the device, ready to write, with random weights and a word for each id; it writes words alone."""
    from transformers import BartConfig, BartForConditionalGeneration

    seed_everything(0)
    with pick_device():
        model = BartForConditionalGeneration(BartConfig(**s.bart, forced_eos_token_id=None)).eval()
    model.final_logits_bias[:, : len(SPECIAL)] = -1e9
    return model, word_tokenizer(model.config.vocab_size)


def word_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """A word for every id, so that texts of random ids take as long to decode and to score as others do."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIAL.values(), *(_word(i) for i in range(len(SPECIAL), vocab_size))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)


def papers(s: Sizes, n: int) -> list[Paper]:
    """Papers of random words, an article and an abstract each as long as the profile reads."""
    rng, p = random.Random(0), s.profile

    def text(length: int) -> str:
        return " ".join(_word(rng.randrange(len(SPECIAL), s.bart["vocab_size"])) for _ in range(length))

    return [Paper(str(i), (text(p.source_tokens),), text(p.summary_tokens)) for i in range(n)]


def _word(i: int) -> str:
    return f"w{i}"
