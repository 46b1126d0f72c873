"""Adapters (Houlsby et al. 2019): small networks put behind attention and MLP of every block.

    h ← h + U · gelu(D h + d) + u        D: (size, width), U: (width, size)

Down to a few numbers, a bend, and up again; U begins at zero, so the model begins as it was. Unlike LoRA's, the
correction isn't linear: it can't be merged, and costs its time in use. The paper also trains the layer norms; here
they stay frozen, so that the method is one thing. `peft` (0.21) has no such adapter; the tests hold this one against
a GPT-Neo written out as formulas, and against gradients worked out on paper.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from labkit.models.freezing import Model, train_only
from labkit.models.lora import wrap_linears


class Bottleneck(nn.Module):
    """x + up(gelu(down(x))), the identity until it is trained; device and dtype are those of `like`."""

    def __init__(self, width: int, size: int, like: Tensor) -> None:
        super().__init__()
        self.down = nn.Linear(width, size, device=like.device, dtype=like.dtype)
        self.up = nn.Linear(size, width, device=like.device, dtype=like.dtype)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) → (…, width)."""
        return x + self.up(F.gelu(self.down(x)))


def add_bottlenecks(model: Model, size: int = 8) -> Model:
    """Freeze a GPT-Neo and put a bottleneck behind the last layer of each attention and each MLP; returns the model.

    It works on what they add to the stream, before it is added. 2 · size · width + size + width numbers each, two a
    block. Raises `LabError` for a model without such layers.
    """
    train_only(model, lambda name: False)
    return wrap_linears(
        model,
        ("out_proj", "c_proj"),
        lambda linear: nn.Sequential(linear, Bottleneck(linear.out_features, size, linear.weight)),
    )
