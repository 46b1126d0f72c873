"""MFU is tokens/s × FLOPs a token / peak: a wrong count would make every share of the peak in the course wrong."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from labkit.models.flops import flops_per_token, forward_flops_per_token
from labkit.models.gpt2 import GPT2, GPT2Config

SMALL = GPT2Config()
LAPTOP = GPT2Config(vocab_size=8192, block_size=256, n_layer=4, n_head=4, n_embd=256)


def counted_by_torch(config: GPT2Config, B: int, T: int, backward: bool = False) -> int:
    """FLOPs that torch counts, operation by operation, in a model without storage."""
    with torch.device("meta"):
        model, idx = GPT2(config), torch.zeros(B, T, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        logits = model(idx)
        if backward:
            F.cross_entropy(logits.flatten(0, 1), idx.flatten()).backward()
    return counter.get_total_flops()


def test_gpt2_smalls_forward_pass_equals_torchs_own_count():
    """A part that is forgotten, or counted twice, shows here to the last operation."""
    assert 1024 * sum(forward_flops_per_token(SMALL, 1024).values()) == counted_by_torch(SMALL, 1, 1024)


@settings(max_examples=10, deadline=None)
@given(
    n_layer=st.integers(1, 3), n_head=st.sampled_from([1, 2]), n_embd=st.sampled_from([8, 20]),
    vocab_size=st.integers(2, 50), T=st.integers(2, 24), B=st.integers(1, 3),
)  # fmt: skip
def test_any_shape_trains_at_three_times_its_forward_pass(n_layer, n_head, n_embd, vocab_size, T, B):
    """A term with the wrong power of L, C, T or V would agree at one size and mislead at all others."""
    config = GPT2Config(vocab_size=vocab_size, block_size=32, n_layer=n_layer, n_head=n_head, n_embd=n_embd)
    assert B * T * flops_per_token(config, T) == counted_by_torch(config, B, T, backward=True)


def test_known_models_take_the_known_number():
    """855 and 34.6 MFLOP a token: the denominators of the published MFUs and of the laptop's."""
    assert flops_per_token(SMALL, 1024) == pytest.approx(855e6, rel=1e-3)
    assert flops_per_token(LAPTOP, 256) == pytest.approx(34.6e6, rel=1e-3)
