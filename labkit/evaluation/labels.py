"""A language model as a classifier: what it would write after the prompt, label by label.

    scores = score_labels(model, tokenizer, prompts, labels)         # (prompts, labels), nats; argmax is the answer
    texts = [write_answer(model, tokenizer, prompt) for prompt in prompts]

Two ways to ask. *Scoring* adds up the log-probabilities of each label's tokens and of the end of text behind it, so
that a label of two tokens is no worse off than what it says: one batch for many prompts, always an answer. *Free
generation* lets the model write, as in the report: prompt by prompt, token by token, and what comes may be no label at
all. A model that knows the task gives the same answers both ways; one that doesn't gives none when it writes, and
better than none when it is scored.

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

BATCH = 48  # sequences; more only pad more


def target_ids(tokenizer: PreTrainedTokenizerFast, label: str) -> list[int]:
    """What is to be written after a prompt: the label, and the end of text."""
    return [*tokenizer(f" {label}", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


@torch.inference_mode()
def score_labels(
    model: nn.Module, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str], labels: Sequence[str]
) -> Tensor:
    """Log p(label and end of text | prompt), nats, (prompts, labels), on the CPU."""
    device = next(model.parameters()).device
    targets = [torch.tensor(target_ids(tokenizer, label)) for label in labels]
    rows = [
        (torch.tensor(ids), target)
        for ids in tokenizer(list(prompts), add_special_tokens=False)["input_ids"]
        for target in targets
    ]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
    scores = torch.empty(len(rows))
    for begin in tqdm(range(0, len(rows), BATCH), desc="scoring labels", leave=False, disable=len(rows) <= BATCH):
        some = order[begin : begin + BATCH]
        scores[some] = _log_probs(model, [rows[i] for i in some], device)
    return scores.view(len(prompts), len(labels))


def _log_probs(model: nn.Module, rows: Sequence[tuple[Tensor, Tensor]], device: torch.device) -> Tensor:
    """Of each target after its prompt, nats, (rows,)."""
    ids = pad_sequence([torch.cat(row)[:-1] for row in rows], batch_first=True).to(device)
    logits = model(input_ids=ids).logits
    found = [
        logits[i, len(prompt) - 1 : len(prompt) - 1 + len(target)]
        .float()
        .log_softmax(-1)
        .gather(-1, target.to(device)[:, None])
        .sum()
        for i, (prompt, target) in enumerate(rows)
    ]
    return torch.stack(found).cpu()


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
