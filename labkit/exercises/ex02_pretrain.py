"""The exercises of notebook 02: targets, the learning rate, and a loss that tokenizers can be compared by.

The reference answers are closed forms.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from labkit.exercises.exercise import Case, Exercise, Mistake

# --- 02-shift-targets -------------------------------------------------------------------------------------


def shift_targets(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs and next-token targets, each (batch, time), of tokens of shape (batch, time + 1)."""
    return tokens[:, :-1], tokens[:, 1:]


def _random_tokens() -> tuple[Tensor]:
    return (torch.randint(100, (3, 7), generator=torch.Generator().manual_seed(0)),)


_COPY = "the targets are the inputs: the model learns to copy the token it reads"
_COPY_HINT = "A loss that falls to 0 in no time is the sign of it. The target at position t is the token at t + 1."
_DROPPED = "one token too many is dropped"
_DROPPED_HINT = "time + 1 tokens make time pairs: inputs lose only the last token, targets only the first."

_SHIFT_TARGETS = Exercise(
    id="02-shift-targets",
    wants="shift_targets",
    difficulty="easy",
    minutes=3,
    reference=shift_targets,
    cases=(
        Case("one sequence of 4 tokens: it makes 3 pairs", lambda: (torch.tensor([[10, 11, 12, 13]]),)),
        Case("3 sequences of 7 tokens", _random_tokens),
    ),
    mistakes=(
        Mistake(_COPY, _COPY_HINT, lambda tokens: (tokens[:, :-1], tokens[:, :-1])),
        Mistake(_COPY, _COPY_HINT, lambda tokens: (tokens[:, 1:], tokens[:, 1:])),
        Mistake(_COPY, _COPY_HINT, lambda tokens: (tokens, tokens)),
        Mistake(
            "shifted the wrong way: the model learns to name the token before",
            "Swap the two: inputs are everything but the last token, targets everything but the first.",
            lambda tokens: (tokens[:, 1:], tokens[:, :-1]),
        ),
        Mistake(
            "the last target wraps around to the first token",
            "`torch.roll` closes the circle, but no token follows the last one. Slice instead, and lose one position.",
            lambda tokens: (tokens, tokens.roll(-1, dims=1)),
        ),
        Mistake(
            "shifted along the batch, not along time",
            "The first axis counts sequences. Take all of them (`:`) and slice the second axis.",
            lambda tokens: (tokens[:-1], tokens[1:]),
        ),
        Mistake(
            "the targets are two tokens ahead",
            "The target at position t is the token at t + 1.",
            lambda tokens: (tokens[:, :-2], tokens[:, 2:]),
        ),
        Mistake(_DROPPED, _DROPPED_HINT, lambda tokens: (tokens[:, :-1], tokens[:, 2:])),
        Mistake(_DROPPED, _DROPPED_HINT, lambda tokens: (tokens[:, :-2], tokens[:, 1:])),
        Mistake(_DROPPED, _DROPPED_HINT, lambda tokens: (tokens[:, :-2], tokens[:, 1:-1])),
    ),
    hints=(
        "Write the tokens on paper, a b c d: the inputs are a b c, the targets below them b c d.",
        (
            "One of the two lacks the last token, the other one the first. Slice the second axis, and take all of "
            "the first with `:`."
        ),
    ),
    praise="every position now predicts the token that follows it.",
)

# --- 02-learning-rate -------------------------------------------------------------------------------------


def learning_rate(step: int, max_lr: float, warmup_steps: int, max_steps: int, min_lr: float) -> float:
    """Linear warm-up to `max_lr`, reached at the last warm-up step, then half a cosine down to `min_lr`."""
    return _schedule(step, max_lr, warmup_steps, max_steps, min_lr)


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _schedule(
    step: int,
    max_lr: float,
    warmup_steps: int,
    max_steps: int,
    min_lr: float,
    *,
    first: int = 1,
    decay: Callable[[float], float] = _cosine,
    start: int | None = None,
    ends: bool = True,
) -> float:
    """The schedule with one part changed at a time: where warm-up and decay begin, shape, end."""
    if step < warmup_steps:
        return max_lr * (step + first) / warmup_steps
    if ends and step >= max_steps:
        return min_lr
    start = warmup_steps if start is None else start
    return min_lr + decay((step - start) / (max_steps - start)) * (max_lr - min_lr)


def _to_zero(step: int, max_lr: float, warmup_steps: int, max_steps: int, min_lr: float) -> float:
    floor = min_lr if step >= max_steps else 0.0
    return _schedule(step, max_lr, warmup_steps, max_steps, floor)


def _changed(**parts: object) -> Callable[..., float]:
    return lambda *args: _schedule(*args, **parts)  # type: ignore[arg-type]


def _full_swing(step: int, max_lr: float, warmup_steps: int, max_steps: int, min_lr: float) -> float:
    """The cosine swings by max_lr and starts from min_lr: its peak is the sum of both."""
    decaying = warmup_steps <= step < max_steps
    return learning_rate(step, max_lr + min_lr * decaying, warmup_steps, max_steps, min_lr)


def _no_warmup(step: int, max_lr: float, warmup_steps: int, max_steps: int, min_lr: float) -> float:
    return learning_rate(max(step, warmup_steps), max_lr, warmup_steps, max_steps, min_lr)


def _at(step: int, says: str) -> Case:
    return Case(f"step {step}: {says}", lambda: (step, 1e-3, 10, 110, 1e-4))


_FLOOR = "the cosine goes down to 0, not to min_lr"
_FLOOR_HINT = "Let it swing between the two: min_lr + (a factor from 1 down to 0) · (max_lr - min_lr)."

_LEARNING_RATE = Exercise(
    id="02-learning-rate",
    wants="learning_rate",
    difficulty="medium",
    minutes=8,
    reference=learning_rate,
    cases=(
        _at(0, "the first of 10 warm-up steps, a tenth of max_lr"),
        _at(9, "the last warm-up step, all of max_lr"),
        _at(10, "the cosine's first step, still max_lr"),
        _at(35, "a quarter of the way down the cosine"),
        _at(60, "halfway down, the mean of max_lr and min_lr"),
        _at(109, "the last step of training, just above min_lr"),
        _at(110, "training is over: min_lr"),
        _at(150, "long over: still min_lr"),
    ),
    mistakes=(
        Mistake(
            "the learning rate is 0 at step 0: the first batch is computed for nothing",
            "Steps count from 0, so warm up with (step + 1) / warmup_steps.",
            _changed(first=0),
        ),
        Mistake(
            "there is no warm-up",
            "While step < warmup_steps, return max_lr · (step + 1) / warmup_steps.",
            _no_warmup,
        ),
        Mistake(_FLOOR, _FLOOR_HINT, _to_zero),
        Mistake(
            _FLOOR,
            _FLOOR_HINT,
            lambda step, max_lr, warm, last, _: learning_rate(step, max_lr, warm, last, 0.0),
        ),
        Mistake(
            "the cosine swings by all of max_lr above min_lr, so the rate jumps past max_lr after the warm-up",
            "Its height is max_lr - min_lr.",
            _full_swing,
        ),
        Mistake(
            "the cosine is measured from step 0, so the rate drops where the warm-up ends",
            "Progress is 0 at the end of the warm-up: (step - warmup_steps) / (max_steps - warmup_steps).",
            _changed(start=0),
        ),
        Mistake(
            "the decay is a straight line, not a cosine",
            "Turn progress p from 0 to 1 into 0.5 · (1 + cos(π p)).",
            _changed(decay=lambda progress: 1 - progress),
        ),
        Mistake(
            "after max_steps the cosine climbs again",
            "From max_steps on, return min_lr.",
            _changed(ends=False),
        ),
    ),
    hints=(
        "Three cases: warm-up (step < warmup_steps), the end (step >= max_steps), and the cosine between them.",
        (
            "Between them p is how far you are: (step - warmup_steps) divided by the number of steps from the end of "
            "the warm-up to max_steps."
        ),
        "0.5 · (1 + cos(π p)) falls from 1 to 0. Let it choose between max_lr (at 1) and min_lr (at 0).",
    ),
    praise="GPT-3's schedule: up in a line, down in half a cosine.",
)

# --- 02-bits-per-byte -------------------------------------------------------------------------------------


def bits_per_byte(loss: float, n_tokens: int, n_bytes: int) -> float:
    """A loss in nats a token, over n_tokens tokens that spell n_bytes bytes, in bits a byte."""
    return loss / math.log(2) * n_tokens / n_bytes


_BITS_PER_BYTE = Exercise(
    id="02-bits-per-byte",
    wants="bits_per_byte",
    difficulty="easy",
    minutes=3,
    reference=bits_per_byte,
    cases=(
        Case("a loss of ln 2, one byte a token: one bit a byte", lambda: (math.log(2), 10, 10)),
        Case("a blind guess among the 256 bytes: 8 bits a byte", lambda: (math.log(256), 100, 100)),
        Case("a loss of 3.2 nats a token, 4.5 bytes a token", lambda: (3.2, 1_000, 4_500)),
    ),
    mistakes=(
        Mistake(
            "the answer is still in nats",
            "One bit is ln 2 nats, so divide by math.log(2).",
            lambda loss, n_tokens, n_bytes: loss * n_tokens / n_bytes,
        ),
        Mistake(
            "you multiplied by ln 2 instead of dividing by it",
            "A nat is the bigger unit (1.44 bits), so the number of bits is larger than the number of nats.",
            lambda loss, n_tokens, n_bytes: loss * math.log(2) * n_tokens / n_bytes,
        ),
        Mistake(
            "tokens and bytes are swapped",
            "loss · n_tokens is what the whole text costs; share it among its n_bytes bytes.",
            lambda loss, n_tokens, n_bytes: bits_per_byte(loss, n_bytes, n_tokens),
        ),
        Mistake(
            "that is bits a token, not bits a byte",
            "loss · n_tokens is what the whole text costs; share it among its n_bytes bytes.",
            lambda loss, n_tokens, n_bytes: loss / math.log(2),
        ),
    ),
    hints=(
        "First the cost of the whole text in nats, then in bits, then a byte's share of it.",
        (
            "The whole text costs a token's loss times the tokens. A bit is ln 2 = 0.693 nats, so there are more "
            "bits than nats."
        ),
    ),
    praise="now models with different tokenizers can be compared.",
)

EXERCISES: tuple[Exercise, ...] = (_SHIFT_TARGETS, _LEARNING_RATE, _BITS_PER_BYTE)
