"""BART: small ones to train here, and students made from teachers the DistilBART way.

The architecture is `transformers`' (Lewis et al. 2020): attention was written by hand in notebook 01, and an
encoder with a decoder that looks at it adds plumbing to that, nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from labkit.hub import hub_errors, reach, repository
from labkit.models.checkpointing import spare_activations
from labkit.profile import Lab, LabError
from labkit.tasks.bpe import train_bpe

if TYPE_CHECKING:
    from transformers import BartForConditionalGeneration, PreTrainedTokenizerFast

ENCODER_LAYERS, DECODER_LAYERS = 2, 4  # of a teacher that is made here
SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}  # ids 0–3, as BART's


def starting_bart(lab: Lab, texts: Iterable[str]) -> tuple[BartForConditionalGeneration, PreTrainedTokenizerFast]:
    """What fine-tuning begins with: DistilBART from the Hub, or a small BART with random weights.

    `texts` are what the tokenizer of the small one is trained on. Raises `LabError` if the Hub fails.
    """
    p = lab.profile
    if lab.source != "hub":
        tokenizer = train_tokenizer(texts, p.vocab_size)
        positions = max(p.source_tokens, p.summary_tokens)
        return new_bart(tokenizer, p.bart_width, ENCODER_LAYERS, DECODER_LAYERS, positions), tokenizer
    from transformers import AutoTokenizer, BartForConditionalGeneration

    reach("distilbart", "config.json")
    published = repository("distilbart")  # the summarising report's: 6 + 6 layers, distilled on news
    with hub_errors(f"giving {published}"):
        model = BartForConditionalGeneration.from_pretrained(published.id, revision=published.revision)
        tokenizer = AutoTokenizer.from_pretrained(published.id, revision=published.revision, trust_remote_code=False)
        return spare_activations(model).eval(), tokenizer


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE with BART's special tokens, which puts `<s> … </s>` around every text."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    bpe = train_bpe(texts, vocab_size, list(SPECIAL.values()))
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, **SPECIAL)


def new_bart(
    tokenizer: PreTrainedTokenizerFast, d_model: int, encoder_layers: int, decoder_layers: int, max_tokens: int
) -> BartForConditionalGeneration:
    """A BART with random weights, for texts of up to `max_tokens` tokens, without dropout."""
    from transformers import BartConfig, BartForConditionalGeneration

    heads = max(1, d_model // 16)
    return BartForConditionalGeneration(
        BartConfig(
            vocab_size=len(tokenizer), max_position_embeddings=max_tokens, d_model=d_model,
            encoder_layers=encoder_layers, encoder_attention_heads=heads, encoder_ffn_dim=4 * d_model,
            decoder_layers=decoder_layers, decoder_attention_heads=heads, decoder_ffn_dim=4 * d_model,
            dropout=0.0, attention_dropout=0.0, activation_dropout=0.0,
            bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=None,
        )
    )  # fmt: skip


def shrink(teacher: BartForConditionalGeneration, decoder_layers: int) -> BartForConditionalGeneration:
    """A copy of `teacher` that keeps `decoder_layers` of its decoder's layers, evenly spaced.

    "Shrink and fine-tune" (Shleifer & Rush 2020, §3): half the decoder and nearly all of the quality, because a
    generated token costs a pass of the decoder and the encoder reads only once. Raises `ValueError` for more layers
    than there are.
    """
    theirs = teacher.model.decoder.layers
    if not 1 <= decoder_layers <= len(theirs):
        raise ValueError(f"a student has 1 to {len(theirs)} decoder layers, not {decoder_layers}")
    student = copy.deepcopy(teacher)
    layers = [student.model.decoder.layers[i] for i in kept_layers(len(theirs), decoder_layers)]
    for new, layer in enumerate(layers):
        layer.self_attn.layer_idx = layer.encoder_attn.layer_idx = new  # where each keeps its keys and values
    student.model.decoder.layers = nn.ModuleList(layers)
    student.config.decoder_layers = decoder_layers
    return student


def kept_layers(n: int, keep: int) -> list[int]:
    """Which `keep` of `n` layers a student inherits, the first and the last among them.

    >>> kept_layers(12, 6), kept_layers(4, 2), kept_layers(4, 1)
    ([0, 2, 4, 7, 9, 11], [0, 3], [0])
    """
    return [0] if keep == 1 else [round(i * (n - 1) / (keep - 1)) for i in range(keep)]


def load_bart(folder: Path) -> tuple[BartForConditionalGeneration, PreTrainedTokenizerFast]:
    """The model and tokenizer that `save_pretrained` left in a folder, ready to evaluate.

    Raises `LabError` if they aren't there.
    """
    from transformers import AutoTokenizer, BartForConditionalGeneration
    from transformers.utils import logging

    if not (folder / "config.json").exists():
        raise LabError(f"no model in {folder}: train one first, and save it there with its tokenizer")
    logging.disable_progress_bar()
    model = BartForConditionalGeneration.from_pretrained(folder)
    return spare_activations(model).eval(), AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
