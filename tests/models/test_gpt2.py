"""GPT-2 is the reference model: each test names what would be wrong with every number of the course if it failed."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from transformers import GPT2Config as HFConfig
from transformers import GPT2LMHeadModel

from labkit.models.gpt2 import GPT2, GPT2Config, KVCache

TINY = GPT2Config(vocab_size=97, block_size=32, n_layer=3, n_head=4, n_embd=32)


@pytest.fixture(scope="module")
def tiny() -> GPT2:
    torch.manual_seed(0)
    return GPT2(TINY).eval()


def hf_tiny() -> GPT2LMHeadModel:
    torch.manual_seed(1)
    c = TINY
    return GPT2LMHeadModel(
        HFConfig(
            vocab_size=c.vocab_size,
            n_positions=c.block_size,
            n_layer=c.n_layer,
            n_head=c.n_head,
            n_embd=c.n_embd,
        )
    ).eval()


def test_gpt2_small_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert GPT2(GPT2Config()).num_parameters() == 124_439_808


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_from_hf_gives_transformers_logits(attention):
    """A wrong transpose, mask, GELU or epsilon shows here, and nowhere else before the reports' numbers."""
    hf = hf_tiny()
    hf.set_attn_implementation(attention)
    idx = torch.randint(TINY.vocab_size, (2, TINY.block_size))
    with torch.no_grad():
        assert (GPT2.from_hf(hf)(idx) - hf(idx).logits).abs().max() < 1e-5


def test_to_hf_gives_the_same_logits_and_comes_back_unchanged(tiny, tmp_path):
    hf = tiny.to_hf()
    idx = torch.randint(TINY.vocab_size, (2, 17))
    with torch.no_grad():
        assert (tiny(idx) - hf(idx).logits).abs().max() < 1e-5
    hf.save_pretrained(tmp_path)
    back = GPT2.from_hf(GPT2LMHeadModel.from_pretrained(tmp_path))
    assert all(torch.equal(p, q) for p, q in zip(tiny.parameters(), back.parameters(), strict=True))


def test_gpt2_small_equals_transformers_at_full_size():
    torch.manual_seed(0)
    hf = GPT2LMHeadModel(HFConfig()).eval()
    idx = torch.randint(50_257, (1, 48))
    with torch.no_grad():
        assert (GPT2.from_hf(hf)(idx) - hf(idx).logits).abs().max() < 1e-5


def test_loss_of_an_untrained_model_is_ln_v():
    """A model that knows nothing is uniform; a higher first loss means a wrong initialisation."""
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=8192, block_size=64, n_layer=4, n_head=4, n_embd=128))
    idx = torch.randint(8192, (4, 65))
    loss = F.cross_entropy(model(idx[:, :-1]).flatten(0, 1), idx[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(8192), abs=0.1)


def test_head_and_embedding_are_one_matrix(tiny):
    assert tiny.lm_head.weight is tiny.wte.weight
    names = [name for name, _ in tiny.named_parameters()]
    assert "wte.weight" in names and "lm_head.weight" not in names


def test_residual_layers_start_smaller():
    """Without the 1/√(2·n_layer) the stream's variance grows with depth and deep models start unstable."""
    torch.manual_seed(0)
    block = GPT2(GPT2Config(vocab_size=16, block_size=8, n_layer=8, n_head=4, n_embd=256)).h[0]
    assert block.attn.c_attn.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert block.mlp.c_proj.weight.std().item() == pytest.approx(0.02 / 4, rel=0.02)
    assert block.attn.c_proj.bias.abs().max() == 0


def test_no_position_sees_its_future(tiny):
    a = torch.randint(TINY.vocab_size, (1, 20))
    b = a.clone()
    b[0, 12:] = (b[0, 12:] + 1) % TINY.vocab_size
    with torch.no_grad():
        assert torch.equal(tiny(a)[:, :12], tiny(b)[:, :12])
        assert not torch.equal(tiny(a)[:, 12:], tiny(b)[:, 12:])


def test_cached_logits_equal_uncached_ones(tiny):
    idx = torch.randint(TINY.vocab_size, (2, 12))
    cache = KVCache(tiny, 2)
    with torch.no_grad():
        parts = [tiny(idx[:, :5], cache)] + [tiny(idx[:, t : t + 1], cache) for t in range(5, 12)]
        torch.testing.assert_close(torch.cat(parts, dim=1), tiny(idx), atol=1e-5, rtol=0)


def test_too_long_inputs_and_odd_heads_say_so(tiny):
    with pytest.raises(ValueError, match="33 tokens do not fit into a context of 32"):
        tiny(torch.zeros(1, 33, dtype=torch.long))
    with pytest.raises(ValueError, match="one token at a time"):
        cache = KVCache(tiny, 1)
        tiny(torch.zeros(1, 3, dtype=torch.long), cache)
        tiny(torch.zeros(1, 2, dtype=torch.long), cache)
    with pytest.raises(ValueError, match="heads"):
        GPT2(GPT2Config(vocab_size=8, block_size=8, n_layer=1, n_head=3, n_embd=8))
