"""The exercises of notebook 10: what LoRA trains, what BitFit trains, and when to stop.

The reference answers are closed forms.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from labkit.exercises.exercise import Case, Exercise, Mistake
from labkit.models.freezing import in_head, is_bias

Shapes = list[tuple[int, int]]

# --- 10-lora-count ----------------------------------------------------------------------------------------


def lora_count(shapes: Shapes, r: int) -> int:
    """How many numbers LoRA of rank `r` trains for matrices of these shapes, (out, in) each."""
    return sum(r * (rows + columns) for rows, columns in shapes)


def _each(numbers: Callable[[int, int, int], int]) -> Callable[[Shapes, int], int]:
    """The sum over the matrices of a rule of out, in and r."""
    return lambda shapes, r: sum(numbers(rows, columns, r) for rows, columns in shapes)


_LORA_COUNT = Exercise(
    id="10-lora-count",
    wants="lora_count",
    difficulty="easy",
    minutes=4,
    reference=lora_count,
    cases=(
        Case("one matrix of 4 × 3, rank 2: A has 2 · 3 numbers, B 4 · 2, together 14", lambda: ([(4, 3)], 2)),
        Case(
            "an MLP's two matrices, 512 × 128 and 128 × 512, rank 8",
            lambda: ([(512, 128), (128, 512)], 8),
        ),
        Case(
            "GPT-Neo 1.3B: queries and values of 24 layers, 2048 × 2048 each, rank 16",
            lambda: ([(2048, 2048)] * 48, 16),
        ),
        Case("no matrices", lambda: ([], 16)),
    ),
    mistakes=(
        Mistake(
            "that is all of W, which stays frozen",
            "Only A, r × in, and B, out × r, are trained.",
            _each(lambda rows, columns, r: rows * columns),
        ),
        Mistake(
            "W is counted, too, though it stays frozen",
            "Only A, r × in, and B, out × r, are trained.",
            _each(lambda rows, columns, r: rows * columns + r * (rows + columns)),
        ),
        Mistake(
            "B is missing",
            "The correction is B A: A brings the input down to r numbers, B brings them up to out.",
            _each(lambda rows, columns, r: r * columns),
        ),
        Mistake(
            "A is missing",
            "The correction is B A: A brings the input down to r numbers, B brings them up to out.",
            _each(lambda rows, columns, r: r * rows),
        ),
        Mistake(
            "A and B are taken to be of one shape, which holds for square matrices only",
            "A is r × in, B is out × r: together r · (in + out).",
            _each(lambda rows, columns, r: 2 * r * columns),
        ),
        Mistake(
            "out and in are multiplied: that would be a matrix as large as W, r times",
            "The two matrices stand beside each other: r · in + r · out.",
            _each(lambda rows, columns, r: r * rows * columns),
        ),
        Mistake(
            "a square of r by r is counted",
            "Between A and B stands nothing: r · in + out · r.",
            _each(lambda rows, columns, r: r * (rows + columns) + r * r),
        ),
        Mistake(
            "the rank is missing",
            "A has r rows of in numbers, B has out rows of r numbers.",
            _each(lambda rows, columns, r: rows + columns),
        ),
    ),
    hints=(
        "How many numbers has A, and how many has B, for one matrix?",
        "A is r × in, B is out × r; in `shapes`, out stands first. Add both over all matrices.",
    ),
    praise="the larger the matrix, the more LoRA saves.",
)

# --- 10-bitfit --------------------------------------------------------------------------------------------


def chosen(names: list[str]) -> list[str]:
    """Which parameters BitFit trains, by name: the biases, and all of a classification head."""
    return [name for name in names if is_bias(name) or in_head(name)]


def _those(rule: Callable[[str], bool]) -> Callable[[list[str]], list[str]]:
    return lambda names: [name for name in names if rule(name)]


_NEO = [
    "transformer.wte.weight",
    "transformer.h.0.ln_1.weight",
    "transformer.h.0.ln_1.bias",
    "transformer.h.0.attn.attention.q_proj.weight",
    "transformer.h.0.attn.attention.out_proj.bias",
    "transformer.h.0.mlp.c_fc.weight",
    "transformer.h.0.mlp.c_fc.bias",
    "transformer.ln_f.bias",
]

_BITFIT = Exercise(
    id="10-bitfit",
    wants="chosen",
    difficulty="easy",
    minutes=4,
    reference=chosen,
    cases=(
        Case(
            "a matrix, its bias, and a bias of a normalisation: the second and the third",
            lambda: (["mlp.c_fc.weight", "mlp.c_fc.bias", "ln_f.bias"],),
        ),
        Case("a GPT-Neo without a head", lambda: (list(_NEO),)),
        Case(
            "one with a head for tokens, whose weight is trained, too",
            lambda: ([*_NEO, "classifier.weight", "classifier.bias"],),
        ),
        Case("a head without a bias, for whole texts", lambda: ([*_NEO, "score.weight"],)),
        Case(
            "names that only look like it",
            lambda: (["attn.bias_table.weight", "attn.rel_bias", "debias.weight", "score_norm.weight", "c_fc.bias"],),
        ),
    ),
    mistakes=(
        Mistake(
            "the head's weight is left out: it begins at random, and would stay so",
            "A name that has a part `classifier` or `score` belongs to the head.",
            _those(is_bias),
        ),
        Mistake(
            'every name with "bias" somewhere is taken, matrices among them',
            'A bias\'s name ends with ".bias".',
            _those(lambda name: "bias" in name or in_head(name)),
        ),
        Mistake(
            'every name that ends with "bias" is taken',
            "The last part of the name, after the last point, must be `bias`: `rel_bias` is another thing.",
            _those(lambda name: name.endswith("bias") or in_head(name)),
        ),
        Mistake(
            'every name with "score" or "classifier" somewhere is taken for the head',
            'Compare whole parts of the name: `name.split(".")`.',
            _those(lambda name: is_bias(name) or "score" in name or "classifier" in name),
        ),
        Mistake(
            "the biases of the normalisations are left out",
            "BitFit trains all biases, those of layer norms too.",
            _those(lambda name: (is_bias(name) and "ln_" not in name) or in_head(name)),
        ),
        Mistake(
            "the normalisations' weights are trained, too",
            "BitFit trains biases only: no `ln_1.weight`.",
            _those(lambda name: is_bias(name) or "ln_" in name or in_head(name)),
        ),
        Mistake(
            "those are the ones that stay frozen",
            "Return the names that are trained.",
            _those(lambda name: not (is_bias(name) or in_head(name))),
        ),
    ),
    hints=(
        'Take a name apart at its points: `name.split(".")`.',
        (
            "It is chosen if its last part is `bias`, or if one of its parts *is* `classifier` or `score`; a part "
            "that merely contains the word doesn't count."
        ),
    ),
    praise="about one number in a thousand is enough to move a model.",
)

# --- 10-patience ------------------------------------------------------------------------------------------


def kept(losses: list[float], patience: int) -> int:
    """Which evaluation's weights early stopping keeps, counted from 0."""
    best = 0
    for i, loss in enumerate(losses):
        if loss < losses[best]:
            best = i
        elif i - best == patience:
            break
    return best


def _never_stops(losses: list[float], patience: int) -> int:
    return losses.index(min(losses))


def _stopped_at(losses: list[float], patience: int) -> int:
    best = kept(losses, patience)
    return next((i for i in count(best) if i - best == patience or i == len(losses) - 1), best)


def _against_the_last(losses: list[float], patience: int) -> int:
    """Counts evaluations that are worse than the one before."""
    best, worse = 0, 0
    for i in range(1, len(losses)):
        worse = worse + 1 if losses[i] >= losses[i - 1] else 0
        best = i if losses[i] < losses[best] else best
        if worse == patience:
            break
    return best


def _never_forgives(losses: list[float], patience: int) -> int:
    """The count isn't set back by a new best."""
    best, worse = 0, 0
    for i in range(1, len(losses)):
        if losses[i] < losses[best]:
            best = i
        else:
            worse += 1
            if worse == patience:
                break
    return best


def _ties_are_better(losses: list[float], patience: int) -> int:
    best = 0
    for i, loss in enumerate(losses):
        if loss <= losses[best]:
            best = i
        elif i - best == patience:
            break
    return best


def _highest(losses: list[float], patience: int) -> int:
    return kept([-loss for loss in losses], patience)


_PATIENCE = Exercise(
    id="10-patience",
    wants="kept",
    difficulty="medium",
    minutes=6,
    reference=kept,
    cases=(
        Case("3, 2, 2.5, 2.4, 1 with a patience of 2: it stops before the 1", lambda: ([3, 2, 2.5, 2.4, 1], 2)),
        Case("a patience of 3 gets to see the 1", lambda: ([3, 2, 2.5, 2.4, 1], 3)),
        Case("the loss falls to the end", lambda: ([4, 3, 2, 1], 1)),
        Case("it goes down and up, but never back to the best", lambda: ([3, 1, 2, 1.8, 1.9, 1.7, 0.5], 3)),
        Case("a new best gives new patience", lambda: ([5, 6, 4, 5, 3, 4, 2, 3, 3], 2)),
        Case("a patience of 1", lambda: ([2, 1, 3, 0], 1)),
        Case("an equal loss is no better", lambda: ([2, 1, 1, 1, 0], 2)),
    ),
    mistakes=(
        Mistake(
            "that is the best of all evaluations: some come after it had stopped",
            "Leave the loop as soon as `patience` evaluations in a row weren't better than the best.",
            _never_stops,
        ),
        Mistake(
            "that is where it stopped, not what it keeps",
            "Early stopping goes back: return the place of the best loss so far.",
            _stopped_at,
        ),
        Mistake(
            "it stops one evaluation too late",
            "With a patience of 2, the second evaluation in a row that is no better is the last.",
            lambda losses, patience: kept(losses, patience + 1),
        ),
        Mistake(
            "it stops one evaluation too early",
            "With a patience of 2, one evaluation that is no better is forgiven.",
            lambda losses, patience: kept(losses, max(1, patience - 1)) if patience > 1 else 0,
        ),
        Mistake(
            "each loss is compared with the one before: up and down, that goes on for ever",
            "Compare with the best so far.",
            _against_the_last,
        ),
        Mistake(
            "the count goes on after a new best",
            "In a row: a new best sets it back to 0.",
            _never_forgives,
        ),
        Mistake(
            "an equal loss counts as better, so a flat line is never stopped",
            "Better is `<`, not `<=`.",
            _ties_are_better,
        ),
        Mistake("the highest loss is kept", "Of losses, the lowest is the best.", _highest),
    ),
    hints=(
        "Keep two things in mind as you walk along the losses: the place of the best one, and how long ago that was.",
        "A lower loss is the new best, and the waiting begins again. An equal one isn't lower.",
        "Stop when the present place is `patience` beyond the best one, and return the place, not the loss.",
    ),
    praise="the best weights are rarely the last.",
)

EXERCISES: tuple[Exercise, ...] = (_LORA_COUNT, _BITFIT, _PATIENCE)
