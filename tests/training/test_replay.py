"""A memory that favours the last task forgets the first, which it is there to prevent."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.training.replay import Reservoir, half_and_half


@given(st.integers(1, 20), st.lists(st.integers(0, 30), max_size=5), st.integers(0, 5))
def test_a_reservoir_holds_as_much_as_it_can_of_what_it_saw(size, lengths, seed):
    memory = Reservoir(size, seed)
    for task, length in enumerate(lengths):
        memory.extend((task, i) for i in range(length))
    seen = {(task, i) for task, length in enumerate(lengths) for i in range(length)}
    assert set(memory.kept) <= seen and len(set(memory.kept)) == len(memory.kept) == min(size, len(seen))


def test_every_item_has_the_same_chance_whenever_it_came():
    """Ten of forty: each in a quarter of the memories, the first as the last."""
    kept: Counter[int] = Counter()
    for seed in range(2_000):
        memory = Reservoir(10, seed)
        for begin in range(0, 40, 8):
            memory.extend(range(begin, begin + 8))
        kept.update(memory.kept)
    assert min(kept[i] for i in range(40)) > 0.21 * 2_000 and max(kept.values()) < 0.29 * 2_000


def pairs(prompts):
    return [(torch.tensor([prompt]), torch.tensor([0])) for prompt in prompts]


def test_half_of_each_batch_is_old_and_all_of_it_comes():
    batches = list(islice(half_and_half(pairs(range(12)), pairs(range(100, 104)), 8, seed=0), 6))
    tokens = [batch["input_ids"][:, 0].tolist() for batch in batches]
    assert all(sum(t >= 100 for t in batch) == 4 and len(batch) == 8 for batch in tokens)
    assert {t for batch in tokens[:3] for t in batch} == {*range(12), *range(100, 104)}
    again = next(half_and_half(pairs(range(12)), pairs(range(100, 104)), 8, seed=0))
    assert again["input_ids"][:, 0].tolist() == tokens[0]


def test_an_odd_batch_is_refused():
    """Its halves would be smaller than it."""
    with pytest.raises(ValueError, match="even"):
        half_and_half(pairs([1]), pairs([2]), 7, seed=0)
