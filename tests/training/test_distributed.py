"""How a batch is dealt to ranks: overlap trains twice on a text, a gap never reads it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.tasks.corpus import Corpus
from labkit.tasks.shards import Shards, ShardWriter
from labkit.training.distributed import Ranks, rank_slice


def ranks(rank: int, world_size: int) -> Ranks:
    return Ranks(rank, world_size, torch.device("cpu"))


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_ranks_cover_the_batch_once(world_size, accumulation, micro_batch_size):
    batch = torch.arange(world_size * accumulation * micro_batch_size)[:, None]
    dealt = [rank_slice(batch, micro_batch_size, ranks(r, world_size)) for r in range(world_size)]
    assert all(len(micro) == accumulation for micro in dealt)
    assert sorted(torch.cat([m for micro in dealt for m in micro]).flatten().tolist()) == batch.flatten().tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(0, 9), st.integers(12, 40))
def test_every_window_is_read_once_an_epoch_over_all_ranks(
    tmp_path_factory, world_size, accumulation, micro_batch_size, seed, n_windows
):
    """Overlap between ranks, or between steps, trains twice on a text in one epoch and never on another."""
    folder, block = tmp_path_factory.mktemp("text"), 4
    writer = ShardWriter(folder, "train")
    writer.write(np.arange(n_windows * block + 1))
    writer.close()
    corpus = Corpus(None, Shards(folder, "train"), None, {}, folder)
    batch_size = world_size * accumulation * micro_batch_size
    steps = [
        torch.cat([
            micro
            for rank in range(world_size)
            for micro in rank_slice(
                corpus.batch("train", batch_size, block, seed, step)[0], micro_batch_size, ranks(rank, world_size)
            )
        ])[:, 0]
        for step in range(n_windows)  # batch_size epochs
    ]  # fmt: skip
    within = [start for step in steps[: n_windows // batch_size] for start in step.tolist()]
    assert len(set(within)) == len(within), "a window twice in the first epoch"
    seen = torch.cat(steps).tolist()
    assert sorted(seen) == sorted(batch_size * list(range(0, n_windows * block, block)))


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
    assert alone.from_first(lambda: "x") == "x"
    alone.leave()
