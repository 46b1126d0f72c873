"""Muon is taught by this file: it must be the published optimiser, whatever is done to make it fast."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from labkit.training import muon
from labkit.training.muon import Muon, orthogonal


def test_it_takes_the_steps_of_torchs_muon(monkeypatch):
    """Parity over several steps, for wide, tall and square matrices, one of them without a gradient now and then."""
    monkeypatch.setattr(muon, "pick_dtype", lambda device: torch.bfloat16)  # as torch's, on every machine
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(size)) for size in ((64, 32), (32, 64), (64, 32), (16, 16))]
    theirs = copy.deepcopy(ours)
    a, b = Muon(ours, lr=1e-2), torch.optim.Muon(theirs, lr=1e-2, adjust_lr_fn="match_rms_adamw")
    for step in range(6):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = None if step == 3 and p is ours[0] else torch.randn_like(p)
            q.grad = None if p.grad is None else p.grad.clone()
        a.step()
        b.step()
        for p, q in zip(ours, theirs, strict=True):
            torch.testing.assert_close(p, q, atol=2e-5, rtol=0)  # bf16 inside; a step is 1e-2 long


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(48, 16), (16, 48), (32, 32)])
def test_orthogonal_keeps_directions_and_levels_their_sizes(shape, dtype, monkeypatch):
    monkeypatch.setattr(muon, "pick_dtype", lambda device: dtype)
    matrix = torch.randn(3, *shape) * torch.tensor([1e-3, 1.0, 1e3]).view(3, 1, 1)
    singular = torch.linalg.svdvals(orthogonal(matrix).float())
    assert singular.min() > 0.3 and singular.max() < 1.3
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    aligned = torch.linalg.matrix_norm(u.mT @ orthogonal(matrix).float() @ vh.mT, "nuc") / min(shape)
    assert (aligned > 0.7).all()


def test_a_resumed_run_goes_on_with_its_momentum():
    """State that doesn't survive state_dict would make a resumed run differ from an undisturbed one."""
    p = nn.Parameter(torch.randn(8, 8))
    one = Muon([p], lr=1e-2)
    p.grad = torch.randn_like(p)
    one.step()
    q = nn.Parameter(p.detach().clone())
    other = Muon([q], lr=1e-2)
    other.load_state_dict(copy.deepcopy(one.state_dict()))  # as from a file
    p.grad = torch.randn_like(p)
    q.grad = p.grad.clone()
    one.step()
    other.step()
    assert torch.equal(p, q)


def test_what_is_not_a_matrix_is_refused():
    with pytest.raises(ValueError, match="matrices"):
        Muon([nn.Parameter(torch.zeros(3))], lr=1e-2)
