"""Experience replay: a few examples of earlier tasks are kept, and trained on again among the new ones.

    memory = Reservoir(60, seed=0)
    memory.extend(old_pairs)
    loader = half_and_half(new_pairs, memory.kept, batch_size=16, seed=0)

In this or another guise the oldest remedy (Robins 1995); Chaudhry et al. 2019 found that a handful of examples a task
goes far. What is kept are data: where they may not be kept, it is no remedy.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

from labkit.tasks.pairs import Pair, causal, shuffled
from labkit.training.finetune import epochs


class Reservoir:
    """`size` items of a stream, each of those that came so far with the same chance (Vitter 1985, algorithm R)."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.kept, self.seen = size, [], 0
        self.rng = random.Random(f"reservoir {seed}")

    def extend(self, items: Iterable[Pair]) -> None:
        """See all of `items`, once."""
        for item in items:
            self.seen += 1
            if len(self.kept) < self.size:
                self.kept.append(item)
            elif (at := self.rng.randrange(self.seen)) < self.size:
                self.kept[at] = item


def half_and_half(new: Sequence[Pair], old: Sequence[Pair], batch_size: int, seed: int) -> Iterator[dict[str, Tensor]]:
    """Batches without end, half of each `new` and half `old`; each half goes through its own in epochs.

    Raises `ValueError` for an odd `batch_size`.
    """
    if batch_size % 2:
        raise ValueError(f"a batch of {batch_size} has no two halves: take an even number")
    halves = (epochs(shuffled(pairs, batch_size // 2, list, seed)) for pairs in (new, old))
    return (causal([*some, *others], pad_id=0) for some, others in zip(*halves, strict=False))
