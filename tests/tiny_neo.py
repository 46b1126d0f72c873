"""A GPT-Neo that is small enough to train in a test, and whose logits are far apart, so that a wrong one shows."""

from __future__ import annotations

import torch
from transformers import GPTNeoForCausalLM

from labkit.models.neo import new_neo


def tiny_neo(n_layer: int = 2) -> GPTNeoForCausalLM:
    """97 tokens, width 32, 4 heads, a context of 40 and a window of 5: shorter than any prompt with its text."""
    torch.manual_seed(0)
    model = new_neo(97, 32, n_layer, 4, 40, 5)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model
