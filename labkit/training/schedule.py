"""The learning rate over time, two ways.

Cosine (Brown et al. 2020, GPT-3, appendix B): linear warm-up, then half a cosine down to a tenth.
WSD (Hu et al. 2024, MiniCPM, §4): warm-up, a plateau, then a straight decay to 0.
"""

from __future__ import annotations

import math


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


def wsd(step: int, max_lr: float, warmup_steps: int, max_steps: int, decay_share: float = 0.3) -> float:
    """The rate of optimiser step `step`, counted from 0: warm up, stay, and go down over the last `decay_share`.

    Unlike a cosine, the plateau doesn't know where the run ends: stop, decay, or go on from there.
    """
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    decay_steps = decay_share * max_steps
    return max_lr * min(1.0, (max_steps - step) / decay_steps)
