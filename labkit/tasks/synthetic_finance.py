"""Synthetic financial news: sentences whose label follows from what happens to what.

    data = synthetic_sentences(2_400, 400)
    finance_text(0, 1_000), finance_notes(0, 1_000)                # to pretrain on

More profit is good news, more debt is bad, and more offices are neither: a word's part in the label depends on another
word. Most sentences of good or bad news just say so; one in seven is harder: two numbers to compare, two clauses that
disagree (the main one counts), the end of a rise. Much is neutral in the same words: what stays as it was, what is only
named.

**Designed in:** the shares of the labels (`SHARES`) are Financial PhraseBank's. So is the order of the levels of
agreement: hard sentences, and news of bad quantities, get a low one more often (`AGREEMENT`), though nobody was asked
and no label is noisy. Bad quantities are rarer than good ones (`BAD_SHARE`; among the real sentences of good or bad
news one in nine has a loss, a cost, a debt or a tax), which lets word counts get far, and no further. Both shares were
lowered after trials: with half of the sentences hard and a third of the quantities bad, no GPT-Neo that was pretrained
for a minute and a half learnt which way the news pointed. The remarks of `finance_notes` name the right label in words
of their own, each label as often as the others, so that the rare one is learnt too: only a model that was pretrained on
them has met the label words in use. Notebook 08 needs that, and says so.

What is tested is new: a sentence belongs to the test's side, or to that of training and pretraining, by a hash of its
words or of its combination of wording, quantity and direction. A tenth of the combinations are the test's alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from typing import NamedTuple

from labkit.tasks.labelled import Labelled, key, place
from labkit.tasks.sentiment import LABELS, LEVELS, Sentence

SHARES = {"negative": 0.13, "neutral": 0.59, "positive": 0.28}
BAD_SHARE = 0.2  # of the sentences that tell good news or bad, so many are about a quantity that had better be small
HELD_OUT = 0.1  # of the combinations, and of the sentences of the others, so many are for validation and test only
# Weights of `LEVELS`, for plain sentences and for hard ones; together about those of the real files.
AGREEMENT = {False: (5, 10, 25, 60), True: (35, 30, 20, 15)}


def _phrases(text: str) -> list[str]:
    return [" ".join(phrase.split()) for phrase in text.split("|")]


GOOD = _phrases(
    "profit|operating profit|net income|revenue|order intake|cash flow|turnover|interest income|gross margin"
)
BAD = _phrases("net loss|operating loss|debt|credit loss|tax bill|wage bill|interest expense|energy cost|repair cost")
NEITHER = _phrases(
    """headcount|number of shares|number of offices|number of owners|floor area|storage area|size of the board|
    contract length|number of meetings|fleet size"""
)
COMPANIES = _phrases(
    """Alvera|Borken|Cantel|Dunmar|Elisko|Fennia|Gorvik|Halmet|Ilmari|Jorvas|Kelmo|Lumira|Mertex|Norvia|Ostrum|
    Paltek|Quorin|Rautio|Selvik|Tamfor|Ulvila|Vantor|Wexel|Yrjola|Zenita"""
)
PLACES = _phrases("Finland|Sweden|Norway|Denmark|Estonia|Latvia|Germany|Poland|Russia|China|India|Spain")
PRODUCTS = _phrases("pumps|paper|steel|phones|cranes|tyres|ships|software|furniture|cables|packaging|elevators")
MONTHS = _phrases("January|February|March|April|May|June|August|September|October|November")
PERIODS = _phrases("the first quarter|the second quarter|the third quarter|the fourth quarter|2006|2007|2008|2009")

_RISE, _FALL = _phrases("rose|increased|grew|climbed"), _phrases("fell|decreased|declined|dropped")


class _Shape(NamedTuple):
    """A way to tell of a quantity `{q}` and its direction `{d}`, and how often it tells news, and how often none.

    The number `{new}` is above `{old}` if the direction is up. A second clause has a `{q2}` and perhaps a `{d2}`.
    """

    news: int
    none: int
    hard: bool
    up: Sequence[str]
    down: Sequence[str]
    wordings: tuple[str, ...]


_SHAPES = {
    "verb": _Shape(
        60, 16, False, _RISE, _FALL,
        (
            "{who} 's {q} {d} by {n} % in {when} .",
            "In {when} , the {q} of {who} {d} .",
            "{who} said on {day} {month} that its {q} {d} in {when} .",
            "The {q} of {who} {d} to {new} from {old} in {when} .",
        ),
    ),
    "noun": _Shape(
        12, 7, False, _phrases("a rise|an increase|growth"), _phrases("a fall|a decrease|a decline"),
        ("{who} reported {d} in {q} for {when} .", "{who} has seen {d} in its {q} in {place} ."),
    ),
    "adjective": _Shape(
        8, 5, False, ("higher", "larger"), ("lower", "smaller"),
        ("{who} announced a {d} {q} in {when} .", "A {d} {q} in {place} marked {when} for {who} ."),
    ),
    "forecast": _Shape(
        6, 4, False, _phrases("exceeded|was above|came in over"), _phrases("missed|was below|came in under"),
        ("{who} 's {q} {d} the forecast in {when} .", "In {place} , the {q} of {who} {d} what had been expected ."),
    ),
    "numbers": _Shape(  # to be compared: nothing else says which way it went
        3, 3, True, ("",), ("",),
        (
            "{who} 's {q} was {new} in {when} , compared with {old} a year earlier .",
            "The {q} of {who} went from {old} to {new} in {when} .",
        ),
    ),
    "end": _Shape(  # of a rise, which is as good, or as bad, as a fall
        3, 3, True, _phrases("the fall|the decrease|the decline"), _phrases("the rise|the increase|the growth"),
        ("{who} put an end to {d} in its {q} in {when} .", "In {when} , {d} in the {q} of {who} came to a halt ."),
    ),
    "contrast": _Shape(  # the other clause says the opposite; the main one counts
        4, 0, True, _RISE, _FALL,
        (
            "Although the {q2} of the firm {d2} , the {q} of {who} {d} in {when} .",
            "The {q} of {who} {d} in {when} , although the {q2} of the firm {d2} .",
        ),
    ),
    "unchanged": _Shape(  # of two quantities one moved: is it the one that matters?
        4, 8, True, _RISE, _FALL,
        (
            "While the {q2} of the firm did not change , the {q} of {who} {d} in {when} .",
            "The {q} of {who} {d} in {when} , while the {q2} of the firm did not change .",
        ),
    ),
    "fact": _Shape(
        0, 54, False, _RISE, _FALL,
        (
            "{who} 's {q} did not change in {when} .",
            "In {when} , the {q} of {who} was the same as a year earlier .",
            "{who} will say on {day} {month} if its {q} {d} in {when} .",
            "The {q} of {who} was {new} in {when} .",
            "{who} will publish its {q} for {when} on {day} {month} .",
            "The report tells how {who} measures its {q} .",
            "{who} makes {product} in {place} and has {n} people there .",
            "The annual meeting of {who} will be held in {place} on {day} {month} .",
            "{who} 's contract on {product} in {place} runs for {n} years .",
            "{who} develops {product} for customers in {place} .",
            "{who} was founded in {place} and sells {product} .",
        ),
    ),
}  # fmt: skip
_REMARKS = (
    "Analysts called the tone {label} .",
    "Sentiment : {label} .",
    "For investors this is {label} .",
    "The news is {label} .",
    "The market took it as {label} .",
    "It was read as {label} news .",
    "A {label} report , said one trader .",
    "The mood of the day was {label} .",
    "Brokers rated it {label} .",
    "Its tone ? In a word , {label} .",
)


def synthetic_sentences(n_train: int, n_test: int, agreement: int = 50) -> Labelled[Sentence]:
    """`n_train` sentences to train on and `n_test` for validation and for test each, no sentence twice.

    Of these, only those with at least that agreement are kept, as in the stricter files. The same numbers give the
    same sentences.
    """
    seen: set[str] = set()
    sizes = {"train": n_train, "validation": n_test, "test": n_test}
    splits = {}
    for split, n in sizes.items():
        sentences = _unseen(endless(f"{split} split", test=split != "train"), seen)
        splits[split] = [s for s in islice(sentences, n) if s.agreement >= agreement]
    return Labelled(LABELS, **splits, name=f"synthetic financial news, {agreement} % agreement", dropped=0)


def finance_text(seed: int, n: int) -> list[str]:
    """`n` sentences without labels, none of them from the validation or test side."""
    return [s.text for s in islice(endless(f"text {seed}", test=False), n)]


def finance_notes(seed: int, n: int) -> list[str]:
    """`n` sentences as `finance_text`'s, each with a remark that names its label."""
    rng = random.Random(f"remarks {seed}")
    sentences = islice(endless(f"notes {seed}", False, dict.fromkeys(LABELS, 1)), n)
    return [f"{s.text} {rng.choice(_REMARKS).format(label=LABELS[s.label])}" for s in sentences]


def endless(seed: str, test: bool, shares: Mapping[str, float] = SHARES) -> Iterator[Sentence]:
    """Sentences without end, of the test's side or of the other; on both with the same shares of labels."""
    rng = random.Random(seed)
    while True:
        label = _draw(rng, shares)
        sentences = (_sentence(rng, LABELS.index(label)) for _ in count())
        yield next(s for s in sentences if test == (min(place(s.combination), place(s.text)) < HELD_OUT))


def _unseen(sentences: Iterator[Sentence], seen: set[str]) -> Iterator[Sentence]:
    for sentence in sentences:
        if key(sentence.text) not in seen:
            seen.add(key(sentence.text))
            yield sentence


def _sentence(rng: random.Random, label: int) -> Sentence:
    """A sentence of that label, of any side."""
    news = label - LABELS.index("neutral")  # −1, 0 or 1
    name = _draw(rng, {name: shape.news if news else shape.none for name, shape in _SHAPES.items()})
    shape = _SHAPES[name]
    q, sign = _quantity(rng, rng.choice((-1, 0, 1)) if name == "fact" else news)
    # The other clause: the opposite of news, or news about nothing and nothing about news.
    q2, sign2 = _quantity(rng, -news if name == "contrast" else 0 if news else rng.choice((-1, 1)))
    old, new = sorted(rng.sample(range(2, 100), 2), reverse=sign < 0)
    unit = "{}" if q in NEITHER else "EUR {} mn"
    facts = {
        "q": q, "d": rng.choice(shape.up if sign > 0 else shape.down),
        "q2": q2, "d2": rng.choice(shape.up if sign2 > 0 else shape.down),
        "who": rng.choice(COMPANIES), "place": rng.choice(PLACES), "product": rng.choice(PRODUCTS),
        "when": rng.choice(PERIODS), "month": rng.choice(MONTHS), "day": str(rng.randint(1, 28)),
        "n": str(rng.randint(2, 60)), "old": unit.format(old), "new": unit.format(new),
    }  # fmt: skip
    wording = rng.choice(shape.wordings)
    text = wording.format(**facts)
    parts = ("q", "d", "q2", "d2", "product") if "{q}" in wording else ("product", "place")
    combination = " | ".join([wording, *(facts[part] for part in parts if f"{{{part}}}" in wording)])
    (agreement,) = rng.choices(LEVELS, AGREEMENT[shape.hard or (news != 0 and q in BAD)])
    return Sentence(text[0].upper() + text[1:], label, agreement, combination)


def _quantity(rng: random.Random, news: int) -> tuple[str, int]:
    """A quantity and the sign of its change that together are good (1), bad (−1) or no news (0)."""
    if not news:
        return rng.choice(NEITHER), rng.choice((-1, 1))
    return (rng.choice(BAD), -news) if rng.random() < BAD_SHARE else (rng.choice(GOOD), news)


def _draw(rng: random.Random, weights: Mapping[str, float]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]
