"""Muon: momentum whose matrix is made orthogonal before it is applied (Jordan et al. 2024).

A gradient's matrix has a few large singular values and many small ones; plain momentum moves along the few. With all
of them set to about 1 no direction is neglected. Five Newton–Schulz steps do it with matrix products alone, precise
enough in bf16; where that is slower than fp32, as on most CPUs, in fp32, which takes six tenths of the time there.

The same as `torch.optim.Muon` (a test holds the two together), but matrices of one shape go through the products
together: a small model's are so small that the calls cost as much as the arithmetic. Half the time on two CPU cores.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

from labkit.profile import pick_dtype

# A polynomial of odd degree, steep at 0 and near 1 from .7 to 1.2: applied five times it lifts every singular value
# above a thousandth into that band.
COEFFICIENTS = (3.4445, -4.775, 2.0315)
STEPS = 5


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay, for parameters that are matrices.

    An update's root mean square is brought to that of AdamW's, 0.2 (Liu et al. 2025, "Muon is scalable", §2.2), so that
    one scale of learning rates serves both. Raises `ValueError` for a parameter that isn't a matrix.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.1) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        if any(p.dim() != 2 for group in self.param_groups for p in group["params"]):
            raise ValueError("Muon is for matrices: give biases, norms and embeddings to AdamW")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            same_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    same_shape[p.shape].append(p)
            for shape, matrices in same_shape.items():
                directions = orthogonal(torch.stack([self._momentum(p, group["momentum"]) for p in matrices]))
                size = 0.2 * math.sqrt(
                    max(shape)
                )  # of an orthogonal matrix's entries the mean square is 1 / max(shape)
                for p, direction in zip(matrices, directions, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"] * size)

    def _momentum(self, p: Tensor, momentum: float) -> Tensor:
        state = self.state[p]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(p.grad)
        buffer = state["momentum_buffer"].lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(buffer, momentum)


def orthogonal(matrices: Tensor) -> Tensor:
    """Nearly orthogonal matrices (n, rows, columns) with the same singular vectors, and singular values .7 to 1.2."""
    a, b, c = COEFFICIENTS
    X = matrices.to(pick_dtype(matrices.device))
    if tall := X.shape[1] > X.shape[2]:
        X = X.mT  # the products are of the shorter side's size
    X = X / X.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(STEPS):
        A = X @ X.mT
        X = torch.baddbmm(X, torch.baddbmm(A, A, A, beta=b, alpha=c), X, beta=a)
    return X.mT if tall else X
