"""`peft` has no Houlsby adapter, so ours is held against formulas: a whole GPT-Neo, and gradients by the chain rule."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_neo import tiny_neo
from torch import Tensor, nn
from transformers import GPTNeoForCausalLM

from labkit.models.bottleneck import Bottleneck, add_bottlenecks
from labkit.models.freezing import trainable
from labkit.profile import LabError

IDS = torch.randint(97, (3, 12), generator=torch.Generator().manual_seed(0))


def trained() -> GPTNeoForCausalLM:
    """With the way up away from zero, as after training."""
    model = add_bottlenecks(tiny_neo(), size=4)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, Bottleneck):
                module.up.weight.normal_(std=0.1)
                module.up.bias.normal_(std=0.1)
    return model


def gpt_neo(w: dict[str, Tensor], ids: Tensor, adapters: dict[str, tuple[Tensor, ...]]) -> Tensor:
    """Logits of a GPT-Neo of 2 layers, 4 heads and a window of 5, from the plain backbone's weights `w`."""

    def linear(name: str, x: Tensor) -> Tensor:
        y = x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", torch.zeros(()))
        if name not in adapters:
            return y
        D, d, U, u = adapters[name]
        z = y @ D.T + d
        return y + (z * 0.5 * (1 + torch.erf(z / math.sqrt(2)))) @ U.T + u

    def norm(name: str, x: Tensor) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    B, T = ids.shape
    x = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][:T]
    ago = torch.arange(T)[:, None] - torch.arange(T)
    for i in range(2):
        block = f"transformer.h.{i}"
        seen = (ago >= 0) & ((ago < 5) | (i == 0))
        h, attention = norm(f"{block}.ln_1", x), f"{block}.attn.attention"
        q, k, v = (linear(f"{attention}.{n}_proj", h).view(B, T, 4, 8).transpose(1, 2) for n in "qkv")
        y = (q @ k.transpose(2, 3)).masked_fill(~seen, -torch.inf).softmax(-1) @ v
        x = x + linear(f"{attention}.out_proj", y.transpose(1, 2).reshape(B, T, 32))
        z = linear(f"{block}.mlp.c_fc", norm(f"{block}.ln_2", x))
        z = 0.5 * z * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))
        x = x + linear(f"{block}.mlp.c_proj", z)
    return norm("transformer.ln_f", x) @ w["transformer.wte.weight"].T


def test_equal_to_the_formulas_of_the_whole_model():
    """Logits within 1e-6 and gradients within 1e-5: an adapter in the wrong place, or on the wrong side of the sum."""
    model = trained()
    mine = {name: p for name, p in model.named_parameters() if p.requires_grad}
    copies = {name: p.detach().clone().requires_grad_() for name, p in mine.items()}
    places = sorted({name.rpartition(".1.")[0] for name in mine})
    parts = ("1.down.weight", "1.down.bias", "1.up.weight", "1.up.bias")
    adapters = {place: tuple(copies[f"{place}.{part}"] for part in parts) for place in places}
    assert len(places) == 4
    ours, theirs = model(IDS).logits, gpt_neo(tiny_neo().state_dict(), IDS, adapters)
    assert (ours - theirs).abs().max() <= 1e-6 * ours.abs().max()
    for logits in (ours, theirs):
        nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten()).backward()
    assert max((mine[n].grad - copies[n].grad).abs().max() for n in mine) <= 1e-5
    assert min(copies[n].grad.abs().max() for n in mine) > 1e-4


def test_gradients_of_one_are_the_chain_rules():
    """With g = ∂L/∂y and z = D x + d: ∂L/∂U = gᵀ gelu(z), ∂L/∂D = (gU ∘ gelu′(z))ᵀ x, and g itself passes by."""
    layer = Bottleneck(6, 3, torch.empty(0, dtype=torch.float64))
    nn.init.normal_(layer.up.weight)
    x, g = (torch.randn(5, 6, dtype=torch.float64) for _ in range(2))
    x.requires_grad_()
    layer(x).backward(g)
    D, d, U = layer.down.weight, layer.down.bias, layer.up.weight
    z = x @ D.T + d
    Phi, phi = 0.5 * (1 + torch.erf(z / math.sqrt(2))), torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    through = (g @ U) * (Phi + z * phi)
    expected = {D: through.T @ x, d: through.sum(0), U: g.T @ (z * Phi), layer.up.bias: g.sum(0), x: g + through @ D}
    assert all((p.grad - grad).abs().max() < 1e-12 for p, grad in expected.items())


def test_at_the_start_nothing_is_changed():
    with torch.no_grad():
        assert torch.equal(add_bottlenecks(tiny_neo())(IDS).logits, tiny_neo()(IDS).logits)


def test_only_the_adapters_are_trained_two_a_block():
    model = add_bottlenecks(tiny_neo(), size=4)
    assert trainable(model)[0] == 2 * 2 * (2 * 4 * 32 + 4 + 32)
    assert all(("down" in name or "up" in name) == p.requires_grad for name, p in model.named_parameters())


def test_a_model_without_such_layers_is_an_error_that_lists_its_own():
    with pytest.raises(LabError, match=r"unknown target 'out_proj'.*known: 0"):
        add_bottlenecks(nn.Sequential(nn.Linear(2, 2)))
