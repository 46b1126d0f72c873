"""Recipes: optimiser, learning rate over time, and context length over time, by name.

    recipe = RECIPES["muon"]
    optimizers = recipe.optimizers(model, max_lr=1e-3)
    set_rate(optimizers, recipe.rate(step, warmup_steps, max_steps))

Everything else (text, model, tokens, clipping) is the same for all, so that two recipes differ in nothing but
themselves. "paper" is the summarising report's, "default" was chosen by trials at laptop size;
`benchmarks/recipes.py` compares them all for the same compute.

- AdamW (Loshchilov & Hutter 2019) with GPT-3's constants (Brown et al. 2020, appendix B); matrices alone decay.
- Muon (`muon.py`) for the matrices of the blocks; embeddings, norms and biases stay with AdamW.
- Length warm-up (Li et al. 2022, "The stability-efficiency dilemma"): short rows first, when a model learns words
  and pairs of words, the whole context later. Tokens a step stay the same. Each length has an order of windows of its
  own: where it changes, some text of that epoch comes again and some is passed over.
- WSD (Hu et al. 2024, MiniCPM): warm up, stay, decay to 0 in the last part. A run can be continued from before the
  decay; a cosine must know its end from the start. That freedom costs a little here, so it is not the default.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from labkit.training.muon import Muon
from labkit.training.schedule import learning_rate, wsd

BETAS = (0.9, 0.95)


@dataclass(frozen=True)
class Recipe:
    """How to train; `lengths` are the parts of the context that equal parts of the run read, as divisors of it."""

    says: str
    lr: float | None = None  # None: the profile's, which is tuned
    muon_lr: float | None = None  # None: AdamW for all parameters
    schedule: str = "cosine"
    lengths: tuple[int, ...] = (1,)

    def optimizers(self, model: nn.Module, max_lr: float) -> list[torch.optim.Optimizer]:
        """AdamW, and Muon for the matrices of the blocks where the recipe says so; each group knows its `max_lr`."""
        layers = model.layers if hasattr(model, "layers") else model.h  # Llama's name for them, and GPT-2's
        blocks = {p for block in layers for p in block.parameters() if p.dim() == 2} if self.muon_lr else set()
        rest = [p for p in model.parameters() if p not in blocks]
        # Pulling biases and norms towards 0 would fight their purpose: only matrices decay.
        groups = [{"params": [p for p in rest if p.dim() >= 2], "weight_decay": 0.1},
                  {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0}]  # fmt: skip
        optimizers = [torch.optim.AdamW(groups, lr=self.lr or max_lr, betas=BETAS, eps=1e-8, fused=True)]
        if blocks:
            matrices = [p for p in model.parameters() if p in blocks]  # in the model's order, not the set's
            optimizers.append(Muon(matrices, lr=self.muon_lr))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["max_lr"] = group["lr"]
        return optimizers

    def rate(self, step: int, warmup_steps: int, max_steps: int) -> float:
        """The share of each group's `max_lr` at optimiser step `step`."""
        if self.schedule == "wsd":
            return wsd(step, 1.0, warmup_steps, max_steps)
        return learning_rate(step, 1.0, warmup_steps, max_steps, min_lr=0.1)

    def length(self, step: int, max_steps: int, block_size: int) -> int:
        """Tokens a row at optimiser step `step`."""
        part = min(step * len(self.lengths) // max_steps, len(self.lengths) - 1)
        return block_size // self.lengths[part]


# GPT-3's rate for 125 M parameters, which the report multiplied by three ("too conservative").
GPT3_LR = 6e-4

RECIPES: dict[str, Recipe] = {
    "gpt3": Recipe("AdamW at GPT-3's rate, cosine", lr=GPT3_LR),
    "paper": Recipe("the report: three times that rate", lr=3 * GPT3_LR),
    "adamw": Recipe("AdamW, rate tuned for the size"),
    "muon": Recipe("Muon for the blocks' matrices", lr=6e-3, muon_lr=5e-3),
    "default": Recipe("… and short rows first", lr=6e-3, muon_lr=5e-3, lengths=(4, 2, 1)),
    "default, WSD": Recipe("… and WSD for the cosine", lr=6e-3, muon_lr=5e-3, lengths=(4, 2, 1), schedule="wsd"),
}


def set_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> float:
    """Set each group's learning rate to `rate` times its `max_lr`; returns that of AdamW's first group."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["max_lr"]
    return optimizers[0].param_groups[0]["lr"]
