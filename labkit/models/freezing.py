"""Which of a model's own parameters are trained: all, the biases, the top layers, or the head.

    model = bitfit(model)
    print("%d of %d" % trainable(model))

The methods here add nothing to a model: each sets `requires_grad` and returns the model it was given. A
classification head, which is new with every task, is always trained; a language model has none of its own, its output
matrix is the table of token embeddings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import nn

Model = TypeVar("Model", bound=nn.Module)
HEADS = {"classifier", "score"}  # what `transformers` calls the head for tokens, and the one for whole texts


def train_only(model: Model, chosen: Callable[[str], bool]) -> Model:
    """Freeze everything but the parameters whose name is `chosen`, and the classification head if there is one."""
    for name, p in model.named_parameters():
        p.requires_grad_(chosen(name) or in_head(name))
    return model


def in_head(name: str) -> bool:
    """Whether a parameter of this name belongs to a classification head, however deep the model is wrapped.

    >>> in_head("classifier.weight"), in_head("backbone.score.weight"), in_head("lm_head.weight")
    (True, True, False)
    """
    return not HEADS.isdisjoint(name.split("."))


def is_bias(name: str) -> bool:
    """Whether a parameter of this name is a bias, of a linear layer or of a normalisation."""
    return name.endswith(".bias")


def full(model: Model) -> Model:
    """Train everything."""
    return train_only(model, lambda name: True)


def bitfit(model: Model) -> Model:
    """Train the biases (Ben Zaken et al. 2022, "BitFit"): about one parameter in 3,000 of GPT-Neo 1.3B."""
    return train_only(model, is_bias)


def top_layers(model: Model, k: int = 1) -> Model:
    """Train the last `k` blocks of a GPT-Neo, and the normalisation after them.

    Raises `ValueError` for more blocks than there are.
    """
    n = len(model.transformer.h)
    if not 1 <= k <= n:
        raise ValueError(f"this model has 1 to {n} layers to train, not {k}")
    top = ("transformer.ln_f.", *(f"transformer.h.{i}." for i in range(n - k, n)))
    return train_only(model, lambda name: name.startswith(top))


def head_only(model: Model) -> Model:
    """Train the head alone: a classification head, or a language model's output matrix.

    That matrix is also the table of embeddings, which belongs to the backbone; so the head gets a copy of its own,
    vocabulary × width numbers, and the embeddings stay as they were.
    """
    lm_head = getattr(model, "lm_head", None)
    if lm_head is not None:
        lm_head.weight = nn.Parameter(lm_head.weight.detach().clone())
        model.config.tie_word_embeddings = False
    return train_only(model, lambda name: name.startswith("lm_head."))


def trainable(model: nn.Module) -> tuple[int, int]:
    """Numbers that are trained, and all numbers; a matrix that is used twice counts once."""
    sizes = [(p.requires_grad, p.numel()) for p in model.parameters()]
    return sum(n for grad, n in sizes if grad), sum(n for _, n in sizes)
