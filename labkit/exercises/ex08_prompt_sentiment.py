"""The exercises of notebook 08: macro-F1, the log-probability of a label, and a prompt before a text.

The reference answers are closed forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

import torch
from torch import Tensor

from labkit.exercises.exercise import Case, Exercise, Mistake
from labkit.tasks.pairs import IGNORE

# --- 08-macro-f1 ------------------------------------------------------------------------------------------

Indexes = Sequence[int]
Counts = tuple[int, int, int]  # of one label: found rightly, predicted, true


def macro_f1(truth: Indexes, predicted: Indexes, n_labels: int) -> float:
    """The mean of the labels' F1; a prediction of -1 is no label."""
    return fmean(2 * hits / max(1, said + true) for hits, said, true in _counts(truth, predicted, n_labels))


def _counts(truth: Indexes, predicted: Indexes, n_labels: int) -> list[Counts]:
    pairs = list(zip(truth, predicted, strict=True))
    return [
        (pairs.count((label, label)), list(predicted).count(label), list(truth).count(label))
        for label in range(n_labels)
    ]


def _mean_of(score: Callable[[Counts], float]) -> Callable[[Indexes, Indexes, int], float]:
    return lambda truth, predicted, n_labels: fmean(map(score, _counts(truth, predicted, n_labels)))


def _precision(counts: Counts) -> float:
    return counts[0] / max(1, counts[1])


def _recall(counts: Counts) -> float:
    return counts[0] / max(1, counts[2])


def _weighted(truth: Indexes, predicted: Indexes, n_labels: int) -> float:
    rows = _counts(truth, predicted, n_labels)
    return sum(true * 2 * hits / max(1, said + true) for hits, said, true in rows) / len(truth)


def _means_first(truth: Indexes, predicted: Indexes, n_labels: int) -> float:
    p, r = (_mean_of(score)(truth, predicted, n_labels) for score in (_precision, _recall))
    return 2 * p * r / (p + r)


def _answered_only(truth: Indexes, predicted: Indexes, n_labels: int) -> float:
    kept = [(t, p) for t, p in zip(truth, predicted, strict=True) if p != -1]
    return macro_f1([t for t, _ in kept], [p for _, p in kept], n_labels)


def _seen_only(truth: Indexes, predicted: Indexes, n_labels: int) -> float:
    rows = [row for row in _counts(truth, predicted, n_labels) if row[1] or row[2]]
    return fmean(2 * hits / (said + true) for hits, said, true in rows)


_RECIPE_HINT = "For each label 2 · found / (predicted + true), then the plain mean over the labels."

_MACRO_F1 = Exercise(
    id="08-macro-f1",
    wants="macro_f1",
    difficulty="medium",
    minutes=7,
    reference=macro_f1,
    cases=(
        Case("two labels, each with an F1 of 2/3", lambda: ([0, 0, 1], [0, 1, 1], 2)),
        Case("always the commonest of 3 labels: 3/4 for it, 0 for the others", lambda: ([0, 1, 1, 1, 2], [1] * 5, 3)),
        Case("one answer is no label (-1)", lambda: ([0, 1, 2, 2, 1, 0, 1], [0, 2, 2, 1, 1, -1, 1], 3)),
        Case("a fourth label that nobody has and nobody predicts", lambda: ([0, 1, 2, 2, 1], [0, 2, 2, 1, 1], 4)),
    ),
    mistakes=(
        Mistake(
            "that is accuracy: a label that is rare hardly counts",
            _RECIPE_HINT,
            lambda truth, predicted, n_labels: fmean(t == p for t, p in zip(truth, predicted, strict=True)),
        ),
        Mistake(
            "labels are weighted by how common they are, so who ignores a rare one goes unpunished",
            "Each label counts once, however many examples it has: the plain mean of their F1.",
            _weighted,
        ),
        Mistake(
            "precision and recall are averaged over labels first, and joined then",
            "F1 first, label by label; the mean comes last.",
            _means_first,
        ),
        Mistake("that is the mean of the labels' precision", _RECIPE_HINT, _mean_of(_precision)),
        Mistake("that is the mean of the labels' recall", _RECIPE_HINT, _mean_of(_recall)),
        Mistake(
            "examples without an answer are left out, so who stays silent when unsure looks better",
            "A prediction of -1 is wrong: the example still counts as one of its true label.",
            _answered_only,
        ),
        Mistake(
            "a prediction of -1 is counted as the last label",
            "In Python index -1 is the last one. Compare with each label instead of using it as an index.",
            lambda truth, predicted, n_labels: macro_f1(truth, [p % n_labels for p in predicted], n_labels),
        ),
        Mistake(
            "a label that nobody has or predicts is left out of the mean",
            "Divide by n_labels: here such a label has an F1 of 0.",
            _seen_only,
        ),
    ),
    hints=(
        (
            "Do it for one label first: what was found rightly, what was predicted, what is true. Then for all, then "
            "the mean."
        ),
        (
            "`list.count(label)` counts the predicted and the true ones; those found rightly are the places where "
            "both lists have the label."
        ),
        "Divide the sum of the F1s by n_labels, also if a label never occurs: its F1 is 0.",
    ),
    praise="every label weighs the same, so the rare one can't be ignored for nothing.",
)  # fmt: skip

# --- 08-label-log-prob ------------------------------------------------------------------------------------


def label_log_prob(logits: Tensor, n_prompt: int, target: Tensor) -> float:
    """Nats, log p, of `target` (tokens,) after the first `n_prompt` tokens of a row with `logits` (time, vocab)."""
    rows = _from(logits, n_prompt - 1, target).log_softmax(dim=-1)
    return _picked(rows, target).sum().item()


def _from(logits: Tensor, begin: int, target: Tensor) -> Tensor:
    return logits[begin : begin + len(target)]


def _picked(rows: Tensor, target: Tensor) -> Tensor:
    return rows.gather(-1, target[:, None])


def _at(begin: Callable[[Tensor, int, Tensor], int]) -> Callable[[Tensor, int, Tensor], float]:
    """Right, but for the place where it begins to read."""
    return lambda logits, n, target: label_log_prob(logits, begin(logits, n, target) + 1, target)


def _overflowing(logits: Tensor, n_prompt: int, target: Tensor) -> float:
    weights = _from(logits, n_prompt - 1, target).exp()
    return _picked((weights / weights.sum(-1, keepdim=True)).log(), target).sum().item()


def _equal_logits() -> tuple[Tensor, int, Tensor]:
    return torch.zeros(4, 5), 2, torch.tensor([3, 0])


def _padded_row(scale: float = 3.0, tokens: int = 3) -> tuple[Tensor, int, Tensor]:
    g = torch.Generator().manual_seed(tokens)
    return scale * torch.randn(9, 11, generator=g), 3, torch.randint(11, (tokens,), generator=g)


_LABEL_LOG_PROB = Exercise(
    id="08-label-log-prob",
    wants="label_log_prob",
    difficulty="hard",
    minutes=7,
    reference=label_log_prob,
    cases=(
        Case("5 tokens that are equally likely, a label and its end: -2 ln 5", _equal_logits),
        Case("a prompt of 3 tokens, a label of 2 and its end, then padding", _padded_row),
        Case("logits in the hundreds", lambda: _padded_row(300.0, 2)),
    ),
    mistakes=(
        Mistake(
            "it reads one position too late: what follows the label's first token, not the first token",
            "Position t foretells token t + 1, so the label's first token stands in the logits of n_prompt - 1.",
            _at(lambda logits, n, target: n),
        ),
        Mistake(
            "it reads the end of the row, where there is padding",
            "Count from the front: the label begins behind the prompt, wherever the row ends.",
            _at(lambda logits, n, target: len(logits) - len(target)),
        ),
        Mistake(
            "it reads the prompt's own logits, from the start of the row",
            "The label's first token stands in the logits of n_prompt - 1.",
            _at(lambda logits, n, target: 0),
        ),
        Mistake(
            "that is the mean over the label's tokens: later ones, which follow of themselves, make a long label cheap",
            "Probabilities of tokens are multiplied, so their logarithms are added.",
            lambda logits, n, target: label_log_prob(logits, n, target) / len(target),
        ),
        Mistake(
            "logits are added, which aren't log-probabilities yet",
            "`log_softmax(dim=-1)` first: over the vocabulary, position by position.",
            lambda logits, n, target: _picked(_from(logits, n - 1, target), target).sum().item(),
        ),
        Mistake(
            "probabilities are added, not their logarithms",
            "`log_softmax`, not `softmax`; then the sum.",
            lambda logits, n, target: _picked(_from(logits, n - 1, target).softmax(-1), target).sum().item(),
        ),
        Mistake(
            "the end of text is missing, so a label that begins another one would always win",
            "`target` holds the label and its end: count all of it.",
            lambda logits, n, target: label_log_prob(logits, n, target[:-1]),
        ),
        Mistake(
            "only the label's first token is counted",
            "Take a log-probability for every token of `target`.",
            lambda logits, n, target: label_log_prob(logits, n, target[:1]),
        ),
        Mistake(
            "the sign is turned: the likeliest label should have the largest score",
            "A log-probability is at most 0. Leave its sign as it is.",
            lambda logits, n, target: -label_log_prob(logits, n, target),
        ),
        Mistake(
            "for large logits the exponential overflows",
            "`log_softmax` subtracts the largest logit first. Don't take `exp` and `log` yourself.",
            _overflowing,
        ),
    ),
    hints=(
        (
            "Which row of the logits speaks of the label's first token? Write a short row on paper: `logits[t]` is "
            "about token t + 1."
        ),
        "It is row n_prompt - 1, and the next tokens have the next rows. Take `log_softmax` over the vocabulary first.",
        (
            "Index with two tensors of the same length, rows and tokens, and you get one number for each token; then "
            "add them up."
        ),
    ),
    praise="one forward pass says how likely each label is, and no token had to be written.",
)  # fmt: skip

# --- 08-with-prompt ---------------------------------------------------------------------------------------

Row = tuple[Tensor, Tensor]


def with_prompt(prompt: Tensor, text: Tensor, labels: Tensor) -> Row:
    """`prompt` (n, width) before every text (batch, time, width), and -100 before its labels (batch, time)."""
    before = prompt.expand(len(text), -1, -1)
    return torch.cat([before, text], dim=1), torch.cat([_unasked(prompt, labels), labels], dim=1)


def _unasked(prompt: Tensor, labels: Tensor, value: int = IGNORE) -> Tensor:
    return labels.new_full((len(labels), len(prompt)), value)


def _behind(prompt: Tensor, text: Tensor, labels: Tensor) -> Row:
    behind = prompt.expand(len(text), -1, -1)
    return torch.cat([text, behind], dim=1), torch.cat([labels, _unasked(prompt, labels)], dim=1)


def _zeros(prompt: Tensor, text: Tensor, labels: Tensor) -> Row:
    return with_prompt(prompt, text, labels)[0], torch.cat([_unasked(prompt, labels, 0), labels], dim=1)


def _mixed(prompt: Tensor, text: Tensor, labels: Tensor) -> Row:
    rows = prompt.repeat_interleave(len(text), dim=0).view(len(text), *prompt.shape)
    return torch.cat([rows, text], dim=1), with_prompt(prompt, text, labels)[1]


def _two_by_hand() -> tuple[Tensor, Tensor, Tensor]:
    prompt, text = torch.tensor([[9.0], [8.0]]), torch.tensor([[[1.0], [2.0], [3.0]]])
    return prompt, text, torch.tensor([[IGNORE, 5, 6]])


def _random_batch() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(9, (2, 5), generator=g)
    labels[:, :3] = labels[1, 4] = IGNORE
    return torch.randn(3, 4, generator=g), torch.randn(2, 5, 4, generator=g), labels


_WITH_PROMPT = Exercise(
    id="08-with-prompt",
    wants="with_prompt",
    difficulty="medium",
    minutes=6,
    reference=with_prompt,
    cases=(
        Case("2 vectors before a text of 3 tokens, of which 2 are asked for", _two_by_hand),
        Case("3 vectors of width 4 before two texts of 5 tokens", _random_batch),
    ),
    mistakes=(
        Mistake(
            "the prompt stands behind the text, where no token of the text can see it",
            "`torch.cat([prompt, text], dim=1)`: what comes first is seen by all that follows.",
            _behind,
        ),
        Mistake(
            "the prompt stands before the text, but the labels are filled up at their end: they moved",
            "What is put before the text is put before its labels too.",
            lambda prompt, text, labels: (with_prompt(prompt, text, labels)[0], _behind(prompt, text, labels)[1]),
        ),
        Mistake(
            "at the prompt the model is asked for token 0",
            "0 is a token like any other. The label that the loss skips is -100.",
            _zeros,
        ),
        Mistake(
            "the labels are as long as the text alone: logits and labels don't fit any more",
            "Put n labels of -100 before them.",
            lambda prompt, text, labels: (with_prompt(prompt, text, labels)[0], labels),
        ),
        Mistake(
            "the prompt's vectors are mixed up: each text should get all of them, in order",
            "`prompt.expand(len(text), -1, -1)` gives every text the whole prompt.",
            _mixed,
        ),
    ),
    hints=(
        "Two concatenations along dim=1: prompt and text, and -100s and labels.",
        "`expand` gives every text the same prompt: its shape has to become (batch, n, width), without copying.",
        "`labels.new_full` makes a tensor of the labels' dtype, full of one number; its shape is (batch, n).",
    ),
    praise="that is all of prompt tuning: the rest is an optimiser that may change `prompt` and nothing else.",
)  # fmt: skip

EXERCISES: tuple[Exercise, ...] = (_MACRO_F1, _LABEL_LOG_PROB, _WITH_PROMPT)
