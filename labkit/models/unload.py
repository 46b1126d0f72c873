"""LoRA put into the matrices for good: what is left is a plain model, to serve, save or tune again.

    plain = unload(copy.deepcopy(tuned))

`lora.merge` keeps the wrapper around each layer, and W, to take the correction out again; so the arithmetic is that of
a plain model, but not the calls, which are most of a small model's time. Here both go. For a model of `peft` the same
is `merge_and_unload`.
"""

from __future__ import annotations

from labkit.models.freezing import Model
from labkit.models.lora import LoRA


def unload(model: Model) -> Model:
    """Merge every `LoRA` layer and put its linear layer back in its place; returns the model, which `adapt` takes."""
    for path, module in list(model.named_modules()):
        if isinstance(module, LoRA):
            module.merge()
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, module.linear)
    if hasattr(model, "recipe"):
        del model.recipe
    return model
