"""How many floating-point operations a GPT-2 spends on a token: the scale under every MFU of the course.

Only matrix products are counted, at 2·m·k·n for (m, k) @ (k, n); norms, GELU, softmax and additions are bound by
memory and come to about 1 %. Attention is counted as the full square of T × T scores, as PaLM (Chowdhery et al. 2022,
appendix B) and torch's own counter do, although a causal kernel may skip half of it.
"""

from __future__ import annotations

from labkit.models.gpt2 import GPT2Config


def forward_flops_per_token(config: GPT2Config, T: int) -> dict[str, int]:
    """FLOPs of one token's forward pass in sequences of T tokens, by part of the model, over all layers.

    Looking up an embedding is a copy and costs none; the tied matrix is paid for once, in the head.
    """
    L, C, V = config.n_layer, config.n_embd, config.vocab_size
    return {
        "attention: q, k, v": L * 2 * C * 3 * C,
        "attention: scores q kᵀ": L * 2 * C * T,
        "attention: weighted sum of v": L * 2 * T * C,
        "attention: projection": L * 2 * C * C,
        "MLP: widen": L * 2 * C * 4 * C,
        "MLP: narrow": L * 2 * 4 * C * C,
        "head": 2 * C * V,
    }


def flops_per_token(config: GPT2Config, T: int) -> int:
    """FLOPs of training on one token in sequences of T: forward, and backward at twice the forward's.

    Each product x w has two in its backward pass, one for x's gradient and one for w's; what is computed again to
    save memory doesn't count, so MFU pays for progress only. GPT-2 small at T = 1,024 takes 854 MFLOP a token.
    """
    return 3 * sum(forward_flops_per_token(config, T).values())


def mfu(tokens_per_second: float, flops: float, peak: float) -> float:
    """Model FLOPs utilisation: the share of `peak` FLOP/s spent on the model's own products (PaLM, appendix B)."""
    return tokens_per_second * flops / peak
