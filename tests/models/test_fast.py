"""The levers must change the time a step takes and nothing else."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.evaluation.loss import batch_loss
from labkit.models import fast
from labkit.models.fast import FastLoss, FusedCrossEntropy, attend
from labkit.models.gpt2 import GPT2, CausalSelfAttention, GPT2Config

# bf16 keeps 8 bits: two ways to round differ by about this share of a gradient's norm.
TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 1e-2}


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def gradients(model: GPT2, loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.fixture(scope="module")
def plain() -> GPT2:
    torch.manual_seed(0)
    return GPT2(GPT2Config(vocab_size=97, block_size=24, n_layer=2, n_head=2, n_embd=16))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_and_gradients_are_the_plain_models(plain, dtype, monkeypatch):
    """A lever that is wrong in the last layer only still trains, and a little worse: nobody would look for it."""
    monkeypatch.setitem(fast.CHUNK, "cpu", 20)  # several chunks, the last one shorter
    x, y = torch.randint(97, (2, 3, 24))
    quick = FastLoss(copy.deepcopy(plain), dtype)
    expected, loss = batch_loss(plain, x, y, dtype), quick(x, y)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6 if dtype == torch.float32 else 2e-3)
    assert relative(gradients(quick.model, loss), gradients(plain, expected)) < TOLERANCE[dtype]


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(2, 30), st.integers(0, 99), st.floats(0.1, 10))
def test_the_fused_head_equals_cross_entropy(n, vocab, seed, scale):
    """In fp32 and for any sizes, up to rounding; `scale` stands for what the loss is multiplied by afterwards."""
    torch.manual_seed(seed)
    hidden, weight = torch.randn(n, 8, requires_grad=True), torch.randn(vocab, 8, requires_grad=True)
    targets = torch.randint(vocab, (n,))
    ours = scale * FusedCrossEntropy.apply(hidden, weight, targets, torch.float32, True)
    theirs = scale * torch.nn.functional.cross_entropy(hidden @ weight.t(), targets)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for a, b in zip(*(torch.autograd.grad(loss, (hidden, weight)) for loss in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_hopeless_token_costs_much_but_not_infinitely_much():
    """exp(−200) is 0 in fp32: without a floor one such token makes the loss of a whole run infinite."""
    hidden, weight = torch.tensor([[1.0]]), torch.tensor([[200.0], [0.0]])
    assert 80 < FusedCrossEntropy.apply(hidden, weight, torch.tensor([1]), torch.float32, False).item() < 200


@pytest.mark.parametrize("T", [1, 7, 64])
def test_attention_in_bf16_equals_torchs_kernel(T):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, T, 8).bfloat16()
    torch.testing.assert_close(attend(q, k, v), CausalSelfAttention.attend(q, k, v), rtol=2e-2, atol=2e-2)


def test_attention_cannot_see_the_future():
    q, k, v = torch.randn(3, 1, 1, 9, 8).bfloat16()
    before = attend(q, k, v)
    k[..., 5:, :], v[..., 5:, :] = 7, 7
    assert torch.equal(attend(q, k, v)[..., :5, :], before[..., :5, :])


def test_a_mask_or_a_cache_is_left_to_torchs_kernel():
    """The fast way knows plain causal squares only; a tree mask that it ignored would score nonsense."""
    q, k, v = torch.randn(3, 1, 1, 4, 8).bfloat16()
    mask = torch.eye(4, dtype=torch.bool)
    torch.testing.assert_close(attend(q, k, v, mask), v)
    one = attend(q[..., -1:, :], k, v)
    torch.testing.assert_close(one, CausalSelfAttention.attend(q, k, v)[..., -1:, :], rtol=2e-2, atol=2e-2)


def test_without_gradients_none_are_made(plain):
    """Evaluation would pay for the backward pass: two thirds of the head's work."""
    x, y = torch.randint(97, (2, 2, 24))
    with torch.no_grad():
        loss = FastLoss(copy.deepcopy(plain))(x, y)
    assert loss.grad_fn is None and not loss.requires_grad
