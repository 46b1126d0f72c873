"""Entity F1: an entity is right if its kind and both its ends are, and the shares of words that are right beside it.

    scores = entity_scores(gold, predicted)          # lists of tags, a list a sentence
    print(scores.f1, scores.kinds["DNA"].f1, scores.accuracy)
    low, high = f1_interval(entity_counts(gold, predicted))

`precision`, `recall` and `f1` are *micro*: all entities in one pot, so proteins decide; `macro_f1` is the mean of the
kinds' F1, in which 118 RNAs weigh as much as 5,067 proteins. `accuracy` is the share of words with the right tag: where
four words in five are O it is 0.8 for who finds nothing, so it says little.

Scored by `seqeval` (Nakayama 2018), strictly in IOB2: B- begins an entity, I- of the same kind goes on with it, any
other I- is no entity. With its default mode, the report's, such an I- begins one. `entity_counts` says the same by
hand, a sentence at a time, for the intervals: sentences are what was drawn by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Tags = Sequence[Sequence[str]]  # a list of tags a sentence


class Score(NamedTuple):
    """Fractions, 0–1; `gold` is how many entities there are to find."""

    precision: float
    recall: float
    f1: float
    gold: int


@dataclass(frozen=True)
class EntityScores:
    """Micro-averaged over all entities, macro-averaged over kinds, by kind, and by word."""

    precision: float
    recall: float
    f1: float
    macro_f1: float
    accuracy: float
    kinds: Mapping[str, Score]


class Entity(NamedTuple):
    """Words `start` up to, but not with, `end`."""

    kind: str
    start: int
    end: int


def entity_scores(gold: Tags, predicted: Tags, strict: bool = True) -> EntityScores:
    """Every score of predicted tags; 0 where nothing was found or is to be found.

    `strict=False` is seqeval's default mode, the report's. Raises `ValueError` unless each sentence has as many tags
    in both.
    """
    from seqeval.metrics import accuracy_score, classification_report
    from seqeval.scheme import IOB2

    gold, predicted = _lists(gold, predicted)
    mode = {"mode": "strict", "scheme": IOB2} if strict else {}
    report = {}
    if any(entities(tags) if strict else set(tags) - {"O"} for tags in gold + predicted):  # of none seqeval has no mean
        report = classification_report(gold, predicted, output_dict=True, zero_division=0, **mode)
    kinds = {kind: Score(*map(float, list(row.values())[:3]), int(row["support"])) for kind, row in report.items()}
    micro, macro = (kinds.pop(f"{name} avg", Score(0.0, 0.0, 0.0, 0)) for name in ("micro", "macro"))
    kinds.pop("weighted avg", None)
    return EntityScores(*micro[:3], macro.f1, float(accuracy_score(gold, predicted)), kinds)


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sentence's tags, in order."""
    found: list[Entity] = []
    for i, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append(Entity(tag[2:], i, i + 1))
        elif found and found[-1].end == i and tag == "I-" + found[-1].kind:
            found[-1] = found[-1]._replace(end=i + 1)
    return found


def entity_counts(gold: Tags, predicted: Tags, kind: str = "") -> np.ndarray:
    """How many entities there are, were predicted, and were so rightly, (sentences, 3); of one `kind`, if it is given.

    Raises `ValueError` as `entity_scores` does.
    """
    rows = []
    for pair in zip(*_lists(gold, predicted), strict=True):
        ours, theirs = ({e for e in entities(tags) if kind in ("", e.kind)} for tags in pair)
        rows.append((len(ours), len(theirs), len(ours & theirs)))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def micro_f1(counts: np.ndarray) -> np.ndarray:
    """F1 of all entities of the counts, (…, 3) → (…); 0 where there are none."""
    gold, predicted, right = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    return 2 * right / np.maximum(1, gold + predicted)


def f1_interval(
    counts: np.ndarray, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """The interval of micro-F1, from samples of the sentences with replacement (Efron 1979, percentiles).

    F1 is no mean over sentences, so their counts are drawn, added up, and F1 is taken of the sums.
    Raises `ValueError` for fewer than two sentences.
    """
    return _percentiles(micro_f1(_resample(counts, resamples, seed)), confidence)


def f1_difference(
    a: np.ndarray, b: np.ndarray, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Micro-F1 of a − b and its interval: two systems on the same sentences, drawn together.

    Raises `ValueError` if they differ in the number of sentences, or of the entities that there are in one.
    """
    if a.shape != b.shape or (a[:, 0] != b[:, 0]).any():
        raise ValueError("counts of different sentences: a pair needs one of each system on the same sentence")
    drawn = _resample(np.hstack([a, b]), resamples, seed)
    low, high = _percentiles(micro_f1(drawn[:, :3]) - micro_f1(drawn[:, 3:]), confidence)
    return float(micro_f1(a.sum(0)) - micro_f1(b.sum(0))), low, high


def _resample(counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sums over as many sentences, drawn with replacement, (resamples, columns); a row at a time, to save memory."""
    if (n := len(counts)) < 2:
        raise ValueError(f"{n} sentences have no interval: it takes two, and many for a narrow one")
    rng = np.random.default_rng(seed)
    return np.stack([np.bincount(rng.integers(n, size=n), minlength=n) @ counts for _ in range(resamples)])


def _percentiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _lists(gold: Tags, predicted: Tags) -> tuple[list[list[str]], list[list[str]]]:
    """As seqeval wants them. Its own error prints the lengths of all sentences."""
    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    for i, (ours, theirs) in enumerate(zip(gold, predicted, strict=True)):
        if len(ours) != len(theirs):
            raise ValueError(f"sentence {i} has {len(ours)} tags and {len(theirs)} predicted ones")
    return gold, predicted
