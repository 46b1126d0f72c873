"""GPT-Neo (Black et al. 2021): GPT-2's decoder with two differences, here small enough to train in a minute.

Every second layer sees a window of the last tokens only ("local" attention), and no layer divides q·k by the square
root of the head's width: the checkpoints were trained without, so dividing would spoil them. The model itself is
`transformers`', because attention was written by hand in notebook 01; the price is its eager attention, the only one
it has on a CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from transformers import GPTNeoConfig, GPTNeoForCausalLM, PreTrainedModel

Model = TypeVar("Model", bound="PreTrainedModel")


def new_neo(vocab_size: int, n_embd: int, n_layer: int, n_head: int, block_size: int, window: int) -> GPTNeoForCausalLM:
    """A GPT-Neo with random weights (seed torch first), for texts of up to `block_size` tokens, without dropout.

    Layers 0, 2, 4 … see the whole past; 1, 3, 5 … the last `window` tokens, the newest among them.
    Raises `ValueError` for an odd number of layers, or a width that doesn't divide into the heads.
    """
    from transformers import GPTNeoForCausalLM

    if n_layer % 2:
        raise ValueError(f"global and local layers come in pairs: n_layer must be even, not {n_layer}")
    return GPTNeoForCausalLM(_config(vocab_size, n_embd, n_layer, n_head, block_size, window)).eval()


def gpt_neo_1_3b_config() -> GPTNeoConfig:
    """EleutherAI/gpt-neo-1.3B's, from its public config.json: 1,315,575,808 parameters."""
    config = _config(vocab_size=50_257, n_embd=2048, n_layer=24, n_head=16, block_size=2048, window=256)
    config.bos_token_id = config.eos_token_id = 50_256
    config.activation_function = "gelu_new"  # whose eight operations keep more for the backward pass
    return config


def see_both_ways(model: Model) -> Model:
    """Let every token see those after it too, windows included; returns the model, which can then no longer write.

    For tagging: the model was pretrained to do without, so it has to learn what to do with them. The masks are no
    part of what is saved: call it again after loading.
    """
    model.transformer.config.is_causal = False  # or `transformers` adds a causal mask of its own
    for block in model.transformer.h:
        attention = block.attn.attention
        attention.bias = attention.bias | attention.bias.mT  # (1, 1, T, T): who sees whom
    return model


def _config(vocab_size: int, n_embd: int, n_layer: int, n_head: int, block_size: int, window: int) -> GPTNeoConfig:
    from transformers import GPTNeoConfig

    # The checkpoint's "gelu_new" is the same function in eight operations instead of one: a sixth of a step on a CPU.
    return GPTNeoConfig(
        vocab_size=vocab_size, hidden_size=n_embd, num_layers=n_layer, num_heads=n_head,
        max_position_embeddings=block_size, window_size=window, attention_types=[[["global", "local"], n_layer // 2]],
        activation_function="gelu_pytorch_tanh", resid_dropout=0.0, embed_dropout=0.0, attention_dropout=0.0,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
