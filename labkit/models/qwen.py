"""Qwen2 (Yang et al. 2024): the decoder of today, small enough to train in a minute.

What has changed since GPT-2, and with it in the models of the Novel-GPT: positions are turned into queries and keys
(rotary, Su et al. 2021), so none is learnt; norms divide by the root mean square and subtract nothing (Zhang &
Sennrich 2019); the MLP multiplies two projections, one through SiLU (SwiGLU, Shazeer 2020); heads share keys and values
(grouped-query attention, Ainslie et al. 2023), which shrinks the cache; and only q, k and v have a bias. The model
itself is `transformers`', because attention was written by hand in notebook 01.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM


def new_qwen(
    vocab_size: int, n_embd: int, n_layer: int, n_head: int, n_kv_head: int, block_size: int
) -> Qwen2ForCausalLM:
    """A Qwen2 with random weights (seed torch first), for texts of up to `block_size` tokens, without dropout.

    Its output matrix is its table of embeddings. The MLP is 8/3 as wide as the model, so that its three matrices have
    as many numbers as GPT-2's two. Raises `ValueError` for a width that doesn't divide into heads of even width (they
    are turned in pairs), or heads that don't divide into groups of `n_kv_head`.
    """
    from transformers import Qwen2Config, Qwen2ForCausalLM

    if n_embd % (2 * n_head) or n_head % n_kv_head:
        raise ValueError(f"{n_embd} wide, {n_head} heads, {n_kv_head} for keys and values: one must divide the other")
    config = Qwen2Config(
        vocab_size=vocab_size, hidden_size=n_embd, intermediate_size=8 * n_embd // 3, num_hidden_layers=n_layer,
        num_attention_heads=n_head, num_key_value_heads=n_kv_head, max_position_embeddings=block_size,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    return Qwen2ForCausalLM(config).eval()
