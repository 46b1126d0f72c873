"""The exercises of notebook 07: entity F1, labels for tokens, and a linear layer with LoRA's correction.

The reference answers are closed forms.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

import torch
from torch import Tensor

from labkit.exercises.exercise import Case, Exercise, Mistake
from labkit.tasks.pairs import IGNORE

Entity = tuple[str, int, int]  # a kind, the first word, and the word after the last
Sentences = list[list[Entity]]

# --- 07-entity-f1 -----------------------------------------------------------------------------------------


def entity_f1(gold: Sentences, predicted: Sentences) -> float:
    """Micro-F1 of the entities of all sentences; 0 if there are none."""
    return _f1(*_counts(gold, predicted))


def _counts(gold: Sentences, predicted: Sentences, same: Callable[[Entity], object] = tuple) -> tuple[int, int, int]:
    """Entities that there are, were predicted, and agree in what `same` makes of them."""
    right = sum(len({same(e) for e in g} & {same(e) for e in p}) for g, p in zip(gold, predicted, strict=True))
    return sum(map(len, gold)), sum(map(len, predicted)), right


def _f1(n_gold: int, n_predicted: int, right: int) -> float:
    return 2 * right / (n_gold + n_predicted) if n_gold + n_predicted else 0.0


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom else 0.0


def _precision(gold: Sentences, predicted: Sentences) -> float:
    _, n, right = _counts(gold, predicted)
    return _ratio(right, n)


def _recall(gold: Sentences, predicted: Sentences) -> float:
    n, _, right = _counts(gold, predicted)
    return _ratio(right, n)


def _by_sentence(gold: Sentences, predicted: Sentences) -> float:
    return fmean(entity_f1([g], [p]) for g, p in zip(gold, predicted, strict=True))


def _by_kind(gold: Sentences, predicted: Sentences) -> float:
    kinds = sorted({e[0] for some in (*gold, *predicted) for e in some})
    each = [[[[e for e in s if e[0] == kind] for s in some] for some in (gold, predicted)] for kind in kinds]
    return fmean(entity_f1(*pair) for pair in each) if each else 0.0


def _pooled(gold: Sentences, predicted: Sentences) -> float:
    ours, theirs = ({e for s in some for e in s} for some in (gold, predicted))
    return _f1(len(ours), len(theirs), len(ours & theirs))


def _jaccard(gold: Sentences, predicted: Sentences) -> float:
    n_gold, n_predicted, right = _counts(gold, predicted)
    return _ratio(right, n_gold + n_predicted - right)


def _two_of_three() -> tuple[Sentences, Sentences]:
    gold = [[("DNA", 1, 3), ("protein", 5, 6)]]
    return gold, [[("DNA", 1, 3), ("protein", 4, 6), ("RNA", 8, 9)]]


def _two_sentences() -> tuple[Sentences, Sentences]:
    gold = [[("protein", 0, 1)], [("DNA", 2, 4), ("protein", 6, 7), ("DNA", 8, 10), ("protein", 12, 14)]]
    found = [("DNA", 2, 4), ("DNA", 6, 7), ("DNA", 8, 11), ("protein", 12, 13), ("protein", 0, 1)]
    return gold, [[("protein", 0, 1)], found]


_BOTH = "Missed and invented entities must both cost something: F1 = 2 · right / (there + predicted)."

_ENTITY_F1 = Exercise(
    id="07-entity-f1",
    wants="entity_f1",
    difficulty="medium",
    minutes=6,
    reference=entity_f1,
    cases=(
        Case("one sentence: 2 entities, 3 predicted, 1 of them right: 2 · 1 / (2 + 3)", _two_of_three),
        Case(
            "two sentences; a wrong kind, two wrong ends, and one that is right in the other sentence", _two_sentences
        ),
        Case("one entity is missed, another one made up", lambda: ([[("protein", 0, 1)], []], [[], [("RNA", 3, 4)]])),
        Case("nothing to find, and nothing found: 0", lambda: ([[]], [[]])),
    ),
    mistakes=(
        Mistake(
            "that is precision: who predicts one entity, a safe one, has 1",
            _BOTH,
            _precision,
        ),
        Mistake(
            "that is recall: who predicts everything has 1",
            _BOTH,
            _recall,
        ),
        Mistake(
            "that is the plain mean of precision and recall",
            "F1 is their harmonic mean, 2PR / (P + R), which comes to 2 · right / (there + predicted).",
            lambda gold, predicted: (_precision(gold, predicted) + _recall(gold, predicted)) / 2,
        ),
        Mistake(
            "F1 is taken sentence by sentence, then averaged: an entity in a short sentence weighs more",
            "Add up the counts over all sentences first, then one F1: that is what micro means.",
            _by_sentence,
        ),
        Mistake(
            "F1 is taken kind by kind, then averaged (macro): the rarest kind weighs as much as any",
            "One pot for all kinds: add up the counts first.",
            _by_kind,
        ),
        Mistake(
            "the sentences are thrown together: words 0 to 1 of one aren't words 0 to 1 of another",
            "Compare sentence by sentence, and add up.",
            _pooled,
        ),
        Mistake(
            "the kind doesn't count: a protein called DNA is taken for right",
            "Compare all three: kind, start and end.",
            lambda gold, predicted: _f1(*_counts(gold, predicted, lambda e: e[1:])),
        ),
        Mistake(
            "the end doesn't count: half an entity is taken for one",
            "Compare all three: kind, start and end.",
            lambda gold, predicted: _f1(*_counts(gold, predicted, lambda e: e[:2])),
        ),
        Mistake(
            "that is right / (there + predicted - right), which is lower than F1",
            "What was right stands in both lists: twice the right ones, over the sum of both lengths.",
            _jaccard,
        ),
    ),
    hints=(
        "Three counts over all sentences: there, predicted, right.",
        (
            "Right ones are in both sets of the same sentence; `zip` walks over the sentences of both lists, and `&` "
            "gives what two sets share."
        ),
        "Add up first, then divide once: twice the right ones over there + predicted, or 0 if that sum is 0.",
    ),
    praise="an entity is right as a whole, or not at all.",
)

# --- 07-align-labels --------------------------------------------------------------------------------------


def align_labels(word_ids: list[int | None], labels: list[int]) -> list[int]:
    """A label for each token: the word's at its first token, -100 at all others."""
    before = [None, *word_ids]
    return [IGNORE if i in (None, b) else labels[i] for i, b in zip(word_ids, before, strict=False)]


def _without_else(word_ids: list[int | None], labels: list[int]) -> list[int]:
    found, before = [], None
    for i in word_ids:
        if i is None:
            found.append(IGNORE)
        elif i != before:
            found += [labels[i], IGNORE]
        before = i
    return found


def _at_last(word_ids: list[int | None], labels: list[int]) -> list[int]:
    return align_labels(word_ids[::-1], labels)[::-1]


def _special(word_ids: list[int | None], other: int) -> list[int]:
    return [other if i is None else IGNORE for i in word_ids]


_O = 0
_ALIGN = Exercise(
    id="07-align-labels",
    wants="align_labels",
    difficulty="medium",
    minutes=6,
    reference=align_labels,
    cases=(
        Case("2 words, the first of two tokens, between special tokens", lambda: ([None, 0, 0, 1, None], [3, 0])),
        Case("words of 1, 3 and 1 tokens, no special ones", lambda: ([0, 1, 1, 1, 2], [0, 1, 2])),
        Case("each word is one token", lambda: ([0, 1, 2], [0, 5, 6])),
        Case("each word has two tokens", lambda: ([0, 0, 1, 1], [7, 8])),
        Case("two words side by side with the same label", lambda: ([None, 0, 1, 1], [5, 5])),
        Case("the end of the sentence didn't fit", lambda: ([0, 0, 1], [3, 4, 4, 0])),
    ),
    mistakes=(
        Mistake(
            "each word gets a label and a -100, however many tokens it has: the report's code, whose `else` was lost",
            "Append exactly one label for each token: the word's if it is its first token, otherwise -100.",
            _without_else,
        ),
        Mistake(
            "every token of a word has its label: a long word counts several times, and B- is repeated inside",
            "Only where the word's number differs from the token before is it the word's first token.",
            lambda word_ids, labels: [IGNORE if i is None else labels[i] for i in word_ids],
        ),
        Mistake(
            "the label is at the last token of a word",
            "That is what section 6 will want. Here, the first: compare with the token *before*.",
            _at_last,
        ),
        Mistake(
            "special tokens have the label 0, which is O: they would be trained on, and counted",
            "A special token (`None`) belongs to no word: -100.",
            lambda word_ids, labels: [
                _O if i is None else label for i, label in zip(word_ids, align_labels(word_ids, labels), strict=True)
            ],
        ),
        Mistake(
            "the rest of a word has the label 0, which is O: the model learns that names end after a token",
            "-100 there, which the loss skips; 0 is a label like any other.",
            lambda word_ids, labels: [
                _O if label == IGNORE and i is not None else label
                for i, label in zip(word_ids, align_labels(word_ids, labels), strict=True)
            ],
        ),
        Mistake(
            "a word with the label of the word before it gets -100",
            "Compare the words' numbers, not their labels.",
            lambda word_ids, labels: [
                IGNORE
                if i is None or (t and word_ids[t - 1] is not None and labels[i] == labels[word_ids[t - 1]])
                else labels[i]
                for t, i in enumerate(word_ids)
            ],
        ),
        Mistake(
            "words with the label 0 are skipped: O has to be learnt, too",
            "0 is a label like any other. Ask `word is None`, not whether something is true.",
            lambda word_ids, labels: [label or IGNORE for label in align_labels(word_ids, labels)],
        ),
        Mistake(
            "the word with the number 0 gets -100: 0 was taken for None",
            "Ask `word is None`, not `not word`.",
            lambda word_ids, labels: [
                label if i else IGNORE for i, label in zip(word_ids, align_labels(word_ids, labels), strict=True)
            ],
        ),
        Mistake(
            "nothing is left to learn: every token has -100",
            "The first token of each word has the word's label, `labels[word]`.",
            lambda word_ids, labels: _special(word_ids, IGNORE),
        ),
    ),
    hints=(
        "Walk along the tokens and remember the word of the token before.",
        "Three cases: None → -100; the same word as before → -100; another word → its label.",
        "The memory has to change after *each* token, special ones included.",
    ),
    praise="one label a token, one token a word that has it.",
)

# --- 07-lora-forward --------------------------------------------------------------------------------------


def lora_forward(x: Tensor, W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """W x + (alpha / r) B A x for each row of `x`: (n, in) → (n, out)."""
    return x @ W.mT + alpha / len(A) * (x @ A.mT @ B.mT)


def _scaled(scale: Callable[[Tensor, Tensor, float], float]) -> Callable[..., Tensor]:
    """Right but for the factor before B A x."""
    return lambda x, W, A, B, alpha: x @ W.mT + scale(A, B, alpha) * (x @ A.mT @ B.mT)


def _small() -> tuple[Tensor, ...]:
    return torch.tensor([[1.0, 2.0]]), torch.eye(2), torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0], [0.0]]), 2.0


def _random(n: int, inner: int, outer: int, r: int, alpha: float, begin: bool = False) -> tuple[Tensor, ...]:
    g = torch.Generator().manual_seed(inner)
    x, W, A, B = (torch.randn(size, generator=g) for size in ((n, inner), (outer, inner), (r, inner), (outer, r)))
    return x, W, A, torch.zeros_like(B) if begin else B, alpha


_LORA_FORWARD = Exercise(
    id="07-lora-forward",
    wants="lora_forward",
    difficulty="medium",
    minutes=6,
    reference=lora_forward,
    cases=(
        Case("x = (1, 2), W the identity, A = (1, 1), B = (1, 0), alpha = 2: (1, 2) + 2 · (3, 0) = (7, 2)", _small),
        Case("3 rows, from 6 numbers to 4, rank 2, alpha 8", lambda: _random(3, 6, 4, 2, 8.0)),
        Case("rank 4 and alpha 4: the factor is 1", lambda: _random(2, 5, 7, 4, 4.0)),
        Case("at the beginning B is 0: nothing but W x", lambda: _random(2, 5, 3, 2, 8.0, begin=True)),
    ),
    mistakes=(
        Mistake(
            "the factor alpha / r is missing",
            "Multiply the correction by alpha / r; r is the number of rows of A.",
            _scaled(lambda A, B, alpha: 1.0),
        ),
        Mistake(
            "alpha isn't divided by the rank: with a higher rank the correction would be larger",
            "Multiply the correction by alpha / r; r is the number of rows of A.",
            _scaled(lambda A, B, alpha: alpha),
        ),
        Mistake(
            "the factor is upside down",
            "It is alpha / r, not r / alpha.",
            _scaled(lambda A, B, alpha: len(A) / alpha),
        ),
        Mistake(
            "you divided by the width of the input, not by the rank",
            "A is (r, in): the rank is `A.shape[0]`.",
            _scaled(lambda A, B, alpha: alpha / A.shape[1]),
        ),
        Mistake(
            "you divided by the width of the output, not by the rank",
            "B is (out, r): the rank is `B.shape[1]`.",
            _scaled(lambda A, B, alpha: alpha / B.shape[0]),
        ),
        Mistake(
            "that is the correction alone: the frozen matrix is missing",
            "Add W x: LoRA corrects a layer, it doesn't replace it.",
            lambda x, W, A, B, alpha: lora_forward(x, torch.zeros_like(W), A, B, alpha),
        ),
        Mistake(
            "that is the frozen matrix alone: the correction is missing",
            "Add (alpha / r) B A x.",
            lambda x, W, A, B, alpha: x @ W.mT,
        ),
        Mistake(
            "the factor is on W x, too: a frozen layer must stay as it was",
            "Only the correction is multiplied by alpha / r.",
            lambda x, W, A, B, alpha: alpha / len(A) * (x @ (W + B @ A).mT),
        ),
        Mistake(
            "the correction is taken away, not added",
            "W + (alpha / r) B A: a plus.",
            _scaled(lambda A, B, alpha: -alpha / len(A)),
        ),
    ),
    hints=(
        "A row of x is a token, so W x is `x @ W.T`. Follow the shapes: A leads from `in` to `r`, B from `r` to `out`.",
        "The detour is x times A's transpose, (n, r), times B's transpose, (n, out).",
        "r is how many rows A has. Multiply the detour, and nothing else, by alpha / r; then add the two.",
    ),
    praise="a detour through r numbers, beside a matrix that never moves.",
)

EXERCISES: tuple[Exercise, ...] = (_ENTITY_F1, _ALIGN, _LORA_FORWARD)
