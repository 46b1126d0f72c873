"""The exercises of notebook 04: which layers a student inherits, a loss without the padding, curves to read.

The reference answers are closed forms; those about curves are computed from the numbers that are drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.exercises.exercise import Case, Exercise, Mistake
from labkit.exercises.plots import STEPS, runs
from labkit.tasks.pairs import IGNORE

# --- 04-kept-layers ---------------------------------------------------------------------------------------


def kept_layers(n: int, keep: int) -> list[int]:
    """Which `keep` of `n` layers a student inherits: evenly spaced, the first and the last among them."""
    return [0] if keep == 1 else [round(i * (n - 1) / (keep - 1)) for i in range(keep)]


def _but_one(rule: Callable[[int, int], list[int]]) -> Callable[[int, int], list[int]]:
    """The rule, but for a single layer, where it is right."""
    return lambda n, keep: [0] if keep == 1 else rule(n, keep)


def _last(n: int, keep: int) -> list[int]:
    return list(range(n - keep, n))


def _ends_of_groups(n: int, keep: int) -> list[int]:
    return list(range(n // keep - 1, n, n // keep))


def _from_one(n: int, keep: int) -> list[int]:
    return [layer + 1 for layer in kept_layers(n, keep)]


def _layers(n: int, keep: int, says: str) -> Case:
    return Case(f"{keep} of {n} layers: {says}", lambda: (n, keep))


_TOP = "the last layers are kept: none of them ever saw the embeddings"
_TOP_HINT = "Spread them evenly over all n, the first and the last among them."
_GROUPS = "the first layer, which reads the embeddings, is missing"
_GROUPS_HINT = "Start at 0 and end at n - 1: between them lie keep - 1 equal steps."
_COUNTED = "layers are counted from 0, yours from 1"
_COUNTED_HINT = "The first of n layers is 0 and the last n - 1: they are places in a list."

_KEPT_LAYERS = Exercise(
    id="04-kept-layers",
    wants="kept_layers",
    difficulty="easy",
    minutes=5,
    reference=kept_layers,
    cases=(
        _layers(4, 2, "the first and the last"),
        _layers(12, 6, "DistilBART's choice"),
        _layers(12, 4, "2 between the first and the last"),
        _layers(12, 12, "all of them"),
        _layers(12, 1, "the first"),
    ),
    mistakes=(
        Mistake(
            "the first layers are kept: the one that writes, the last, is gone",
            _TOP_HINT,
            lambda n, keep: list(range(keep)),
        ),
        Mistake(_TOP, _TOP_HINT, _last),
        Mistake(_TOP, _TOP_HINT, _but_one(_last)),
        Mistake(
            "every (n / keep)-th layer is kept, so the last one, which writes, is missing",
            "The step is (n - 1) / (keep - 1), not n / keep: between keep layers lie keep - 1 steps.",
            lambda n, keep: list(range(0, n, n // keep)),
        ),
        Mistake(_GROUPS, _GROUPS_HINT, _ends_of_groups),
        Mistake(_GROUPS, _GROUPS_HINT, _but_one(_ends_of_groups)),
        Mistake(_COUNTED, _COUNTED_HINT, _from_one),
        Mistake(_COUNTED, _COUNTED_HINT, _but_one(_from_one)),
        Mistake(
            "the places are rounded down, not to the nearest layer",
            "`round(x)`, not `int(x)` or `//`: 8.8 is nearer to 9.",
            _but_one(lambda n, keep: [i * (n - 1) // (keep - 1) for i in range(keep)]),
        ),
        Mistake(
            "a single layer should be the first",
            "With keep = 1 there is no step to take: return [0].",
            lambda n, keep: [n - 1] if keep == 1 else kept_layers(n, keep),
        ),
    ),
    hints=(
        "Mark `keep` points on a line from 0 to n - 1, with one at each end. How far apart are they?",
        (
            "Between `keep` points there are keep - 1 gaps, so a gap is (n - 1) / (keep - 1). One point alone has no "
            "gap: treat it first."
        ),
        "The i-th point stands i gaps above layer 0; round it to the nearest layer.",
    ),
    praise="the first and the last layer stay, and what is between them is spread evenly.",
)

# --- 04-masked-loss ---------------------------------------------------------------------------------------


def token_loss(nats: Tensor, labels: Tensor) -> float:
    """The mean of `nats` (batch, time) over the tokens of the whole batch whose label is not -100."""
    return nats[labels != IGNORE].mean().item()


def _sums(nats: Tensor, labels: Tensor, dim: int = 1) -> tuple[Tensor, Tensor]:
    """Nats and real tokens of each row, or of each position."""
    real = labels != IGNORE
    return (nats * real).sum(dim), real.sum(dim)


def _rows_alike(nats: Tensor, labels: Tensor) -> Tensor:
    total, tokens = _sums(nats, labels)
    return (total / tokens).mean()


def _positions_alike(nats: Tensor, labels: Tensor) -> Tensor:
    total, tokens = _sums(nats, labels, dim=0)
    return (total / tokens)[tokens > 0].mean()


def _by_hand() -> tuple[Tensor, Tensor]:
    return torch.tensor([[1.0, 3.0, 9.0, 9.0]]), torch.tensor([[7, 8, IGNORE, IGNORE]])


def _two_rows() -> tuple[Tensor, Tensor]:
    nats = torch.tensor([[6.0, 9.0, 9.0], [1.0, 2.0, 3.0]])
    return nats, torch.tensor([[7, IGNORE, IGNORE], [4, 5, 6]])


def _random_batch() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    nats, labels = 5 * torch.rand(4, 6, generator=g), torch.randint(3, 100, (4, 6), generator=g)
    labels[:, 0] = 0
    return nats, labels.masked_fill(torch.arange(6) >= torch.tensor([[6], [2], [4], [3]]), IGNORE)


_REAL_HINT = "Sum over the real tokens, then divide by how many there are: `(labels != -100).sum()`."
_ZERO = "a token with the id 0 is left out"
_ZERO_HINT = "0 is a token like any other (BART's begins every text): only the label -100 is padding."

_MASKED_LOSS = Exercise(
    id="04-masked-loss",
    wants="token_loss",
    difficulty="easy",
    minutes=4,
    reference=token_loss,
    cases=(
        Case("one row with 2 tokens, of 1 and 3 nats, and 2 of padding: the mean is 2", _by_hand),
        Case("a row of 1 token that costs 6, and one of 3 that cost 1, 2, 3: (6 + 1 + 2 + 3) / 4", _two_rows),
        Case("4 rows of different lengths, each beginning with token 0", _random_batch),
    ),
    mistakes=(
        Mistake(
            "the padding is counted in, and soon is most of what the model learns",
            "Where the label is -100 there is no token: leave these positions out of the sum and out of the count.",
            lambda nats, labels: nats.mean(),
        ),
        Mistake(
            "each row is averaged first, so a token in a short text weighs more than one in a long text",
            "Sum over the whole batch first, then divide once, by all its real tokens.",
            _rows_alike,
        ),
        Mistake(
            "each position is averaged first, so tokens at the end of the longest texts weigh most",
            "Sum over the whole batch first, then divide once, by all its real tokens.",
            _positions_alike,
        ),
        Mistake(
            "that is the sum: a bigger batch would look worse",
            "Divide it by the number of real tokens.",
            lambda nats, labels: _sums(nats, labels)[0].sum(),
        ),
        Mistake(
            "the padding is out of the sum, but not out of the count",
            _REAL_HINT,
            lambda nats, labels: _sums(nats, labels)[0].sum() / labels.numel(),
        ),
        Mistake(
            "that is nats a text, not nats a token",
            _REAL_HINT,
            lambda nats, labels: _sums(nats, labels)[0].mean(),
        ),
        Mistake(_ZERO, _ZERO_HINT, lambda nats, labels: nats[labels > 0].mean()),
        Mistake(_ZERO, _ZERO_HINT, lambda nats, labels: nats[labels > 0].sum() / _sums(nats, labels)[1].sum()),
        Mistake(
            "the mask is the wrong way round: only the padding is counted",
            "A real token is where `labels != -100`.",
            lambda nats, labels: nats[labels == IGNORE].mean(),
        ),
        Mistake(
            "the sign is turned: a loss is what we make small",
            "`nats` are already -log p, 0 at best. Leave their sign as it is.",
            lambda nats, labels: -nats[labels != IGNORE].mean(),
        ),
    ),
    hints=(
        "Where is a real token? Compare `labels` with -100.",
        (
            "Sum `nats` at these places over the whole batch, count the places, divide. A mean of the rows' means "
            "isn't the same."
        ),
    ),
    praise="every token weighs alike, and padding nothing.",
)

# --- 04-read-curves ---------------------------------------------------------------------------------------


def diagnosis(run: str) -> tuple[str, int]:
    """What happened to a run of `draw_runs`, and the step whose weights are to be kept."""
    train, val = runs()[run]
    return _kind(train, val), STEPS[val.index(min(val))]


def _kind(train: list[float], val: list[float]) -> str:
    if train[-1] > min(train) + 1:
        return "diverges"
    if val[-1] > min(val) + 0.3:
        return "overfits"
    return "isn't done" if val[-4] - val[-1] > 0.3 else "has settled"


def _called(names: dict[str, str]) -> Callable[[str], tuple[str, int]]:
    """The right step, but some kinds under another name."""
    return lambda run: (names.get(diagnosis(run)[0], diagnosis(run)[0]), diagnosis(run)[1])


def _by_training(run: str) -> tuple[str, int]:
    train, _ = runs()[run]
    return diagnosis(run)[0], STEPS[train.index(min(train))]


_READ_CURVES = Exercise(
    id="04-read-curves",
    wants="diagnosis",
    difficulty="easy",
    minutes=5,
    reference=diagnosis,
    cases=tuple(Case(f"run {run}", lambda run=run: (run,)) for run in "ABCD"),
    mistakes=(
        Mistake(
            "those are the last weights, also where a run had better ones before",
            "Keep the weights of the step at which the *validation* loss is lowest.",
            lambda run: (diagnosis(run)[0], STEPS[-1]),
        ),
        Mistake(
            "that is where the training loss is lowest: the texts it knows by heart",
            "Keep the weights of the step at which the *validation* loss is lowest.",
            _by_training,
        ),
        Mistake(
            "overfitting and diverging are swapped",
            "Who overfits gets better and better on the training texts; who diverges gets worse on all.",
            _called({"overfits": "diverges", "diverges": "overfits"}),
        ),
        Mistake(
            "not everything that rises overfits: in one run the training loss rises, too",
            "If both curves go up, the run diverges: the learning rate is too high.",
            _called({"diverges": "overfits"}),
        ),
        Mistake(
            "a run that still falls isn't done, and one that is flat has settled: these are swapped",
            "Compare the last three evaluations with each other.",
            _called({"isn't done": "has settled", "has settled": "isn't done"}),
        ),
    ),
    hints=(
        "Look at the end of each panel first: do both curves go the same way?",
        "Validation up and training down: it overfits. Both up: it diverges. Both still down: it isn't done.",
        "The weights to keep are those at the lowest square of the dashed curve; each mark is 100 steps.",
    ),
    praise="two curves and their ends say more than a final loss.",
)

EXERCISES: tuple[Exercise, ...] = (_KEPT_LAYERS, _MASKED_LOSS, _READ_CURVES)
