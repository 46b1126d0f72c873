"""Early stopping: end a fine-tuning when validation no longer gets better, and go back to where it was best.

    stopper = EarlyStopping(model, patience=3)
    tune(model, pairs, epochs=20, lr=1e-3, evaluate=lambda: {"val_loss": …}, evaluations=20, stop=stopper)
    stopper.restore()

Only what is trained is kept, in memory: for an adapter a few kilobytes, for full fine-tuning a second copy of the
model. The best of several looks at the validation set is a little better there than anywhere else; a test set is for
what was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn


class EarlyStopping:
    """Says when to stop, to `finetune` and `tune`: after `patience` evaluations in a row that weren't the best so far.

    `name` is which of the evaluated numbers counts; less is better, and equal is no better.
    """

    def __init__(self, model: nn.Module, patience: float = 3, name: str = "val_loss") -> None:
        self.model, self.patience, self.name = model, patience, name
        self.best, self.best_step, self.waited = math.inf, 0, 0
        self.kept = {key: p.detach().clone() for key, p in self._trained()}

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the evaluation in the last of `rows` was one too many."""
        value = rows[-1][self.name]
        self.waited += 1
        if value < self.best:
            self.best, self.best_step, self.waited = value, rows[-1]["step"], 0
            self.kept = {key: p.detach().clone() for key, p in self._trained()}
        return self.waited >= self.patience

    @torch.no_grad()
    def restore(self) -> None:
        """Give the model the numbers it had at `best_step`; as it began if no evaluation gave a number."""
        for key, p in self._trained():
            p.copy_(self.kept[key])

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        return [(key, p) for key, p in self.model.named_parameters() if p.requires_grad]
