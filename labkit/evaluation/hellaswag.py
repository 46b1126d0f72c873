"""Which ending does the model find likelier? Accuracy on HellaSwag and on questions of its shape.

A model answers with the ending whose tokens have the lowest mean loss after the context ("acc_norm": the mean, since
the sum would prefer short endings). Two scorers give the same answers:

- `score_row_by_row` reads four rows a question, context + ending each: the plain way, and the reference;
- `score` reads the context once. Its row is [context, ending 1, … ending 4]: a tree, laid flat. Every ending's
  positions go on from the context's last, a mask keeps the endings from seeing each other, and the head, a third of
  a small model's work, runs only where an ending's token is predicted. Rows of like length share a batch.

Under several processes each scores its share, and the sums are the accuracy of all:

    mine = score(model, tokenizer, questions[ranks.rank :: ranks.world_size], dtype)
    all_of_it = Accuracy(*map(int, ranks.sum(mine.correct, mine.n)))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.evaluation.intervals import wilson
from labkit.models.gpt2 import GPT2
from labkit.tasks.bpe import Tokenizer
from labkit.tasks.hellaswag import CHOICES, Question

BATCH_TOKENS = {"cpu": 1024, "cuda": 16_384}  # read at a time, padding included: a CPU works from its cache


class Published(NamedTuple):
    """Somebody's accuracy on all 10,042 validation questions, zero-shot, by mean loss a token."""

    model: str
    accuracy: float
    source: str


# Near ours, not equal to them: each source formats the questions its own way, and they move by a point with it. (The
# report compares with "the GPT-2 paper", which is older than HellaSwag and has no such number.)
PUBLISHED = (
    Published("GPT-2 (124M)", 0.2945, "OpenAI's weights, scored by karpathy/build-nanogpt"),
    Published("GPT-3 Small (125M)", 0.337, "Brown et al. 2020, appendix H"),
)


@dataclass(frozen=True)
class Accuracy:
    """How many of `n` questions were answered correctly, and the answers (0–3) in the questions' order."""

    correct: int
    n: int
    predictions: tuple[int, ...] = ()

    chance: ClassVar[float] = 1 / CHOICES

    @property
    def accuracy(self) -> float:
        """A fraction, 0–1."""
        return self.correct / self.n

    @property
    def ci95(self) -> tuple[float, float]:
        """Its 95 % interval (Wilson)."""
        return wilson(self.correct, self.n)


class Encoded(NamedTuple):
    """A question as token ids, cut to the model's context."""

    context: list[int]
    endings: list[list[int]]


def encode(questions: Sequence[Question], tokenizer: Tokenizer, block_size: int) -> list[Encoded]:
    """Token ids; endings begin with a space, as words do.

    Where context and longest ending don't fit into `block_size` together, the context loses its beginning; an ending
    that fills the whole of it (only with a tiny model) loses its end.
    """
    contexts = tokenizer.encode_batch([q.context for q in questions])
    endings = iter(tokenizer.encode_batch([" " + ending for q in questions for ending in q.endings]))
    encoded = []
    for context in contexts:
        four = [next(endings)[: block_size - 1] for _ in range(CHOICES)]
        room = block_size - max(map(len, four))
        encoded.append(Encoded((context or [tokenizer.eot])[-room:], four))
    return encoded


def score(
    model: GPT2, tokenizer: Tokenizer, questions: Sequence[Question], dtype: torch.dtype = torch.float32
) -> Accuracy:
    """The model's accuracy, each context read once."""
    encoded = encode(questions, tokenizer, model.config.block_size)
    losses = torch.empty(len(questions), CHOICES)
    with _eager(model), _autocast(model, dtype):  # one autocast: weights are cast once for all batches
        for batch in batches(encoded, BATCH_TOKENS[_device(model).type]):
            losses[batch] = tree_losses(model, [encoded[i] for i in batch], dtype).cpu()
    return _accuracy(losses, questions)


def score_row_by_row(
    model: GPT2, tokenizer: Tokenizer, questions: Sequence[Question], dtype: torch.dtype = torch.float32
) -> Accuracy:
    """The same accuracy, each context read four times: the reference, and the baseline of the benchmark."""
    encoded = encode(questions, tokenizer, model.config.block_size)
    with _eager(model):
        losses = [row_losses(model, question, dtype).cpu() for question in encoded]
    return _accuracy(torch.stack(losses), questions)


@torch.no_grad()
def row_losses(model: GPT2, question: Encoded, dtype: torch.dtype = torch.float32) -> Tensor:
    """Mean loss (nats a token) of each ending after the context, float32 (4,): one padded row an ending."""
    device = _device(model)
    length = len(question.context) + max(map(len, question.endings))
    rows = torch.zeros(CHOICES, length, dtype=torch.long)
    counts = torch.zeros(CHOICES, length, dtype=torch.bool)  # which tokens are an ending's
    for row, count, ending in zip(rows, counts, question.endings, strict=True):
        end = len(question.context) + len(ending)
        row[:end] = torch.tensor(question.context + ending)
        count[len(question.context) : end] = True
    rows, counts = rows.to(device), counts.to(device)
    with _autocast(model, dtype):
        logits = model(rows)[:, :-1].float()
    losses = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none").view(CHOICES, -1)
    return (losses * counts[:, 1:]).sum(1) / counts.sum(1)


@torch.no_grad()
def tree_losses(model: GPT2, questions: Sequence[Encoded], dtype: torch.dtype = torch.float32) -> Tensor:
    """Mean loss (nats a token) of each ending after its context, float32 (questions, 4): one row a question."""
    device = _device(model)
    tree = Tree(*(t.to(device) for t in plant(questions)))
    with _autocast(model, dtype):
        hidden = model.hidden(tree.ids, position_ids=tree.positions, attention_mask=tree_mask(tree.branches))
        logits = model.lm_head(hidden.flatten(0, 1)[tree.sources])
    losses = F.cross_entropy(logits.float(), tree.targets, reduction="none")
    sums = losses.new_zeros(CHOICES * len(questions)).index_add_(0, tree.owners, losses)
    return (sums / tree.owners.bincount(minlength=len(sums))).view(-1, CHOICES)


class Tree(NamedTuple):
    """A batch of questions with their contexts as trunks: what the model reads (B, T), and what is asked of it (N,)."""

    ids: Tensor
    positions: Tensor  # an ending's go on from its context's last
    branches: Tensor  # 0 the trunk, 1–4 the endings, 5 padding
    sources: Tensor  # where in the flattened batch a token of an ending is predicted …
    targets: Tensor  # … which token it is …
    owners: Tensor  # … and whose: 4 · question + ending


def plant(questions: Sequence[Encoded]) -> Tree:
    """Lay the questions out. An ending's last token predicts nothing and is left out."""
    length = max(map(row_length, questions))
    ids, positions, branches = [], [], []
    sources, targets, owners = [], [], []
    for i, (context, endings) in enumerate(questions):
        row, places, branch = list(context), list(range(len(context))), [0] * len(context)
        for j, ending in enumerate(endings):
            read = len(ending) - 1
            sources += [i * length + at for at in (len(context) - 1, *range(len(row), len(row) + read))]
            targets += ending
            owners += [CHOICES * i + j] * len(ending)
            row += ending[:read]
            places += range(len(context), len(context) + read)
            branch += [j + 1] * read
        padding = length - len(row)
        ids.append(row + [0] * padding)
        positions.append(places + [0] * padding)
        branches.append(branch + [CHOICES + 1] * padding)
    return Tree(*map(torch.tensor, (ids, positions, branches, sources, targets, owners)))


def tree_mask(branches: Tensor) -> Tensor:
    """Who may look at whom, bool (B, 1, T, T), from the tokens' branches (B, T).

    Every token looks back at the trunk and along its own branch, never at a sister: what it sees is exactly the
    context and its own ending, as if it stood in a row of its own.
    """
    key, query = branches[:, None, None, :], branches[:, None, :, None]
    past = torch.ones(branches.shape[1], branches.shape[1], dtype=torch.bool, device=branches.device).tril()
    return past & ((key == 0) | (key == query))


def row_length(question: Encoded) -> int:
    """Tokens of a question's row in the tree."""
    return len(question.context) + sum(len(ending) - 1 for ending in question.endings)


def batches(questions: Sequence[Encoded], max_tokens: int) -> Iterator[list[int]]:
    """Indices of questions of like length, longest first, as many as fit into `max_tokens` with padding."""
    order = sorted(range(len(questions)), key=lambda i: -row_length(questions[i]))
    while order:
        fit = max(1, max_tokens // row_length(questions[order[0]]))
        yield order[:fit]
        order = order[fit:]


def _device(model: GPT2) -> torch.device:
    return model.wte.weight.device


def _autocast(model: GPT2, dtype: torch.dtype) -> torch.autocast:
    return torch.autocast(_device(model).type, dtype, enabled=dtype != torch.float32)


def _eager(model: GPT2) -> AbstractContextManager[None]:
    """Rows of every length would have blocks that were compiled for training (on GPUs) compiled again and again."""
    on_gpu = _device(model).type == "cuda"
    return torch.compiler.set_stance("force_eager") if on_gpu else nullcontext()


def _accuracy(losses: Tensor, questions: Sequence[Question]) -> Accuracy:
    predictions = tuple(losses.argmin(1).tolist())
    correct = sum(p == q.label for p, q in zip(predictions, questions, strict=True))
    return Accuracy(correct, len(questions), predictions)
