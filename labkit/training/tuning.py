"""Tuning a language model to answer with a label: prompts, answers, and the loss on the answers alone.

    pairs = encode_examples(tokenizer, data.train, data.labels)
    rows = tune(adapt(model, "prompt_tuning", n_tokens=20), pairs, epochs=8, lr=0.03)

The same for every method of `models.adapters`: what trains is what they left trainable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.evaluation.labels import target_ids
from labkit.profile import LabError, autocast
from labkit.tasks.labelled import Example
from labkit.tasks.pairs import IGNORE, Pair, causal, shuffled
from labkit.training.finetune import finetune

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def encode_examples(
    tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example], labels: Sequence[str], max_tokens: int
) -> list[Pair]:
    """A prompt's tokens and its answer's, for each example.

    Raises `LabError` for one that is longer than `max_tokens`: cut, it would lose the words that ask for the label.
    """
    answers = [torch.tensor(target_ids(tokenizer, label)) for label in labels]
    prompts = tokenizer([e.prompt for e in examples], add_special_tokens=False)["input_ids"]
    pairs = [(torch.tensor(ids), answers[e.label]) for ids, e in zip(prompts, examples, strict=True)]
    for example, (prompt, answer) in zip(examples, pairs, strict=True):
        if len(prompt) + len(answer) > max_tokens:
            raise LabError(
                f"a prompt and its answer have {len(prompt) + len(answer)} tokens, where {max_tokens} fit: "
                f"leave it out, or take a model with a longer context ({example.text[:60]!r} …)"
            )
    return pairs


def answer_logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The model's logits (answers' tokens, vocabulary); `batch` is `causal`'s, its labels shifted already."""
    asked = batch["labels"] != IGNORE
    places = asked.any(0).nonzero().flatten()  # a few of many, and the output matrix is a quarter of a small model
    with autocast(asked.device):
        logits = model(input_ids=batch["input_ids"], logits_to_keep=places).logits
    return logits[asked[:, places]].float()


def answer_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy of the answers' tokens, nats a token."""
    return F.cross_entropy(answer_logits(model, batch), answer_tokens(batch))


def answer_tokens(batch: dict[str, Tensor]) -> Tensor:
    """The tokens that `answer_logits` are to predict, (answers' tokens,)."""
    return batch["labels"][batch["labels"] != IGNORE]


def tune(
    model: nn.Module,
    pairs: Sequence[Pair],
    epochs: float,
    lr: float,
    batch_size: int = 16,
    seed: int = 0,
    evaluate: Callable[[], dict[str, float]] | None = None,
    evaluations: int = 1,
    stop: Callable[[list[dict[str, Any]]], bool] | None = None,
) -> list[dict[str, Any]]:
    """So many epochs of `pairs`, with `finetune`; `evaluate` is asked `evaluations` times, the last time at the end.

    `stop` may end it sooner, as in `finetune`.
    """
    steps = max(1, round(epochs * len(pairs) / batch_size))
    loader = shuffled(pairs, batch_size, partial(causal, pad_id=0), seed)
    return finetune(
        model, partial(answer_loss, model), loader, steps, lr, warmup_steps=steps // 20, weight_decay=0.0,
        evaluate=evaluate, eval_every=max(1, steps // evaluations), stop=stop,
    )  # fmt: skip
