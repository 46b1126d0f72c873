"""The learning rate over time: linear warm-up, then a cosine down to a tenth (Brown et al. 2020, GPT-3, appendix B)."""

from __future__ import annotations

import math

# The report trained with three times GPT-3's rate for this size ("too conservative"); notebook 02 tries both.
REPORT_LR_SCALE = 3.0


def learning_rate(step: int, max_lr: float, warmup_steps: int, max_steps: int, min_lr: float) -> float:
    """The rate of optimiser step `step`, counted from 0.

    The first step already learns (`max_lr / warmup_steps`, not 0), the last step of the warm-up reaches `max_lr`,
    and from `max_steps` on the rate stays at `min_lr`.
    """
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= max_steps:
        return min_lr
    progress = (step - warmup_steps) / (max_steps - warmup_steps)
    return min_lr + 0.5 * (1 + math.cos(math.pi * progress)) * (max_lr - min_lr)
