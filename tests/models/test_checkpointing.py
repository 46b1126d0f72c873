"""Gradient checkpointing: less memory, the same numbers, and only where it is needed."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_neo import tiny_neo

from labkit.models import checkpointing
from labkit.models.adapters import adapt
from labkit.models.checkpointing import spare_activations


@pytest.fixture
def any_size(monkeypatch):
    monkeypatch.setattr(checkpointing, "SMALL", 0)


def gradients(model):
    ids = torch.arange(36).view(3, 12) % 97
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        loss = model.train()(input_ids=ids, labels=ids).loss
    loss.backward()
    return sum(kept), {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("method", ["full", "lora", "prompt_tuning", "bottleneck"])
def test_less_is_kept_and_gradients_are_the_same(any_size, method):
    """Else a small GPU would give another result than a large one, or train nothing below a frozen layer."""
    plain = adapt(tiny_neo(), method)
    spared = adapt(spare_activations(tiny_neo(), memory=24e9), method)
    spared.load_state_dict(plain.state_dict())
    (bytes_plain, there), (bytes_spared, here) = gradients(plain), gradients(spared)
    assert bytes_spared < bytes_plain / 2
    for name, gradient in there.items():
        torch.testing.assert_close(here[name], gradient, msg=name)


def test_it_is_left_off_where_there_is_room(any_size):
    """It costs a third more compute."""
    kept, _ = gradients(copy.deepcopy(tiny_neo()))
    assert gradients(spare_activations(tiny_neo(), memory=80e9))[0] == kept


def test_small_models_are_left_alone():
    kept, _ = gradients(tiny_neo())
    assert gradients(spare_activations(tiny_neo(), memory=8e9))[0] == kept
