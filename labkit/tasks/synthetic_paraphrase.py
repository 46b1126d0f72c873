"""Synthetic pairs of sentences: the same event in other words, or another event in much the same words.

    data = synthetic_pairs(4_000, 400)
    paraphrase_text(0, 1_000), paraphrase_notes(0, 1_000)          # to pretrain on

An event is who did what to whom, and where, when and after how long. Every sentence draws its own verb from a pair of
synonyms, active or passive, and the order of its details; the second may leave out a detail. If it is not equivalent,
one fact is another (`CHANGES`). Words alone say little then: swapped roles leave all of them, a synonym and
the passive cost as many as a false number does. Which fact was changed is kept, so that a model's errors can be told
apart: another number shows by comparing words, swapped roles only by reading them.

**Designed in:** two pairs in three are equivalent, as in MRPC; the vocabulary is small (under 200 words) and there is
nothing to know about the world but which verbs are synonyms. The remarks of `paraphrase_notes` name the right label in
words of their own; see `synthetic_finance`.

What is tested is new: a pair belongs to the test's side, or to that of training and pretraining, by a hash of who did
what to whom in its first sentence.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from labkit.tasks.labelled import Labelled, key, place
from labkit.tasks.paraphrase import LABELS, Pair

EQUIVALENT = 0.67  # so many of the pairs
CHANGES = ("number", "place", "day", "verb", "negation", "roles")
PASSIVE = 0.25  # of all sentences
DENIED = 0.2  # so many events did not happen, so that "not" alone says nothing
DROPPED = 0.2  # so many second sentences leave out a detail
HELD_OUT = 0.15  # of all who-did-what-to-whom, so many are for validation and test only

PEOPLE = (
    "Adams Baker Clark Davis Evans Foster Grant Hayes Irwin Jones Keller Lewis Mason Nolan Owens Parker Quinn Reed "
    "Shaw Turner"
).split()
PLACES = "Boston Chicago Dallas Denver London Madrid Miami Paris Rome Tokyo".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
UNITS = "hours days weeks months".split()
# Synonyms, as base and past, which is the participle too.
_VERBS = [
    [tuple(form.split()) for form in synonyms.split(",")]
    for synonyms in (
        "hire hired, recruit recruited|sue sued, prosecute prosecuted|praise praised, applaud applauded|"
        "warn warned, caution cautioned|defeat defeated, beat beat|help helped, assist assisted|"
        "attack attacked, assault assaulted|visit visited, meet met|free freed, release released|"
        "back backed, support supported|chase chased, pursue pursued|fire fired, dismiss dismissed"
    ).split("|")
]
_REMARKS = (
    "The two are {label} .",
    "Editors judged them {label} .",
    "In meaning these are {label} .",
    "A reader found them {label} .",
    "Put side by side , they are {label} .",
    "Both reports ? They are {label} .",
    "As to what they say , these are {label} .",
    "The verdict : {label} .",
)


class _Event(NamedTuple):
    """Who did what (or not) to whom, and the details: "in Rome", "on Friday", "after 3 weeks"."""

    who: str
    verb: int
    whom: str
    negation: bool
    place: str
    day: str
    number: str


def synthetic_pairs(n_train: int, n_test: int, changes: Sequence[str] = CHANGES) -> Labelled[Pair]:
    """`n_train` pairs to train on, and `n_test` for validation and for test each; no pair is in two splits or twice.

    `changes` are the facts in which pairs that aren't equivalent may differ. The same numbers give the same pairs.
    """
    seen: set[str] = set()
    sizes = {"train": n_train, "validation": n_test, "test": n_test}
    streams = {split: _unseen(_stream(f"{split} split", split != "train", changes), seen) for split in sizes}
    splits = {split: list(islice(streams[split], n)) for split, n in sizes.items()}
    return Labelled(LABELS, **splits, name="synthetic paraphrases", dropped=0)


def paraphrase_text(seed: int, n: int) -> list[str]:
    """`n` pairs as running text without labels, none of them from the validation or test side."""
    return [pair.text for pair in islice(_stream(f"text {seed}", False), n)]


def paraphrase_notes(seed: int, n: int) -> list[str]:
    """`n` pairs as `paraphrase_text`'s, each with a remark that names its label."""
    rng = random.Random(f"remarks {seed}")
    pairs = islice(_stream(f"notes {seed}", False), n)
    return [f"{pair.text} {rng.choice(_REMARKS).format(label=LABELS[pair.label])}" for pair in pairs]


def _stream(seed: str, test: bool, changes: Sequence[str] = CHANGES) -> Iterator[Pair]:
    """Pairs without end, of the test's side or of the other."""
    rng = random.Random(seed)
    while True:
        event = _event(rng)
        if test == (place(f"{event.who} {event.verb} {event.whom}") < HELD_OUT):
            yield _pair(rng, event, changes)


def _unseen(pairs: Iterator[Pair], seen: set[str]) -> Iterator[Pair]:
    for pair in pairs:
        if key(pair.text) not in seen:
            seen.add(key(pair.text))
            yield pair


def _event(rng: random.Random) -> _Event:
    who, whom = rng.sample(PEOPLE, 2)
    details = rng.choice(PLACES), rng.choice(DAYS), f"{rng.randint(2, 30)} {rng.choice(UNITS)}"
    return _Event(who, rng.randrange(len(_VERBS)), whom, rng.random() < DENIED, *details)


def _pair(rng: random.Random, event: _Event, changes: Sequence[str]) -> Pair:
    change = "" if rng.random() < EQUIVALENT else rng.choice(changes)
    other = _change(rng, event, change) if change else event
    details = ["place", "day", "number"]
    first = second = _write(rng, event, details)
    if rng.random() < DROPPED:
        details.remove(rng.choice([detail for detail in details if detail != change]))
    while second == first:
        second = _write(rng, other, details)
    return Pair(first, second, int(not change), change)


def _change(rng: random.Random, event: _Event, change: str) -> _Event:
    """Another event, which differs in that fact only."""
    if change == "roles":
        return event._replace(who=event.whom, whom=event.who)
    while True:
        if (fresh := getattr(_event(rng), change)) != getattr(event, change):
            return event._replace(**{change: fresh})


def _write(rng: random.Random, event: _Event, details: Sequence[str]) -> str:
    """The event in a wording drawn at random, with those of its details."""
    base, past = rng.choice(_VERBS[event.verb])
    if rng.random() < PASSIVE:
        deed = f"{event.whom} was {'not ' * event.negation}{past} by {event.who}"
    else:
        deed = f"{event.who} {f'did not {base}' if event.negation else past} {event.whom}"
    words = {"place": f"in {event.place}", "day": f"on {event.day}", "number": f"after {event.number}"}
    front, *rest = (words[detail] for detail in rng.sample(details, len(details)))
    if rng.random() < 0.5:
        return " ".join([front[0].upper() + front[1:], ",", deed, *rest, "."])
    return " ".join([deed, front, *rest, "."])
