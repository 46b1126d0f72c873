"""The learning rate is the setting that ruins most runs: pin its shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.training.schedule import learning_rate, wsd


def test_first_step_learns_and_the_warm_up_ends_at_the_maximum():
    assert learning_rate(0, 1.0, 10, 100, 0.1) == pytest.approx(0.1)
    assert learning_rate(9, 1.0, 10, 100, 0.1) == pytest.approx(1.0)


def test_cosine_is_half_way_half_way_and_ends_at_the_minimum():
    assert learning_rate(10, 1.0, 10, 110, 0.1) == pytest.approx(1.0)
    assert learning_rate(60, 1.0, 10, 110, 0.1) == pytest.approx(0.55)
    assert learning_rate(110, 1.0, 10, 110, 0.1) == learning_rate(999, 1.0, 10, 110, 0.1) == 0.1


def test_it_is_torchs_cosine():
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.1)
    for step in range(50):
        assert learning_rate(step, 1.0, 0, 50, 0.1) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()


@given(st.integers(0, 50), st.integers(1, 200), st.floats(1e-6, 1))
def test_it_rises_then_falls_and_stays_in_bounds(warmup, decay, max_lr):
    rates = [learning_rate(step, max_lr, warmup, warmup + decay, 0.1 * max_lr) for step in range(warmup + decay + 3)]
    assert all(0 < rate <= max_lr * (1 + 1e-12) for rate in rates)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)


def test_wsd_stays_on_its_plateau_then_falls_to_nothing():
    """A decay that ends above 0, or begins at once, loses what the plateau was for."""
    rates = [wsd(step, 1.0, 10, 110, decay_share=0.3) for step in range(111)]
    assert rates[0] == pytest.approx(0.1) and rates[9:77] == [1.0] * 68
    assert rates[77] == pytest.approx(1.0) and rates[110] == 0 and rates[109] == pytest.approx(1 / 33)
    assert rates[77:] == sorted(rates[77:], reverse=True)


@given(st.integers(0, 60), st.integers(100, 300))
def test_wsds_plateau_does_not_know_where_the_run_ends(step, max_steps):
    """That is what it is for: the same first steps lead to a run of any length."""
    assert wsd(step, 1.0, 10, max_steps) == wsd(step, 1.0, 10, 10_000)
