"""Writing with an encoder–decoder: greedy or sampled, a whole batch at a time, with a cache of keys and values.

`transformers`' generate does this and much more; for a small model the more costs more than the model. This loop is
plain, so that reinforcement can sample with it; a test holds its tokens against theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from labkit.evaluation.generate import sample

if TYPE_CHECKING:
    from transformers import BartForConditionalGeneration


@torch.no_grad()
def write(
    model: BartForConditionalGeneration,
    input_ids: Tensor,
    attention_mask: Tensor,
    max_new_tokens: int,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
    samples: int = 1,
    eos_bias: float = 0.0,
) -> Tensor:
    """Texts (batch · samples, time) for sources (batch, source time), each to its end-of-text token, then padding.

    `temperature=0` is greedy. The samples of a source stand next to each other; it is read once for all of them.
    `eos_bias` is added to the logit of the end: below 0 texts get longer. The start token is not returned.
    """
    from transformers import DynamicCache, EncoderDecoderCache

    config = model.config
    encoded = model.model.encoder(input_ids, attention_mask).last_hidden_state.repeat_interleave(samples, dim=0)
    # As attention adds it to scores, (batch · samples, heads, queries, keys), or it would be made anew for every token.
    mask = encoded.new_zeros(len(encoded), 1, 1, attention_mask.shape[1]).masked_fill(
        attention_mask.repeat_interleave(samples, dim=0)[:, None, None] == 0, torch.finfo(encoded.dtype).min
    )
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    tokens = input_ids.new_full((len(encoded), 1), config.decoder_start_token_id)
    done = torch.zeros(len(encoded), 1, dtype=torch.bool, device=tokens.device)
    for _ in range(max_new_tokens):
        hidden = model.model.decoder(
            tokens[:, -1:],
            encoder_hidden_states=encoded,
            encoder_attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        logits = model.lm_head(hidden[:, -1]) + model.final_logits_bias
        logits[:, config.eos_token_id] += eos_bias
        new = sample(logits, temperature, None, generator).masked_fill(done, config.pad_token_id)
        tokens = torch.cat([tokens, new], dim=1)
        done |= new == config.eos_token_id
        if done.all():
            break
    return tokens[:, 1:]
