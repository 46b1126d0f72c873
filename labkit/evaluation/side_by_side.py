"""Several ways to choose the next token at once: each has its rows of one batch.

    rows = prompts.repeat(2, 1)                                    # of 4 prompts: 4 rows greedily, 4 from the nucleus
    generate(model, rows, 4_000, controls=SideBySide((Controls(temperature=0), Controls(top_p=0.9))))

The model's weights are read once a step for all of them: six ways of three rows took 15 ms a token of one core
together, and 26 one after the other (the laptop's GPT-2). Each row is chosen as it would be alone; where chance has a
part, by other random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from labkit.evaluation.controls import Controls


@dataclass(frozen=True)
class SideBySide(Controls):
    """The batch in equal parts, one after the other, each with the controls of its own in `ways`.

    A greedy way is drawn like the others, from its likeliest token alone. Raises `ValueError` for rows that don't
    divide into so many parts.
    """

    ways: tuple[Controls, ...] = ()

    def look_back(self, ids: Tensor, logits: Tensor) -> Tensor:
        """As each way's own."""
        return torch.cat([
            way.look_back(some, of_some)
            for way, some, of_some in zip(self.ways, self._parts(ids), self._parts(logits), strict=True)
        ])  # fmt: skip

    def truncate(self, logits: Tensor) -> Tensor:
        """As each way's own."""
        drawn = (way if way.temperature else replace(way, temperature=1.0, top_k=1) for way in self.ways)
        return torch.cat([way.truncate(some) for way, some in zip(drawn, self._parts(logits), strict=True)])

    def _parts(self, rows: Tensor) -> tuple[Tensor, ...]:
        if not self.ways or len(rows) % len(self.ways):
            raise ValueError(f"{len(rows)} rows don't divide into {len(self.ways)} parts")
        return rows.chunk(len(self.ways))
