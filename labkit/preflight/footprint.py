"""What a step of a part needs, counted without running it.

torch's fake tensors have shapes and dtypes and no memory: the model is built and differentiated as always, in seconds,
for 1.3 billion parameters too. What the forward pass keeps for the backward pass is what autograd is given to save, and
FLOPs are those of torch's own counter. Matrix products are counted in bf16, as on a GPU. Not counted is what exists in
passing only, such as the logits' gradient; `fit` leaves room for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.models.checkpointing import recompute
from labkit.models.fast import FastLoss
from labkit.models.kept import kept_bytes
from labkit.preflight.parts import Part


@dataclass(frozen=True)
class Footprint:
    """Of a part: numbers, bytes that a step's forward pass keeps for the backward pass, FLOPs of both."""

    start: int  # parameters of the model that it begins with
    parameters: int  # with those that a method adds
    trained: int
    kept: int
    kept_recomputing: int  # where blocks are computed again instead of kept
    flops: int


def footprint(part: Part) -> Footprint:
    """Count `part` at its full size."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    with FakeTensorMode():
        model = part.start()
        start = sum(p.numel() for p in model.parameters())
        model = part.tunable(model).train()
        if isinstance(model, FastLoss):  # which casts by itself
            model.dtype = torch.bfloat16
        batch = part.batch(part.rows, part.tokens)

        def loss_of() -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=not isinstance(model, FastLoss)):
                return part.loss(model, batch)

        with FlopCounterMode(display=False) as counter:
            kept, loss = kept_bytes(model, loss_of)
            if part.by != "write":
                loss.backward()
        flops = counter.get_total_flops()
        least = kept
        if part.recomputes and part.by != "write":
            trunk = getattr(model, "backbone", model)  # of a soft prompt
            n_blocks = recompute(trunk)
            outside, _ = kept_bytes(model, loss_of)
            inputs = 4 * part.rows * part.tokens * trunk.config.hidden_size * n_blocks
            least = min(kept, outside + inputs + (kept - outside) // n_blocks)
    sizes = {p: p.numel() for p in model.parameters()}
    trained = sum(n for p, n in sizes.items() if p.requires_grad)
    return Footprint(start, sum(sizes.values()), trained, kept, least, flops)
