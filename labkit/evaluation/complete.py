"""Greedy writing with any causal language model of `transformers`, many prompts at a time.

    pairs = encode_titles(tokenizer, papers.test, task, source_tokens=64, target_tokens=96)
    texts = complete(model, tokenizer, [prompt for prompt, _ in pairs], max_new_tokens=96)

Prompts are padded on the left, so that all begin to write at the same place; positions are counted from a prompt's own
start, so no text depends on its neighbours but by rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

BATCH = 64  # prompts


@torch.inference_mode()
def complete(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[Tensor], max_new_tokens: int
) -> list[str]:
    """What the model writes after each prompt (time,), up to its end of text, without spaces at either end."""
    texts: list[str] = []
    for i in range(0, len(prompts), BATCH):
        some = prompts[i : i + BATCH]
        ids = pad_sequence(some, batch_first=True, padding_value=tokenizer.pad_token_id, padding_side="left")
        mask = pad_sequence([torch.ones_like(prompt) for prompt in some], batch_first=True, padding_side="left")
        written = model.generate(
            input_ids=ids.to(model.device), attention_mask=mask.to(model.device), max_new_tokens=max_new_tokens,
            do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        texts += tokenizer.batch_decode(written[:, ids.shape[1] :], skip_special_tokens=True)
    return [text.strip() for text in texts]
