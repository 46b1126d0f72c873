"""The exercises of notebook 13: what a score needs of the logits, a loss at a temperature, LoRA as one matrix."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.exercises.exercise import Case, Exercise, Mistake
from labkit.tasks.pairs import IGNORE

Reduced = tuple[Tensor, Tensor]

# --- 13-reduced -------------------------------------------------------------------------------------------


def reduced(logits: Tensor, labels: Tensor) -> Reduced:
    """The likeliest ids, and the labels' log-probabilities (0 where nothing is asked), both (batch, time).

    `logits` (batch, time, vocab) and `labels` (batch, time) stand at the places that they are about.
    """
    return logits.argmax(-1), _picked(logits.log_softmax(-1), labels)


def _picked(of_words: Tensor, labels: Tensor) -> Tensor:
    found = of_words.gather(-1, labels.clamp_min(0)[..., None])[..., 0]
    return found.masked_fill(labels == IGNORE, 0.0)


def _with(log_probs: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Reduced]:
    """The right ids, with something else beside them."""
    return lambda logits, labels: (logits.argmax(-1), log_probs(logits, labels))


def _shifted(logits: Tensor, labels: Tensor) -> Reduced:
    found = torch.zeros(labels.shape)
    found[:, :-1] = reduced(logits[:, :-1], labels[:, 1:])[1]
    return logits.argmax(-1), found


def _overflowing(logits: Tensor, labels: Tensor) -> Tensor:
    weights = logits.exp()
    return _picked((weights / weights.sum(-1, keepdim=True)).log(), labels)


def _by_hand() -> tuple[Tensor, Tensor]:
    return torch.tensor([[[0.75, 0.25], [0.5, 0.5]]]).log(), torch.tensor([[0, IGNORE]])


def _batch(scale: float = 3.0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(7, (2, 5), generator=g)
    labels[0, :2] = labels[1, 4] = IGNORE
    return scale * torch.randn(2, 5, 7, generator=g), labels


_REDUCED = Exercise(
    id="13-reduced",
    wants="reduced",
    difficulty="medium",
    minutes=6,
    reference=reduced,
    cases=(
        Case("two words; the first has a chance of 3/4 and is asked for, then nothing is", _by_hand),
        Case("2 rows of 5 places, 7 words", _batch),
        Case("logits in the hundreds", lambda: _batch(300.0)),
    ),
    mistakes=(
        Mistake(
            "the log-probability is the likeliest word's, which makes every model look good",
            "The loss asks how likely the *label* was: `gather` at the labels.",
            _with(lambda logits, labels: logits.log_softmax(-1).amax(-1).masked_fill(labels == IGNORE, 0.0)),
        ),
        Mistake(
            "those are logits, not log-probabilities",
            "`log_softmax(-1)` first: over the vocabulary, place by place.",
            _with(_picked),
        ),
        Mistake(
            "those are probabilities, without the logarithm",
            "`log_softmax`, not `softmax`.",
            _with(lambda logits, labels: _picked(logits.softmax(-1), labels)),
        ),
        Mistake(
            "the softmax runs over the places in time, not over the words",
            "The vocabulary is the last dimension: `log_softmax(-1)`.",
            _with(lambda logits, labels: _picked(logits.log_softmax(1), labels)),
        ),
        Mistake(
            "the sign is turned: that is the loss of each place",
            "A log-probability is at most 0.",
            _with(lambda logits, labels: -reduced(logits, labels)[1]),
        ),
        Mistake(
            "places where nothing is asked have some word's log-probability",
            "Put 0 where the label is -100, so that a sum may run over all places.",
            _with(lambda logits, labels: _picked(logits.log_softmax(-1), labels.clamp_min(0))),
        ),
        Mistake(
            "the labels are shifted, which they are already",
            "Here `labels[:, t]` is what `logits[:, t]` is to predict.",
            _shifted,
        ),
        Mistake(
            "for large logits the exponential overflows",
            "`log_softmax` subtracts the largest logit first. Don't take `exp` and `log` yourself.",
            _with(_overflowing),
        ),
    ),
    hints=(
        "Two answers: `argmax` over the vocabulary, and the labels' part of the log_softmax over it.",
        "`gather` picks the labels' numbers, but can't look up -100: put any real id there for the moment (`clamp`).",
        (
            "At the end put 0 where the label is -100, with `masked_fill`. `gather` wants one more axis on the "
            "labels, and leaves it there."
        ),
    ),
    praise="two numbers a place are left of a whole vocabulary, and loss and accuracy can still be had from them.",
)

# --- 13-loss-at -------------------------------------------------------------------------------------------


def loss_at(logits: Tensor, labels: Tensor, t: float) -> float:
    """The loss, nats a token, of logits (tokens, vocab) at temperature `t` for labels (tokens,)."""
    return F.cross_entropy(logits / t, labels).item()


def _equally_likely() -> tuple[Tensor, Tensor, float]:
    return torch.zeros(3, 5), torch.tensor([0, 2, 4]), 0.5


def _sure(t: float) -> tuple[Tensor, Tensor, float]:
    g = torch.Generator().manual_seed(1)
    return 2 * torch.randn(6, 9, generator=g), torch.randint(9, (6,), generator=g), t


_LOSS_AT = Exercise(
    id="13-loss-at",
    wants="loss_at",
    difficulty="easy",
    minutes=3,
    reference=loss_at,
    cases=(
        Case("5 words that are equally likely: ln 5 at any temperature", _equally_likely),
        Case("a model that is made surer, t = 0.5", lambda: _sure(0.5)),
        Case("the same less sure, t = 3", lambda: _sure(3.0)),
    ),
    mistakes=(
        Mistake(
            "logits are multiplied by the temperature: a hot model should be less sure, not more",
            "Divide the logits by t.",
            lambda logits, labels, t: loss_at(logits, labels, 1 / t),
        ),
        Mistake(
            "the loss is divided by t, not the logits",
            "A temperature goes in before the softmax.",
            lambda logits, labels, t: loss_at(logits, labels, 1) / t,
        ),
        Mistake(
            "the temperature is missing",
            "Divide the logits by t.",
            lambda logits, labels, t: loss_at(logits, labels, 1),
        ),
        Mistake(
            "probabilities are divided by t, and add up to 1 no longer",
            "Divide the logits, before the softmax.",
            lambda logits, labels, t: -_picked((logits.softmax(-1) / t).log(), labels).mean().item(),
        ),
        Mistake(
            "the softmax is taken twice: `cross_entropy` wants logits",
            "Give `cross_entropy` the divided logits as they are.",
            lambda logits, labels, t: F.cross_entropy((logits / t).softmax(-1), labels).item(),
        ),
        Mistake(
            "that is the sum over the tokens, not their mean",
            "Nats a token: the mean.",
            lambda logits, labels, t: loss_at(logits, labels, t) * len(labels),
        ),
        Mistake(
            "that is in bits: the logarithm is to base 2",
            "Nats: the natural logarithm.",
            lambda logits, labels, t: loss_at(logits, labels, t) / torch.tensor(2.0).log().item(),
        ),
        Mistake(
            "the sign is turned",
            "A loss is at least 0: minus the mean log-probability.",
            lambda logits, labels, t: -loss_at(logits, labels, t),
        ),
    ),
    hints=(
        "A temperature goes in before the softmax: it divides logits.",
        (
            "What is left is the usual loss, the mean of −log p of the labels: `F.cross_entropy` does it from "
            "logits, or take log_softmax and pick."
        ),
    ),
    praise="no word changes its rank, so greedy writing stays as it is, whatever the loss does.",
)

# --- 13-merged --------------------------------------------------------------------------------------------


def merged(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """LoRA's correction put into the matrix: `W` (out, in), `A` (r, in), `B` (out, r)."""
    return W + alpha / len(A) * B @ A


def _matrices(out: int, r: int, into: int) -> tuple[Tensor, Tensor, Tensor, float]:
    g = torch.Generator().manual_seed(out)
    W, A, B = (torch.randn(*shape, generator=g) for shape in ((out, into), (r, into), (out, r)))
    return W, A, B, 8.0


def _small() -> tuple[Tensor, Tensor, Tensor, float]:
    return torch.eye(2), torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0], [0.0]]), 2.0


def _scaled(by: Callable[[Tensor, Tensor, float], float]) -> Callable[[Tensor, Tensor, Tensor, float], Tensor]:
    return lambda W, A, B, alpha: W + by(A, B, alpha) * B @ A


_MERGED = Exercise(
    id="13-merged",
    wants="merged",
    difficulty="easy",
    minutes=3,
    reference=merged,
    cases=(
        Case("a matrix of 2 × 2, rank 1, α = 2", _small),
        Case("6 × 4, rank 2, α = 8", lambda: _matrices(6, 2, 4)),
        Case("square, rank 3, α = 8", lambda: _matrices(5, 3, 5)),
    ),
    mistakes=(
        Mistake(
            "that is the correction alone",
            "W + the correction.",
            lambda W, A, B, alpha: merged(0 * W, A, B, alpha),
        ),
        Mistake("the scale α / r is missing", "The correction is (α / r) B A.", _scaled(lambda A, B, alpha: 1)),
        Mistake(
            "the correction is scaled by α alone",
            "α / r: then a larger rank doesn't mean larger steps.",
            _scaled(lambda A, B, alpha: alpha),
        ),
        Mistake(
            "the scale is upside down: r / α",
            "The correction is (α / r) B A.",
            _scaled(lambda A, B, alpha: len(A) / alpha),
        ),
        Mistake(
            "α is divided by the matrix's width, not by the rank",
            "A has r rows, B has r columns.",
            _scaled(lambda A, B, alpha: alpha / A.shape[1]),
        ),
        Mistake(
            "α is divided by the number of outputs, not by the rank",
            "A has r rows, B has r columns.",
            _scaled(lambda A, B, alpha: alpha / len(B)),
        ),
        Mistake(
            "the correction is subtracted: that takes out what is in already",
            "W + the correction.",
            _scaled(lambda A, B, alpha: -alpha / len(A)),
        ),
        Mistake(
            "W is scaled, too",
            "Only the correction is scaled.",
            lambda W, A, B, alpha: alpha / len(A) * (W + B @ A),
        ),
    ),
    hints=(
        "LoRA computes W x + (α / r) B A x. Which matrix times x is that?",
        "W + (α / r) · B A. The rank r is how many rows A has, and B A is a matrix product.",
    ),
    praise="what was learnt is a plain matrix now, as large and as fast as before.",
)

EXERCISES: tuple[Exercise, ...] = (_REDUCED, _LOSS_AT, _MERGED)
