"""What a forward pass keeps for the backward pass, counted by what autograd is given to save."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def kept_bytes(model: nn.Module, loss_of: Callable[[], Tensor]) -> tuple[int, Tensor]:
    """Bytes kept beside the parameters, halved copies of them included, and the loss; shared storage counts once.

    Fake tensors (`torch._subclasses.fake_tensor`) are counted as real ones are.
    """
    own = {p.untyped_storage()._cdata for p in model.parameters()}
    kept: dict[int, tuple[int, Tensor]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes(), tensor  # held, or the next one might have its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = loss_of()
    return sum(size for size, _ in kept.values()), loss
