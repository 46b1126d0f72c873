"""Gradient checkpointing: a block's activations are computed again in the backward pass instead of being kept.

A block then keeps what went into it and nothing else, for one more forward pass: a third more compute (Chen et al.
2016, "Training deep nets with sublinear memory cost"). Worth it where memory is short, so it is done there only.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Model = TypeVar("Model", bound="PreTrainedModel")
SCARCE = 40e9  # bytes of a GPU; with less, 1.3 billion parameters and a batch of 16 don't fit side by side
SMALL = 100e6  # parameters; what is made here has fewer, and fits


def spare_activations(model: Model, memory: float | None = None) -> Model:
    """`model`, with checkpointing in training if it is large and the GPU's `memory` small (default: this one's)."""
    if memory is None:
        memory = torch.cuda.get_device_properties().total_memory if torch.cuda.is_available() else SCARCE
    if memory < SCARCE and model.num_parameters() > SMALL:
        recompute(model)
    return model


def recompute(model: PreTrainedModel) -> int:
    """Switch checkpointing on, from the next step in training mode on; returns the number of blocks."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    with warnings.catch_warnings():  # of the name it will have in transformers 6
        warnings.simplefilter("ignore", FutureWarning)
        # The older, reentrant kind finds no gradient where the input has none, as under LoRA or a soft prompt.
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return sum(isinstance(module, GradientCheckpointingLayer) for module in model.modules())
