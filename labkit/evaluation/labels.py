"""A language model as a classifier: what it would write after the prompt, label by label.

    scores = score_labels(model, tokenizer, prompts, labels)         # (prompts, labels), nats; argmax is the answer
    texts = [write_answer(model, tokenizer, prompt) for prompt in prompts]

Two ways to ask. *Scoring* compares the labels where they part: "negative" and "neutral" at their first token, "not
equivalent" and "not related" at their second. Each prompt is read once for each such place, mostly once, in a batch
with many others; there is always an answer, and what all labels go through alike, such as the end of text, isn't asked.
*Free generation* lets the model write, as in the report: prompt by prompt, token by token, and what comes may be no
label at all. A model that knows the task gives the same answers both ways; one that doesn't gives none when it writes,
and better than none when it is scored.

Rows are padded on the right, where a causal model can't see: no answer depends on its neighbours in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BATCH = 32  # sequences; more only pad more


def target_ids(tokenizer: PreTrainedTokenizerFast, label: str) -> list[int]:
    """What is to be written after a prompt: the label, and the end of text."""
    return [*tokenizer(f" {label}", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


@torch.inference_mode()
def score_labels(
    model: nn.Module, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str], labels: Sequence[str]
) -> Tensor:
    """Log p of the tokens that tell a label from the others, after the prompt: nats, (prompts, labels), on the CPU."""
    encoded = tokenizer(list(prompts), add_special_tokens=False)["input_ids"]
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    scores = torch.zeros(len(encoded), len(labels))
    bar = tqdm(total=len(encoded), desc="scoring labels", leave=False, disable=len(encoded) <= BATCH)
    for begin in range(0, len(encoded), BATCH):
        some = order[begin : begin + BATCH]
        for prefix, tokens in forks([target_ids(tokenizer, label) for label in labels]).items():
            found = _next_log_probs(model, [[*encoded[i], *prefix] for i in some])
            scores[torch.tensor(some)[:, None], list(tokens)] += found[:, list(tokens.values())]
        bar.update(len(some))
    bar.close()
    return scores


def forks(targets: Sequence[Sequence[int]]) -> dict[tuple[int, ...], dict[int, int]]:
    """Where labels part: the tokens that some of them share up to there → each one's next token, by its index.

    >>> forks([[7, 0], [8, 5, 0], [8, 6, 0]])
    {(): {0: 7, 1: 8, 2: 8}, (8,): {1: 5, 2: 6}}
    """
    found: dict[tuple[int, ...], dict[int, int]] = {}
    for label, target in enumerate(targets):
        for n, token in enumerate(target):
            found.setdefault(tuple(target[:n]), {})[label] = token
    return {prefix: tokens for prefix, tokens in found.items() if len(set(tokens.values())) > 1}


def _next_log_probs(model: nn.Module, rows: Sequence[Sequence[int]]) -> Tensor:
    """Of each word of the vocabulary after each row, nats, (rows, vocab)."""
    device = next(model.parameters()).device
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(device)
    places, last = torch.tensor([len(row) - 1 for row in rows], device=device).unique(return_inverse=True)
    logits = model(input_ids=ids, logits_to_keep=places).logits
    return logits[torch.arange(len(rows)), last].float().log_softmax(-1).cpu()


@torch.inference_mode()
def write_answer(model: nn.Module, tokenizer: PreTrainedTokenizerFast, prompt: str, max_new_tokens: int = 8) -> str:
    """What the model writes after the prompt, greedily, up to its end of text."""
    device = next(model.parameters()).device
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    written: list[int] = []
    while len(written) < max_new_tokens:
        token = model(input_ids=torch.tensor([ids + written], device=device)).logits[0, -1].argmax().item()
        if token == tokenizer.eos_token_id:
            break
        written.append(token)
    return tokenizer.decode(written)


def read_answer(text: str, labels: Sequence[str]) -> int:
    """Which label a model wrote, as an index; -1 if it is none of them."""
    return {label: i for i, label in enumerate(labels)}.get(text.strip(), -1)
