"""LoRA (Hu et al. 2021): a frozen matrix W learns a correction of low rank, and loses it again when you like.

    y = W x + (α / r) · B A dropout(x)        W: (out, in), A: (r, in), B: (out, r)

Only A and B are trained, r · (in + out) numbers instead of in · out. B begins at zero, so the model begins as it was.
For use, W + (α / r) B A is one matrix again (`merge`), as fast as before; the price is that W is kept beside it,
which is what lets `unmerge` bring it back to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.models.freezing import Model, is_bias, train_only
from labkit.profile import unknown


class LoRA(nn.Module):
    """A linear layer with a correction of rank `r`."""

    def __init__(self, linear: nn.Linear, r: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear = linear
        self.A = nn.Parameter(linear.weight.new_empty(r, linear.in_features))
        self.B = nn.Parameter(linear.weight.new_zeros(linear.out_features, r))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.dropout = nn.Dropout(dropout)
        self.scale = alpha / r
        self.register_buffer("unmerged", None, persistent=False)  # W, while it is merged

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        y = self.linear(x)
        if self.unmerged is not None:
            return y
        return y + self.scale * F.linear(F.linear(self.dropout(x), self.A), self.B)

    @torch.no_grad()
    def merge(self) -> None:
        """Put the correction into W. Nothing happens if it is there."""
        if self.unmerged is None:
            self.unmerged = self.linear.weight.data
            self.linear.weight.data = self.unmerged + self.scale * self.B @ self.A

    def unmerge(self) -> None:
        """Put W back."""
        if self.unmerged is not None:
            self.linear.weight.data, self.unmerged = self.unmerged, None


def add_lora(
    model: Model,
    r: int = 16,
    alpha: float = 16,
    dropout: float = 0.0,
    targets: Collection[str] = ("q_proj", "v_proj"),
    bias: str = "none",
) -> Model:
    """Freeze `model` and give the linear layers named in `targets` a correction; returns the model.

    With `bias="all"` the biases are trained, too. Raises `LabError` for a target or a bias that there isn't.
    """
    if bias not in ("none", "all"):
        raise unknown("bias", bias, ("none", "all"))
    train_only(model, lambda name: bias == "all" and is_bias(name))
    return wrap_linears(model, targets, lambda linear: LoRA(linear, r, alpha, dropout))


def wrap_linears(model: Model, targets: Collection[str], wrap: Callable[[nn.Linear], nn.Module]) -> Model:
    """Put `wrap(linear)` in the place of every linear layer whose own name is in `targets`."""
    found = [(path.rpartition("."), m) for path, m in model.named_modules() if isinstance(m, nn.Linear)]
    names = {name for (_, _, name), _ in found}
    for target in targets:
        if target not in names:
            raise unknown("target", target, sorted(names))
    for (parent, _, name), linear in found:
        if name in targets:
            setattr(model.get_submodule(parent), name, wrap(linear).train(linear.training))
    return model


def merge(model: nn.Module) -> None:
    """Put every correction into its matrix, for use: same answers up to rounding, no extra work."""
    for module in model.modules():
        if isinstance(module, LoRA):
            module.merge()


def unmerge(model: nn.Module) -> None:
    """Put every matrix back, bit for bit, to train on or to change the adapter."""
    for module in model.modules():
        if isinstance(module, LoRA):
            module.unmerge()
