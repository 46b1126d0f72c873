"""The exercises of notebook 01: attention by hand, GPT-2's parameters and what training them takes, on paper.

The reference answers are torch's own attention and closed forms.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.exercises.exercise import Case, Exercise, Mistake

# --- 01-causal-attention ----------------------------------------------------------------------------------


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q kᵀ / √head_size + causal mask) v, for q, k, v of shape (batch, time, head_size)."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _qkv(batch: int, time: int, head_size: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(batch, time, head_size, generator=g) for _ in range(3))
    return q * scale, k, v


def _equal_scores() -> tuple[Tensor, Tensor, Tensor]:
    zeros = torch.zeros(1, 3, 2)
    return zeros, zeros.clone(), torch.tensor([[[6.0, 0.0], [0.0, 6.0], [0.0, 0.0]]])


def _one_match() -> tuple[Tensor, Tensor, Tensor]:
    q, k = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    q[0, 1], k[0, 0] = 1.0, 1.0
    return q, k, torch.eye(2, 4)[None]


def _hidden(time: int) -> Tensor:
    """True where the key comes after the query."""
    return torch.ones(time, time, dtype=torch.bool).triu(1)


def _scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT / math.sqrt(q.size(-1))


def _attend(
    q: Tensor, k: Tensor, v: Tensor, *, hidden: Tensor | None = None, fill: float = -math.inf, dim: int = -1
) -> Tensor:
    """Attention with one part changed at a time."""
    hidden = _hidden(q.size(1)) if hidden is None else hidden
    return _scores(q, k).masked_fill(hidden, fill).softmax(dim) @ v


def _rescaled(factor: Callable[[int], float]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Right but for the scale of the scores, which is the root's times `factor(head_size)`."""
    return lambda q, k, v: _attend(q * factor(q.size(-1)), k, v)


def _mask_after_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _scores(q, k).softmax(-1).masked_fill(_hidden(q.size(1)), 0.0) @ v


def _naive_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = _scores(q, k).masked_fill(_hidden(q.size(1)), -math.inf).exp()
    return weights / weights.sum(-1, keepdim=True) @ v


_FUTURE = "the mask is the wrong way round: each token sees only what comes after it"
_FUTURE_HINT = "Row i is the query, column j the key: hide where j > i. `torch.ones(T, T).triu(1)` marks these."
_AXIS = "the softmax runs over the wrong axis"
_AXIS_HINT = "Each query's weights, one row of the scores, must add up to 1: take the softmax over the last axis."

_CAUSAL_ATTENTION = Exercise(
    id="01-causal-attention",
    wants="causal_attention",
    difficulty="hard",
    minutes=10,
    reference=causal_attention,
    cases=(
        Case(
            "3 tokens with q = k = 0: all scores are equal, so row i is the mean of v's rows up to i",
            _equal_scores,
        ),
        Case("2 tokens, head size 4: the second one's scores are 4 and 0, so 2 and 0 when scaled", _one_match),
        Case("2 sequences of 5 tokens, head size 4, random numbers", lambda: _qkv(2, 5, 4)),
        Case("scores in the hundreds, as a badly trained model has them", lambda: _qkv(1, 4, 16, scale=100.0)),
    ),
    mistakes=(
        Mistake(
            "there is no mask: every token sees the future",
            "Before the softmax, set the scores of later tokens to -inf.",
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v),
        ),
        Mistake(
            "you divided by head_size, not by √head_size",
            "q·k has standard deviation √head_size; divide by that and the scores keep a standard deviation of 1.",
            _rescaled(lambda d: 1 / math.sqrt(d)),
        ),
        Mistake(
            "the scores are not scaled",
            "Divide them by √head_size, or the softmax picks one token and hardly any gradient is left.",
            _rescaled(lambda d: math.sqrt(d)),
        ),
        Mistake(
            "you multiplied by √head_size instead of dividing by it",
            "q·k grows with head_size: the scale has to undo that.",
            _rescaled(lambda d: d),
        ),
        Mistake(
            "the mask came after the softmax, so the weights of a row no longer add up to 1",
            "Mask the scores with -inf first; the softmax then shares 1 among the tokens that are left.",
            _mask_after_softmax,
        ),
        Mistake(
            "the masked scores are 0, and e⁰ = 1: the future still gets weight",
            "Fill with -inf: e^(-inf) = 0.",
            lambda q, k, v: _attend(q, k, v, fill=0.0),
        ),
        Mistake(_AXIS, _AXIS_HINT, lambda q, k, v: _attend(q, k, v, dim=-2)),
        Mistake(_AXIS, _AXIS_HINT, lambda q, k, v: _attend(q, k, v, dim=0)),
        Mistake(_FUTURE, _FUTURE_HINT, lambda q, k, v: _attend(q, k, v, hidden=_hidden(q.size(1)).mT)),
        Mistake(_FUTURE, _FUTURE_HINT, lambda q, k, v: _attend(q, k, v, hidden=~_hidden(q.size(1)))),
        Mistake(
            "the mask also hides the token itself, so the first one sees nothing (0/0 = NaN)",
            "Keep the diagonal: `triu(1)`, not `triu(0)`.",
            lambda q, k, v: _attend(q, k, v, hidden=~_hidden(q.size(1)).mT),
        ),
        Mistake(
            "exp overflows: your softmax gives inf/inf = NaN for big scores",
            "Subtract each row's largest score before `exp` (the weights stay the same), or use `torch.softmax`.",
            _naive_softmax,
        ),
    ),
    hints=(
        "Take it in steps and print each shape: scores (batch, time, time), mask, softmax, then weights @ v.",
        (
            "The scores are q times k with its last two axes swapped, divided by √head_size. `torch.ones(time, "
            "time).triu(1)` is 1 where the key comes after the query."
        ),
        (
            "`masked_fill` writes -inf into the scores there, before the softmax. The softmax runs over the last "
            "axis, the keys."
        ),
    ),
    praise="that is GPT-2's attention. Each of its 144 heads does just this.",
)

# --- 01-count-parameters ----------------------------------------------------------------------------------


def count_parameters(n_layer: int, n_embd: int, vocab_size: int, block_size: int) -> int:
    """Parameters of GPT-2 with biases, its output head tied to the token embeddings."""
    return _count(n_layer, n_embd, vocab_size, block_size)


def _count(
    n_layer: int,
    n_embd: int,
    vocab_size: int,
    block_size: int,
    *,
    heads: int = 0,
    biases: int = 1,
    norm_biases: int = 1,
    positions: int = 1,
    block_norms: int = 1,
    final_norm: int = 1,
) -> int:
    """The closed form, with a factor for each part that is easily forgotten, or counted twice."""
    d = n_embd
    linears = 12 * d * d + biases * 9 * d  # d → 3d and d → d of attention, d → 4d and 4d → d of the MLP
    norm = d + norm_biases * d
    embeddings = (1 + heads) * vocab_size * d + positions * block_size * d
    return embeddings + n_layer * (linears + block_norms * 2 * norm) + final_norm * norm


def _forgetful(**parts: int) -> Callable[[int, int, int, int], int]:
    return lambda n_layer, n_embd, vocab_size, block_size: _count(n_layer, n_embd, vocab_size, block_size, **parts)


_BIASES = "the biases are missing"
_BIASES_HINT = "A linear layer from a to b has a·b weights *and* b biases. GPT-2 has them everywhere but in its head."
_NORM_HINT = (
    "A layer norm has a scale and a shift, 2 · n_embd numbers. Two in each block, and one after the last block."
)

_COUNT_PARAMETERS = Exercise(
    id="01-count-parameters",
    wants="count_parameters",
    difficulty="medium",
    minutes=10,
    reference=count_parameters,
    cases=(
        Case("a model so small that you can count it by hand", lambda: (1, 2, 3, 4)),
        Case("2 layers of width 8", lambda: (2, 8, 10, 6)),
        Case("GPT-2 small", lambda: (12, 768, 50_257, 1_024)),
    ),
    mistakes=(
        Mistake(
            "the output head is counted again",
            "It is tied: the head *is* the token embedding matrix, so its vocab_size · n_embd numbers count once.",
            _forgetful(heads=1),
        ),
        Mistake(_BIASES, _BIASES_HINT, _forgetful(biases=0)),
        Mistake(_BIASES, _BIASES_HINT, _forgetful(biases=0, norm_biases=0)),
        Mistake("the biases of the layer norms are missing", _NORM_HINT, _forgetful(norm_biases=0)),
        Mistake(
            "the position embeddings are missing",
            "GPT-2 learns one vector for each of the block_size positions.",
            _forgetful(positions=0),
        ),
        Mistake("the final layer norm is missing", _NORM_HINT, _forgetful(final_norm=0)),
        Mistake("the layer norms inside the blocks are missing", _NORM_HINT, _forgetful(block_norms=0)),
        Mistake("the layer norms are missing", _NORM_HINT, _forgetful(block_norms=0, final_norm=0)),
    ),
    hints=(
        "Count one block first (attention: d → 3d and d → d; MLP: d → 4d and 4d → d; two layer norms), then the rest.",
        "A linear layer from a to b has a · b weights and b biases; a layer norm has 2d numbers.",
        "The rest: a row of d numbers for each token and each position, and one more layer norm behind the last block.",
    ),
    praise="124,439,808, to the last parameter.",
)

# --- 01-training-bytes ------------------------------------------------------------------------------------


def training_bytes(n_parameters: int, bytes_per_number: int) -> int:
    """Bytes of weights, gradients and Adam's two averages."""
    return 4 * n_parameters * bytes_per_number


def _numbers(each: int) -> Callable[[int, int], int]:
    return lambda n_parameters, bytes_per_number: each * n_parameters * bytes_per_number


_TRAINING_BYTES = Exercise(
    id="01-training-bytes",
    wants="training_bytes",
    difficulty="easy",
    minutes=4,
    reference=training_bytes,
    cases=(
        Case("10 parameters in float32, 4 bytes a number: 160", lambda: (10, 4)),
        Case("GPT-2 small in float32", lambda: (124_439_808, 4)),
        Case("GPT-2 XL, everything in 2 bytes", lambda: (1_557_611_200, 2)),
    ),
    mistakes=(
        Mistake(
            "that is enough to use the model, not to train it",
            "Training also keeps a gradient for each weight, and what Adam remembers of it.",
            _numbers(1),
        ),
        Mistake(
            "Adam's memory is missing", "It keeps two averages for each weight, of gradient and square.", _numbers(2)
        ),
        Mistake(
            "one of the four is missing: weights, gradients, Adam's average of gradients and that of their squares",
            "Each of the four has a number for each parameter.",
            _numbers(3),
        ),
        Mistake("those are bits", "A byte has 8 bits; a float32 has 4 bytes.", _numbers(32)),
    ),
    hints=(
        "Which numbers must be there at an optimiser step, and how many of each for one parameter?",
        "A weight, its gradient, and what Adam remembers of the gradients: a running average of them, and one of their "
        "squares.",
    ),
    praise="2 GB for the smallest GPT-2, and no text has been read yet: activations come on top.",
)

EXERCISES: tuple[Exercise, ...] = (_CAUSAL_ATTENTION, _COUNT_PARAMETERS, _TRAINING_BYTES)
