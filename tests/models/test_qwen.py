"""The Qwen2 of notebook 13: what is said of it there (its parts, its size) must be what is trained."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import Qwen2ForCausalLM

from labkit.models.qwen import new_qwen

IDS = torch.randint(97, (2, 12), generator=torch.Generator().manual_seed(0))


def tiny(n_kv_head: int = 2) -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    return new_qwen(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_kv_head=n_kv_head, block_size=24)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 200), st.integers(1, 6), st.sampled_from([(1, 1), (2, 1), (4, 2), (4, 4)]), st.integers(1, 3))
def test_the_number_of_parameters_is_the_formula_s(vocab, half_head, heads, n_layer):
    """Biases of q, k and v alone, gains without shifts, one table for both ends: another Qwen would count otherwise."""
    n_head, n_kv = heads
    d, d_kv, m = 2 * half_head * n_head, 2 * half_head * n_kv, 16 * half_head * n_head // 3
    attention = 2 * d * d + 2 * d * d_kv + d + 2 * d_kv
    with torch.device("meta"):
        model = new_qwen(vocab, d, n_layer, n_head, n_kv, block_size=8)
    assert model.num_parameters() == vocab * d + n_layer * (attention + 3 * d * m + 2 * d) + d


def test_no_token_sees_the_next():
    """A model that sees what it must predict reaches a loss of nothing and writes nonsense."""
    model, changed = tiny(), IDS.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 97
    with torch.no_grad():
        same = (model(IDS).logits == model(changed).logits).all(-1)
    assert same[:, :7].all() and not same[:, 7:].any()


def test_positions_are_relative():
    """Rotary: a text moved along the context is the same, and one with gaps is another."""
    model = tiny()
    with torch.no_grad():
        here = model(IDS, position_ids=torch.arange(12)[None]).logits
        there = model(IDS, position_ids=torch.arange(5, 17)[None]).logits
        spread = model(IDS, position_ids=2 * torch.arange(12)[None]).logits
    assert (here - there).abs().max() < 1e-5 < (here - spread).abs().max()


def test_norm_and_mlp_are_the_ones_named():
    """RMSNorm and SwiGLU written out."""
    layer, x = tiny().model.layers[0], torch.randn(3, 32)
    with torch.no_grad():
        norm = x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * layer.input_layernorm.weight
        gate, up, down = (getattr(layer.mlp, name).weight for name in ("gate_proj", "up_proj", "down_proj"))
        mlp = (F.silu(x @ gate.T) * (x @ up.T)) @ down.T
        assert (layer.input_layernorm(x) - norm).abs().max() < 1e-6
        assert (layer.mlp(x) - mlp).abs().max() < 1e-6


def test_heads_share_keys_and_values_and_the_cache_shrinks():
    """Two heads a group: half the keys of a model in which each has its own."""
    with torch.no_grad():
        caches = [tiny(n).generate(IDS, max_new_tokens=1, return_dict_in_generate=True, pad_token_id=0,
                                   do_sample=False).past_key_values for n in (2, 4)]  # fmt: skip
    half, whole = (cache.layers[0].keys.numel() for cache in caches)
    assert whole == 2 * half


def test_no_dropout_and_only_three_biases():
    model = tiny().train()
    assert torch.equal(model(IDS).logits, model(IDS).logits)
    with_bias = {
        n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, nn.Linear) and m.bias is not None
    }
    assert with_bias == {"q_proj", "k_proj", "v_proj"}


@pytest.mark.parametrize(("n_embd", "n_head", "n_kv_head"), [(30, 4, 2), (12, 4, 2), (32, 4, 3)])
def test_sizes_that_do_not_fit_are_refused(n_embd, n_head, n_kv_head):
    """The second divides into four heads, but of odd width."""
    with pytest.raises(ValueError, match="must divide"):
        new_qwen(97, n_embd, 2, n_head, n_kv_head, 24)
