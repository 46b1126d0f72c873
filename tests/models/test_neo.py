"""The backbone of notebooks 07 to 10: with another attention, what is learnt on it isn't learnt of GPT-Neo 1.3B."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from transformers import GPTNeoForCausalLM
from transformers.activations import ACT2FN

from labkit.models.neo import gpt_neo_1_3b_config, new_neo, see_both_ways


def tiny() -> GPTNeoForCausalLM:
    torch.manual_seed(0)
    return new_neo(vocab_size=97, n_embd=32, n_layer=4, n_head=4, block_size=24, window=5)


def test_gpt_neo_1_3b_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert GPTNeoForCausalLM(gpt_neo_1_3b_config()).num_parameters() == 1_315_575_808


def test_the_small_model_s_gelu_is_the_checkpoint_s_in_one_operation():
    """Else what is learnt here about GPT-Neo is of another model; and a dry run would count too little memory."""
    ours, theirs = tiny().config.activation_function, gpt_neo_1_3b_config().activation_function
    assert (ours, theirs) == ("gelu_pytorch_tanh", "gelu_new")
    x = torch.linspace(-6, 6, 1001)
    torch.testing.assert_close(ACT2FN[ours](x), ACT2FN[theirs](x), rtol=0, atol=1e-6)
    assert (F.gelu(x) - ACT2FN[theirs](x)).abs().max() > 1e-4  # the exact one is another


def test_a_local_layer_sees_as_many_tokens_as_its_window_and_a_global_one_all():
    """Changing token 0 must reach token 4 of a window of 5, and token 5 only where attention is global."""
    model, x = tiny(), torch.randn(1, 24, 32)
    changed = x.clone()
    changed[:, 0] += 1
    for layer, block in enumerate(model.transformer.h):
        with torch.no_grad():
            moved = (block.attn(x)[0] != block.attn(changed)[0]).any(dim=-1)[0]
        assert moved[:5].all()
        assert moved[5:].all() if layer % 2 == 0 else not moved[5:].any()


def test_attention_is_not_divided_by_the_root_of_the_heads_width():
    attention, x = tiny().transformer.h[0].attn.attention, torch.randn(2, 9, 32)
    with torch.no_grad():
        for p in attention.parameters():
            p.normal_(std=0.2)
        q, k, v = (
            f(x).view(2, 9, 4, 8).transpose(1, 2) for f in (attention.q_proj, attention.k_proj, attention.v_proj)
        )

        def ours(scale: float) -> torch.Tensor:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
            return attention.out_proj(y.transpose(1, 2).reshape(2, 9, 32))

        assert (ours(1.0) - attention(x)[0]).abs().max() < 1e-5 < (ours(8**-0.5) - attention(x)[0]).abs().max()


def test_no_dropout_and_a_tied_head():
    """Dropout would make by-hand and library versions differ at random; an untied head would be counted twice."""
    model, ids = tiny().train(), torch.randint(97, (2, 9))
    assert torch.equal(model(ids).logits, model(ids).logits)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_an_odd_number_of_layers_is_refused():
    with pytest.raises(ValueError, match="must be even, not 3"):
        new_neo(97, 32, 3, 4, 24, 5)


def test_who_sees_both_ways_sees_as_far_ahead_as_back_and_no_padding():
    """Of two masks, one of the model's and one of `transformers`', the one that is left over would hide the future."""
    model, x = see_both_ways(tiny()), torch.randn(1, 24, 32)
    changed = x.clone()
    changed[:, 12] += 1
    for layer, block in enumerate(model.transformer.h):
        with torch.no_grad():
            moved = (block.attn(x)[0] != block.attn(changed)[0]).any(dim=-1)[0]
        assert moved[8:17].all()
        assert moved.all() if layer % 2 == 0 else not (moved[:8].any() or moved[17:].any())
    ids, mask = torch.randint(97, (2, 20)), torch.ones(2, 20, dtype=torch.long)
    mask[:, 15:] = 0
    with torch.no_grad():
        alone, padded = model(ids[:, :15]).logits, model(ids, attention_mask=mask).logits[:, :15]
        assert (alone - padded).abs().max() < 1e-5
        last = ids[:, :15].clone()
        last[:, -1] = (last[:, -1] + 1) % 97
        assert (model(last).logits != alone).any(-1).all()
        assert torch.equal(tiny()(last).logits[:, :14], tiny()(ids[:, :15]).logits[:, :14])
