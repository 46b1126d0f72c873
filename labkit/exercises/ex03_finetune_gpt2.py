"""The exercises of notebook 03: what a decoder alone is asked for, and how a summary is scored.

The reference answers are a closed form and `rapidfuzz`'s longest common subsequence.
"""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher

import torch
from rapidfuzz.distance import LCSseq
from torch import Tensor

from labkit.exercises.exercise import Case, Exercise, Mistake
from labkit.tasks.pairs import IGNORE

# --- 03-causal-labels -------------------------------------------------------------------------------------


def causal_labels(source: Tensor, target: Tensor) -> Tensor:
    """The labels (S + T - 1,) of `torch.cat([source, target])[:-1]`: -100, then all of the target."""
    return torch.cat([torch.full((len(source) - 1,), IGNORE), target])


def _next_tokens(source: Tensor, target: Tensor, ignored: int, fill: int = IGNORE) -> Tensor:
    """The tokens that follow, the first `ignored` of them replaced."""
    labels = torch.cat([source, target])[1:]
    labels[:ignored] = fill
    return labels


def _row(source: Tensor, target: Tensor, *, ignored: bool) -> Tensor:
    """Source and target as they are read, not shifted."""
    return torch.cat([torch.full_like(source, IGNORE) if ignored else source, target])


def _target_ignored(source: Tensor, target: Tensor) -> Tensor:
    return torch.cat([source[1:], torch.full_like(target, IGNORE)])


def _shifted_twice(source: Tensor, target: Tensor) -> Tensor:
    return torch.cat([causal_labels(source, target)[1:], torch.tensor([IGNORE])])


def _random_pair(source: int, target: int) -> tuple[Tensor, Tensor]:
    tokens = torch.randint(100, 1_000, (source + target,), generator=torch.Generator().manual_seed(0))
    return tokens[:source], tokens[source:]


_COPY = "the labels are the inputs: the model learns to copy the token it reads"
_COPY_HINT = "The label at position t is the token at t + 1. The input loses its last token, the labels their first."
_WHOLE = "the labels are not shifted, and there is one too many"
_WHOLE_HINT = (
    "The input has lost its last token, so S + T - 1 labels remain: leave out the first. (Some libraries shift "
    "labels for you; here nobody does.)"
)
_FILL = "the source's labels are numbers, but not the one that means: don't ask"
_FILL_HINT = "Cross-entropy skips the label -100. Any other number is a token to learn, or an error."

_CAUSAL_LABELS = Exercise(
    id="03-causal-labels",
    wants="causal_labels",
    difficulty="medium",
    minutes=5,
    reference=causal_labels,
    cases=(
        Case(
            "a source of 3 tokens, a target of 2: the model reads 11 12 13 21 and writes at the last two",
            lambda: (torch.tensor([11, 12, 13]), torch.tensor([21, 22])),
        ),
        Case("a source of 2 tokens, a target of 4", lambda: _random_pair(2, 4)),
        Case("a source of 7 tokens, a target of 3", lambda: _random_pair(7, 3)),
    ),
    mistakes=(
        Mistake(_COPY, _COPY_HINT, lambda source, target: _row(source, target, ignored=False)[:-1]),
        Mistake(_COPY, _COPY_HINT, lambda source, target: _row(source, target, ignored=True)[:-1]),
        Mistake(_WHOLE, _WHOLE_HINT, lambda source, target: _row(source, target, ignored=True)),
        Mistake(_WHOLE, _WHOLE_HINT, lambda source, target: _row(source, target, ignored=False)),
        Mistake(
            "the source is not ignored: most of the loss asks the model to write the article",
            "Where the next token is still the source's, the label is -100.",
            lambda source, target: _next_tokens(source, target, 0),
        ),
        Mistake(
            "the first token of the target is ignored, so nobody teaches the model how to begin",
            "The source's last token is read where the target's first is to be written: only S - 1 labels are -100.",
            lambda source, target: _next_tokens(source, target, len(source)),
        ),
        Mistake(
            "the last token of the source is still asked for",
            "S - 1 of its tokens follow another one, and all of those labels are -100.",
            lambda source, target: _next_tokens(source, target, len(source) - 2),
        ),
        Mistake(_FILL, _FILL_HINT, lambda source, target: _next_tokens(source, target, len(source) - 1, fill=0)),
        Mistake(_FILL, _FILL_HINT, lambda source, target: _next_tokens(source, target, len(source) - 1, fill=-1)),
        Mistake(
            "the wrong half is ignored: the model learns to write articles, and no summary",
            "-100 goes where the source is, the target's tokens stay.",
            _target_ignored,
        ),
        Mistake(
            "shifted twice: each position is asked for the token after the next",
            "Shift once. The label at position t is the token at t + 1.",
            _shifted_twice,
        ),
    ),
    hints=(
        "Write the input on paper and below each token the one that follows it; then cross out what is still source.",
        (
            "The tokens that follow are source and target in a row, without the first one. How many of them belong "
            "to the source?"
        ),
        "Of S source tokens, all but the first follow another one: the first S - 1 labels are -100.",
    ),
    praise="only the summary is asked for, from its first word on.",
)

# --- 03-rouge-l -------------------------------------------------------------------------------------------


def lcs_f1(prediction: list[str], reference: list[str]) -> float:
    """F1 of the longest common subsequence of two lists of words; 0 if they have nothing in common."""
    return _f1(LCSseq.similarity(prediction, reference), prediction, reference)


def _f1(common: int, prediction: list[str], reference: list[str]) -> float:
    return _share(2 * common, len(prediction) + len(reference))


def _share(part: float, whole: int) -> float:
    """`part` of `whole`; 0 if there is none, whatever the whole."""
    return part / whole if part else 0.0


def _recall(prediction: list[str], reference: list[str]) -> float:
    return _share(LCSseq.similarity(prediction, reference), len(reference))


def _substring(prediction: list[str], reference: list[str]) -> float:
    match = SequenceMatcher(None, prediction, reference, autojunk=False).find_longest_match()
    return _f1(match.size, prediction, reference)


def _greedy(first: list[str], second: list[str]) -> float:
    """Each word of the first is taken as soon as the rest of the second has it."""
    common, at = 0, 0
    for word in first:
        if word in second[at:]:
            common, at = common + 1, second.index(word, at) + 1
    return _f1(common, first, second)


def _counted_again(prediction: list[str], reference: list[str]) -> float:
    """The table grows by one at every match, from its neighbours, not from the diagonal."""
    best = [0] * (len(reference) + 1)
    for word in prediction:
        for j, other in enumerate(reference):
            best[j + 1] = max(best[j], best[j + 1]) + (word == other)
    return _f1(best[-1], prediction, reference)


def _one_row(prediction: list[str], reference: list[str]) -> float:
    """A table of one row, whose diagonal is overwritten before it is read."""
    best = [0] * (len(reference) + 1)
    for word in prediction:
        for j, other in enumerate(reference):
            best[j + 1] = best[j] + 1 if word == other else max(best[j], best[j + 1])
    return _f1(best[-1], prediction, reference)


def _bag(prediction: list[str], reference: list[str]) -> float:
    return _f1((Counter(prediction) & Counter(reference)).total(), prediction, reference)


def _sets(prediction: list[str], reference: list[str]) -> float:
    ours, theirs = set(prediction), set(reference)
    return _share(2 * len(ours & theirs), len(ours) + len(theirs))


def _jaccard(prediction: list[str], reference: list[str]) -> float:
    common = LCSseq.similarity(prediction, reference)
    return _share(common, len(prediction) + len(reference) - common)


def _words(says: str, prediction: str, reference: str) -> Case:
    return Case(says, lambda: (prediction.split(), reference.split()))


_ORDER = "the order doesn't count: that is ROUGE-1"
_ORDER_HINT = (
    "Words count only if both texts have them in the same order: `man bites dog` and `dog bites man` share one."
)
_ONE_SIDE_HINT = "F1 asks for both: 2 · common / (words of the prediction + words of the reference)."
_GREEDY = "each word is taken at its first chance, which can cost all the words in between"
_GREEDY_HINT = "Sometimes it pays to leave a word out. Fill a table: the best for every beginning of both lists."
_AGAIN = "a word that stands once is counted as often as the other list repeats it"
_AGAIN_HINT = (
    "A match uses up a word on both sides, so it adds 1 to the best of the two lists *without* these words: the "
    "table's diagonal, as it was before this row."
)

_ROUGE_L = Exercise(
    id="03-rouge-l",
    wants="lcs_f1",
    difficulty="hard",
    minutes=12,
    reference=lcs_f1,
    cases=(
        _words("3 words and 4, of which `cat sat` is common: F1 is 2 · 2 / (3 + 4)", "the cat sat", "a cat sat down"),
        _words(
            "4 words in common, but not side by side", "the model quickly reads papers", "the new model reads papers"
        ),
        _words("the same words in another order", "man bites dog", "dog bites man"),
        _words("the first word has moved to the end", "today the model reads papers", "the model reads papers today"),
        _words("the last word has moved to the front", "the model reads papers today", "today the model reads papers"),
        _words("the prediction repeats itself", "the the the the", "the end"),
        _words("the reference repeats itself", "the end", "the the the the"),
        _words("nothing in common", "yes", "not at all"),
        _words("an empty prediction scores 0", "", "a cat sat down"),
        _words("an empty reference scores 0", "the cat sat", ""),
    ),
    mistakes=(
        Mistake(
            "only words side by side count: that is the longest common substring",
            "A subsequence may skip words if it keeps their order. On a mismatch take the better neighbour, not 0.",
            _substring,
        ),
        Mistake(_ORDER, _ORDER_HINT, _bag),
        Mistake(_ORDER, _ORDER_HINT, _sets),
        Mistake("that is the recall alone: a prediction that says everything would win", _ONE_SIDE_HINT, _recall),
        Mistake(
            "that is the precision alone: a prediction of one right word would win",
            _ONE_SIDE_HINT,
            lambda prediction, reference: _recall(reference, prediction),
        ),
        Mistake(
            "it is half as large as it should be: equal texts would score 0.5",
            "The common words stand in both texts, so they count twice: 2 · common / (sum of the lengths).",
            lambda prediction, reference: lcs_f1(prediction, reference) / 2,
        ),
        Mistake(
            "that is the common words' share of all words (Jaccard), not F1",
            _ONE_SIDE_HINT,
            _jaccard,
        ),
        Mistake(
            "precision and recall are averaged in the plain way",
            "F1 is their harmonic mean, which a single bad one pulls down: 2 · common / (sum of the lengths).",
            lambda prediction, reference: (_recall(prediction, reference) + _recall(reference, prediction)) / 2,
        ),
        Mistake(
            "that is the number of common words, not a score from 0 to 1",
            _ONE_SIDE_HINT,
            lambda prediction, reference: LCSseq.similarity(prediction, reference),
        ),
        Mistake(_GREEDY, _GREEDY_HINT, _greedy),
        Mistake(_GREEDY, _GREEDY_HINT, lambda prediction, reference: _greedy(reference, prediction)),
        Mistake(_AGAIN, _AGAIN_HINT, _counted_again),
        Mistake(_AGAIN, _AGAIN_HINT, _one_row),
    ),
    hints=(
        (
            "Let best[i][j] be the longest for the first i words of one and the first j of the other list; with no "
            "words it is 0."
        ),
        (
            "If the two words are the same, best[i][j] is best[i-1][j-1] + 1. If not, one of the two words is left "
            "out: the larger of best[i-1][j] and best[i][j-1]."
        ),
        "With the number in the last corner, F1 is 2 · common / (sum of the two lengths), or 0 if nothing is common.",
    ),
    praise="ROUGE-L, to the last digit. In notebook 05 it will be a reward.",
)

EXERCISES: tuple[Exercise, ...] = (_CAUSAL_LABELS, _ROUGE_L)
