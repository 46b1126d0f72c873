"""How a batch is dealt to ranks: overlap trains twice on a text, a gap never reads it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.training.distributed import Ranks, rank_slice


def ranks(rank: int, world_size: int) -> Ranks:
    return Ranks(rank, world_size, torch.device("cpu"))


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_ranks_cover_the_batch_once(world_size, accumulation, micro_batch_size):
    batch = torch.arange(world_size * accumulation * micro_batch_size)[:, None]
    dealt = [rank_slice(batch, micro_batch_size, ranks(r, world_size)) for r in range(world_size)]
    assert all(len(micro) == accumulation for micro in dealt)
    assert sorted(torch.cat([m for micro in dealt for m in micro]).flatten().tolist()) == batch.flatten().tolist()


def test_two_processes_see_in_a_step_what_one_sees_in_two():
    batch = torch.arange(8)
    one = rank_slice(batch, 4, ranks(0, 1))
    two = [rank_slice(batch, 4, ranks(r, 2))[0] for r in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_one_process_needs_no_others(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = Ranks.join()
    model = torch.nn.Linear(1, 1)
    assert alone.first and alone.wrap(model) is model and alone.sum(2.0, 3) == pytest.approx([2.0, 3.0])
    alone.leave()
