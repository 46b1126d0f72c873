"""The exercises of notebook 12: how much a text repeats, a penalty against it, and what a model gets to read.

The reference answers are the library's, for one text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from labkit.exercises.exercise import Case, Exercise, Mistake

# --- 12-rep-n ---------------------------------------------------------------------------------------------


def rep_n(tokens: list[str], n: int) -> float:
    """The share, 0–1, of the n-grams that the text had before; 0 if it has none."""
    grams = _grams(tokens, n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _grams(tokens: list[str], n: int, step: int = 1) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(0, len(tokens) - n + 1, step)]


def _share(rule: Callable[[list[tuple[str, ...]], list[str]], float]) -> Callable[[list[str], int], float]:
    """A rule of the n-grams and the tokens, but 0 where there are none."""

    def answer(tokens: list[str], n: int) -> float:
        grams = _grams(tokens, n)
        return rule(grams, tokens) if grams else 0.0

    return answer


def _every_occurrence(grams: list[tuple[str, ...]], tokens: list[str]) -> float:
    count = Counter(grams)
    return sum(count[gram] > 1 for gram in grams) / len(grams)


def _kinds(grams: list[tuple[str, ...]], tokens: list[str]) -> float:
    count = Counter(grams)
    return sum(times > 1 for times in count.values()) / len(count)


def _one_after_the_other(tokens: list[str], n: int) -> float:
    grams = _grams(tokens, n, step=n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


_REFRAIN = "the old man sat by the sea and the old man sat by the sea and slept".split()

_REP_N = Exercise(
    id="12-rep-n",
    wants="rep_n",
    difficulty="easy",
    minutes=5,
    reference=rep_n,
    cases=(
        Case("a b a b a, pairs: ab ba ab ba, of which the last two were there before", lambda: (list("ababa"), 2)),
        Case("a refrain, four words at a time", lambda: (list(_REFRAIN), 4)),
        Case("one word for ever, which was there once before it was repeated", lambda: (["no"] * 12, 3)),
        Case("a pair, and the same pair the other way round", lambda: (list("abbcba"), 2)),
        Case("nothing twice", lambda: (list("abcdefgh"), 3)),
        Case("a text that is too short to have any", lambda: (list("ab"), 4)),
    ),
    mistakes=(
        Mistake(
            "that is the share of n-grams that are new",
            "rep-n is what is left: 1 − different / all.",
            _share(lambda grams, tokens: len(set(grams)) / len(grams)),
        ),
        Mistake(
            "an n-gram's first occurrence is counted, too",
            "The first time it isn't a repetition: of three occurrences, two were there before.",
            _share(_every_occurrence),
        ),
        Mistake(
            "that is the share of different n-grams that come again, however often",
            "Count occurrences: what comes a hundred times weighs a hundred times.",
            _share(_kinds),
        ),
        Mistake(
            "it is divided by the number of tokens",
            "Of N tokens there are N − n + 1 n-grams.",
            _share(lambda grams, tokens: (len(grams) - len(set(grams))) / len(tokens)),
        ),
        Mistake(
            "only every n-th n-gram is looked at: a repetition that is out of step stays unseen",
            "An n-gram begins at every token: 0, 1, 2 …",
            _one_after_the_other,
        ),
        Mistake(
            "the last n-gram is missing",
            "They begin at 0 … N − n, that one included: `range(len(tokens) - n + 1)`.",
            lambda tokens, n: rep_n(tokens[:-1], n),
        ),
        Mistake(
            "order is lost: (a, b) and (b, a) are taken for one",
            "Keep the tokens of an n-gram in their order, in a tuple.",
            _share(lambda grams, tokens: 1 - len({tuple(sorted(gram)) for gram in grams}) / len(grams)),
        ),
    ),
    hints=(
        "How many n-grams has a list of N tokens? One begins at each token that has n - 1 more behind it.",
        (
            "Walk along them with a set of those you have met: count the ones that are in it already. A slice of a "
            "list can't be in a set, a tuple can."
        ),
        "The same number without a walk: 1 − different n-grams / all n-grams. A text without any has 0.",
    ),
    praise="a good novel has a high one as well, if it is long enough.",
)

# --- 12-penalty -------------------------------------------------------------------------------------------


def penalise(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    """Logits (vocab,), those of the tokens in `seen` lowered, however often they stand there."""
    lowered = logits.clone()
    for token in set(seen):
        lowered[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
    return lowered


def _each(rule: Callable[[Tensor, float], Tensor], once: bool = True) -> Callable[[Tensor, list[int], float], Tensor]:
    """A rule for the logit of a token, applied once or for each time it was seen."""

    def answer(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
        lowered = logits.clone()
        for token in set(seen) if once else seen:
            lowered[token] = rule(lowered[token], penalty)
        return lowered

    return answer


def _right(logit: Tensor, penalty: float) -> Tensor:
    return torch.where(logit > 0, logit / penalty, logit * penalty)


def _random_logits() -> tuple[Tensor, list[int], float]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(40, generator=g) * 4, torch.randint(40, (25,), generator=g).tolist(), 1.3


_PENALTY = Exercise(
    id="12-penalty",
    wants="penalise",
    difficulty="easy",
    minutes=6,
    reference=penalise,
    cases=(
        Case(
            "2, −1, 0.5 after a text with the tokens 0 and 1, penalty 2",
            lambda: (torch.tensor([2.0, -1, 0.5]), [0, 1], 2.0),
        ),
        Case("a token that was there three times", lambda: (torch.tensor([3.0, 1, -2]), [0, 2, 0, 0], 1.5)),
        Case("40 tokens, 25 of the text", _random_logits),
        Case("a penalty of 1 is none", lambda: (torch.tensor([3.0, 1, -2]), [0, 2], 1.0)),
        Case("a text of no tokens", lambda: (torch.tensor([3.0, 1, -2]), [], 1.2)),
    ),
    mistakes=(
        Mistake(
            "negative logits are divided, too, which makes those tokens likelier",
            "What is below 0 gets lower by multiplying.",
            _each(lambda logit, penalty: logit / penalty),
        ),
        Mistake(
            "positive logits are multiplied: the tokens of the text get likelier",
            "What is above 0 gets lower by dividing.",
            _each(lambda logit, penalty: logit * penalty),
        ),
        Mistake(
            "the two cases are exchanged",
            "Above 0 divide, below 0 multiply: both make it lower.",
            _each(lambda logit, penalty: torch.where(logit > 0, logit * penalty, logit / penalty)),
        ),
        Mistake(
            "a token is penalised for each time it stood there",
            "Once is enough: CTRL's penalty doesn't count. Take each token of the text once.",
            _each(_right, once=False),
        ),
        Mistake(
            "the penalty is taken off",
            "It is a factor, so that 1 is none.",
            _each(lambda logit, penalty: logit - penalty),
        ),
        Mistake(
            "negative logits stay as they are",
            "A token that is unlikely already gets unlikelier: multiply.",
            _each(lambda logit, penalty: torch.where(logit > 0, logit / penalty, logit)),
        ),
        Mistake(
            "all tokens are penalised, so that nothing is held back from repeating",
            "Change the logits of tokens that the text has; the others stay.",
            lambda logits, seen, penalty: _right(logits, penalty) if seen else logits,
        ),
        Mistake(
            "the others are penalised, those that the text doesn't have",
            "Change the logits of tokens in `seen`.",
            lambda logits, seen, penalty: penalise(
                logits, [i for i in range(len(logits)) if i not in seen] if seen else [], penalty
            ),
        ),
    ),
    hints=(
        "Take a copy first, so that the logits that came in stay as they are.",
        (
            "For each *different* token of the text: above 0 divide its logit by the penalty, else multiply. Both "
            "make it lower."
        ),
    ),
    praise='it also holds back full stops, names and the word "the".',
)

# --- 12-window --------------------------------------------------------------------------------------------


def what_is_read(front: list[int], told: list[int], room: int) -> list[int]:
    """`room` tokens: those in front, and as many of the latest that were told as there is room for beside them."""
    front = front[:room]
    return front + told[max(0, len(told) - (room - len(front))) :]


_WINDOW = Exercise(
    id="12-window",
    wants="what_is_read",
    difficulty="medium",
    minutes=5,
    reference=what_is_read,
    cases=(
        Case("2 tokens in front of 5, room for 4", lambda: ([1, 2], [5, 6, 7, 8, 9], 4)),
        Case("nothing in front: the plain sliding window", lambda: ([], [5, 6, 7, 8, 9], 3)),
        Case("what is in front fills the room", lambda: ([1, 2, 3], [5, 6, 7, 8, 9], 3)),
        Case("there is more room than text", lambda: ([1, 2], [5, 6, 7], 9)),
        Case("what is in front doesn't fit: its beginning stays", lambda: ([1, 2, 3, 4], [5, 6, 7], 3)),
        Case("nothing was told yet", lambda: ([1, 2], [], 4)),
    ),
    mistakes=(
        Mistake(
            "where no room is left, everything that was told is read: `told[-0:]` is the whole list",
            "Count from the front instead: `told[len(told) - k:]`, for k not larger than the list.",
            lambda front, told, room: front[:room] + told[-max(0, room - len(front)) :],
        ),
        Mistake(
            "that is the beginning of the story, not the latest of it",
            "A story goes on from its end: take the last tokens.",
            lambda front, told, room: front[:room] + told[: max(0, room - len(front))],
        ),
        Mistake(
            "what is in front stands behind",
            "First what is in front, then the latest of the story, so that the model goes on from there.",
            lambda front, told, room: (told[max(0, len(told) - max(0, room - len(front))) :]) + front[:room],
        ),
        Mistake(
            "the room isn't shared: front and story together are longer than the context",
            "Beside what is in front there is room for `room - len(front)` tokens.",
            lambda front, told, room: front[:room] + told[max(0, len(told) - room) :],
        ),
        Mistake(
            "what is in front isn't read at all",
            "It stands before the latest of the story.",
            lambda front, told, room: told[max(0, len(told) - room) :],
        ),
        Mistake(
            "the whole row is cut on the left: what is in front falls off first",
            "The story is cut on the left, before the two are joined.",
            lambda front, told, room: (front + told)[max(0, len(front) + len(told) - room) :],
        ),
        Mistake(
            "what is in front isn't cut: if it is long, the row has no room",
            "Of what is in front no more than `room` tokens can be read.",
            lambda front, told, room: front + told[max(0, len(told) - max(0, room - len(front))) :],
        ),
        Mistake(
            "of what doesn't fit in front, the end stays",
            "Its beginning is to stay: `front[:room]`.",
            lambda front, told, room: (
                front[max(0, len(front) - room) :] + told[max(0, len(told) - max(0, room - len(front))) :]
            ),
        ),
    ),
    hints=(
        "First cut what is in front to the room. What is left of the room is for the story.",
        "Of the story the last so many tokens: begin to count at len(told) less that number, but never below 0.",
        "Why not a negative index? If nothing is left, `told[-0:]` is all of it.",
    ),
    praise="this is all that a recap needs, beside somebody who writes it.",
)

EXERCISES: tuple[Exercise, ...] = (_REP_N, _PENALTY, _WINDOW)
