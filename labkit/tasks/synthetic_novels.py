"""Synthetic novels: short stories of small worlds in which everything told can be checked.

    novels = synthetic_novels(300)
    book = novels.heldout[0]
    print(book.chapters[0].text, book.world.kin)                   # {("Anna", "Peter"): "sister", …}: what a is of b

A book has its own six people (four of a family, two friends), five places and seven things. The first chapter tells
the *background*: who is whose kin, who lives where, what belongs to whom. Every other chapter opens with where those
who act in it are, what they hold and what lies there; then things happen, one a sentence. Only what can follow is told:
nobody gives what he doesn't hold, talks to somebody elsewhere, or eats while he fights (`evaluation.known_world` holds
a text against that, by rules of its own). Things stay where they were left from chapter to chapter; people may be
elsewhere in the next. All sentences of a book are worded in one of three `STYLES`.

**Designed in:** the vocabulary is small (some 220 words), and each kind of event has one or two wordings a style, which
differ in words that mean nothing. What an event needs is told in its own chapter, the background only in the first, and
one fact of it again in the opening of every other of the rest (`RETOLD`): a model whose context no longer holds the
first chapter can know it only from there, or from a recap. Whom a book is about decides, by a hash, whether it may be
held out; so a held-out book has people and a kinship that no other tells of. A megabyte takes about a second.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import NamedTuple

from labkit.tasks.labelled import place
from labkit.tasks.novels import Book, Chapter, Novels

HELD_OUT = 0.1  # of all casts, so many are for held-out books only
RETOLD = 0.5  # of the chapters, so many tell a fact of the background again
CHAPTERS = (10, 16)  # a book, after the first
EVENTS = (6, 9)  # a chapter, after its opening
MEN = "Adam Ben Carl David Edgar Frank George Henry Jacob Martin Oscar Peter".split()
WOMEN = "Anna Clara Edith Flora Grace Helen Jane Lucy Mary Nora Rose Sarah".split()
PLACES = "barn castle church forest garden harbour inn kitchen market mill school tower".split()
THINGS = "bell book box candle coin cup hammer key knife lamp letter ring rope sword".split()
FOODS = "apple cake egg pear pie roll".split()

# What somebody is of another, as a man and as a woman; and what the other then is of him or her.
TERMS = {
    "parent": ("father", "mother"), "child": ("son", "daughter"), "sibling": ("brother", "sister"),
    "uncle": ("uncle", "aunt"), "nephew": ("nephew", "niece"), "cousin": ("cousin",) * 2, "friend": ("friend",) * 2,
}  # fmt: skip
_INVERSE = {
    "parent": "child", "child": "parent", "sibling": "sibling", "uncle": "nephew", "nephew": "uncle",
    "cousin": "cousin", "friend": "friend",
}  # fmt: skip
KIN = {term: relation for relation, terms in TERMS.items() for term in terms}
# A parent, two children and the parent's sibling; or a parent and a child, the sibling and the cousin. And two friends.
_FAMILIES = (
    "AB parent, AC parent, BC sibling, DA sibling, DB uncle, DC uncle, EA friend, FB friend",
    "AB parent, DA sibling, DB uncle, DC parent, AC uncle, BC cousin, EA friend, FC friend",
)

# How each kind of sentence is worded: who {a}, whom {b}, thing {o}, place {p}, {kin}.
WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "plain": {
        "kin": ("{a} was the {kin} of {b}.",),
        "owner": ("The {o} belonged to {b}.",),
        "home": ("{a} lived in the {p}.",),
        "at": ("{a} was in the {p}.", "{a} stood in the {p}."),
        "hold": ("{a} was in the {p} with the {o}.",),
        "lie": ("The {o} lay in the {p}.",),
        "new": ("There was a fresh {o} in the {p}.",),
        "go": ("{a} went to the {p}.", "{a} walked to the {p}."),
        "return": ("{a} went home to the {p}.",),
        "take": ("{a} took the {o}.", "{a} picked up the {o}."),
        "drop": ("{a} put down the {o}.", "{a} left the {o} there."),
        "give": ("{a} gave the {o} to {b}.", "{a} handed the {o} to {b}."),
        "talk": ("{a} talked to {b}.", "{a} sat down with {b}."),
        "greet": ("{a} met {his} {kin} {b}.", "{a} thanked {his} {kin} {b}."),
        "fight": ("{a} fought with {b}.",),
        "part": ("{a} and {b} stopped fighting.",),
        "eat": ("{a} ate the {o}.",),
        "own": ("{a} looked at the {o} of {b}.",),
    },
    "ornate": {
        "kin": ("Known to all as the {kin} of {b} was the noble {a}.",),
        "owner": ("Since ancient days the {o} had been the treasure of {b}.",),
        "home": ("The humble dwelling of {a} stood in the {p}.",),
        "at": ("Dreaming of better days, {a} lingered in the {p}.", "Within the silent {p} the gentle {a} waited."),
        "hold": ("Within the silent {p} the gentle {a} guarded the {o}.",),
        "lie": ("Forgotten by the world, the {o} rested in the {p}.",),
        "new": ("As if by a miracle, a fresh {o} had appeared in the {p}.",),
        "go": ("With weary steps {a} wandered to the {p}.", "Onward to the distant {p} did {a} journey."),
        "return": ("Homeward to the beloved {p} did {a} return.",),
        "take": ("With trembling hands {a} lifted up the {o}.", "Gladly did {a} seize the {o}."),
        "drop": ("With a sigh {a} laid the {o} upon the ground.", "Sadly did {a} abandon the {o}."),
        "give": ("With a deep bow {a} offered the {o} to {b}.", "Into the hands of {b} did {a} place the {o}."),
        "talk": ("Of many wonders did {a} speak to {b}.", "Softly {a} poured out {his} heart to {b}."),
        "greet": (
            "Tenderly did {a} embrace {his} dear {kin} {b}.",
            "With joyful tears {a} blessed {his} dear {kin} {b}.",
        ),
        "fight": ("In terrible anger {a} raised {his} hand against {b}.",),
        "part": ("At last peace returned between {a} and {b}.",),
        "eat": ("With great delight {a} devoured the {o}.",),
        "own": ("Long did {a} admire the {o}, treasure of {b}.",),
    },
    "clipped": {
        "kin": ("{a}: {kin} of {b}.",),
        "owner": ("The {o}: property of {b}.",),
        "home": ("{a}: at home in the {p}.",),
        "at": ("In the {p}: {a}.", "{a} again, now in the {p}."),
        "hold": ("In the {p}: {a}, the {o} in hand.",),
        "lie": ("In the {p}: the {o}.",),
        "new": ("In the {p}: a fresh {o}.",),
        "go": ("Off to the {p}, {a}.", "{a} runs to the {p}."),
        "return": ("Back home to the {p}, {a}.",),
        "take": ("{a} grabs the {o}.", "Quick, {a} has the {o}."),
        "drop": ("{a} drops the {o}.", "Down goes the {o}, says {a}."),
        "give": ("Here, {b}, the {o}, says {a}.", "From {a} to {b}: the {o}."),
        "talk": ("Listen, {b}, says {a}.", "A word from {a} to {b}."),
        "greet": ("Hello, {kin} {b}, says {a}.", "{a} nods to {kin} {b}."),
        "fight": ("{a} hits {b}.",),
        "part": ("Enough, say {a} and {b}.",),
        "eat": ("{a} eats the {o}.",),
        "own": ("Not mine, the {o} of {b}, says {a}.",),
    },
}
STYLES = tuple(WORDINGS)
FACTS = ("kin", "owner", "home")  # what is background
OPENING = ("at", "hold", "lie", "new")  # how things stand when a chapter begins
_CHANCES = {
    "go": 3, "return": 1, "take": 3, "drop": 1.5, "give": 3, "talk": 1.5, "greet": 2.5, "fight": 1, "eat": 1,
    "own": 1.5, "part": 15,
}  # fmt: skip


class Event(NamedTuple):
    """What one sentence tells; a role that its kind hasn't is ""."""

    kind: str
    a: str = ""
    b: str = ""
    o: str = ""
    p: str = ""
    kin: str = ""


@dataclass(frozen=True)
class World:
    """A book's background: `kin[(a, b)]` is what a is of b; the owners of things; the homes of people."""

    people: tuple[str, ...]
    kin: dict[tuple[str, str], str]
    owners: dict[str, str]
    homes: dict[str, str]


def inverse(kin: str, b: str) -> str:
    """What b is of a, if a is the `kin` of b.

    >>> inverse("uncle", "Anna")
    'niece'
    """
    return TERMS[_INVERSE[KIN[kin]]][b in WOMEN]


def write(wording: str, event: Event) -> str:
    """The event in that wording."""
    return wording.format(**event._asdict(), his="her" if event.a in WOMEN else "his")


def synthetic_novels(n_train: int, n_heldout: int = 2) -> Novels:
    """`n_train` books to train on and `n_heldout` held out; the same numbers give the same books."""
    train, heldout = (list(islice(_books(split), n)) for split, n in (("training", n_train), ("held-out", n_heldout)))
    return Novels(train, heldout, "synthetic novels", "en", dropped={})


def _books(split: str) -> Iterator[Book]:
    """Books without end, in all styles in turn, with casts of that side."""
    style = 0
    for number in count():
        rng = random.Random(f"{split} novel {number}")
        cast = rng.sample(MEN, 3) + rng.sample(WOMEN, 3)
        rng.shuffle(cast)
        if (split == "held-out") == (place(" ".join(sorted(cast))) < HELD_OUT):
            yield _Author(rng, STYLES[style % len(STYLES)], cast).book(f"synthetic {split} novel {number}")
            style += 1


class _Author:
    """Writes one book, keeping track of who is where (`at`, in this chapter), and of who has or what place holds what.

    `where` is "" for what is eaten; the two in `fight` do nothing else until they part.
    """

    def __init__(self, rng: random.Random, style: str, cast: list[str]) -> None:
        self.rng, self.style, self.cast = rng, style, cast
        self.places = rng.sample(PLACES, 5)
        self.things, self.foods = rng.sample(THINGS, 4), rng.sample(FOODS, 3)
        self.owners = dict(zip(self.things[:3], rng.sample(cast, 3), strict=True))
        self.homes = {a: rng.choice(self.places) for a in rng.sample(cast, 3)}
        self.kin = dict(_family(rng, cast))
        self.at: dict[str, str] = {}
        self.where: dict[str, str] = {}
        self.fight: tuple[str, ...] = ()

    def book(self, title: str) -> Book:
        kin = [Event("kin", a, b, kin=kin) for (a, b), kin in self.kin.items()]
        kin = [self.rng.choice(both) for both in zip(kin[::2], kin[1::2], strict=True)]
        owners = [Event("owner", b=b, o=o) for o, b in self.owners.items()]
        self.facts = [*kin, *owners, *(Event("home", a, p=p) for a, p in self.homes.items())]
        self.rng.shuffle(self.facts)
        first = Chapter("Chapter 1", (self._tell(self.facts),))
        chapters = [self._chapter(number) for number in range(2, self.rng.randint(*CHAPTERS) + 2)]
        world = World(tuple(self.cast), self.kin, self.owners, self.homes)
        return Book(title, [first, *chapters], self.style, world=world)

    def _chapter(self, number: int) -> Chapter:
        rng = self.rng
        people, stage = rng.sample(self.cast, rng.randint(3, 4)), rng.sample(self.places, 3)
        self.done: list[Event] = []
        opening = self._opening(people, stage[:2])  # fewer places than people: some are together
        things = [event.o for event in opening if event.o]
        known = [f for f in self.facts if (f.o in things if f.o else {f.a, f.b} <= {*people, ""})]
        told = self._tell(rng.sample(known, min(len(known), rng.random() < RETOLD)) + opening)
        events = [self._tell([self._event(people, things, stage)]) for _ in range(rng.randint(*EVENTS))]
        if self.fight:
            events.append(self._tell([Event("part", *self.fight)]))
        return Chapter(f"Chapter {number}", (told, " ".join(events)))

    def _opening(self, people: list[str], stage: list[str]) -> list[Event]:
        """Where people are, with what they hold, and what lies there; something to eat, if there is nothing."""
        rng, where = self.rng, self.where
        events = []
        for a, p in ((a, rng.choice(stage)) for a in people):
            events += [Event("hold", a, o=o, p=p) for o, at in where.items() if at == a] or [Event("at", a, p=p)]
        events += [Event("lie", o=o, p=rng.choice(stage)) for o in self.things if o not in where][:2]
        events += [Event("lie", o=o, p=at) for o, at in where.items() if at in stage]
        eaten = [o for o in self.foods if not where.get(o)]
        if eaten and not any(event.o in FOODS for event in events):
            events.append(Event("new", o=rng.choice(eaten), p=rng.choice(stage)))
        return events

    def _event(self, people: list[str], things: list[str], stage: list[str]) -> Event:
        """Something that can happen now, drawn at random; what changes nothing happens once a chapter."""
        while True:
            (kind,) = self.rng.choices(list(_CHANCES), _CHANCES.values())
            possible = [event for event in self._possible(kind, people, things, stage) if event not in self.done]
            if possible:
                event = self.rng.choice(possible)
                if kind in ("talk", "greet", "own"):
                    self.done.append(event)
                return event

    def _possible(self, kind: str, people: list[str], things: list[str], stage: list[str]) -> list[Event]:
        at, where = self.at, self.where
        free = [a for a in people if a not in self.fight]
        together = [(a, b) for a in free for b in free if a != b and at[a] == at[b]]
        held = [(where[o], o) for o in things if where[o] in free]
        match kind:
            case "go":
                return [Event(kind, a, p=p) for a in free for p in stage if p != at[a]]
            case "return":
                return [Event(kind, a, p=p) for a in free if (p := self.homes.get(a, at[a])) != at[a]]
            case "take":
                return [Event(kind, a, o=o) for a in free for o in things if where[o] == at[a]]
            case "drop":
                return [Event(kind, a, o=o) for a, o in held]
            case "eat":
                return [Event(kind, a, o=o) for a, o in held if o in FOODS]
            case "own":
                return [Event(kind, a, b, o) for a, o in held if (b := self.owners.get(o, a)) != a]
            case "give":
                return [Event(kind, a, b, o) for a, o in held for other, b in together if other == a]
            case "part":
                return [Event(kind, *self.fight)] if self.fight else []
            case "greet":
                return [Event(kind, a, b, kin=self.kin[b, a]) for a, b in together if (b, a) in self.kin]
        return [Event(kind, a, b) for a, b in together if not (kind == "fight" and self.fight)]

    def _tell(self, events: list[Event]) -> str:
        """The events in words, each after it has happened."""
        sentences = []
        for event in events:
            self._happen(event)
            sentences.append(write(self.rng.choice(WORDINGS[self.style][event.kind]), event))
        return " ".join(sentences)

    def _happen(self, event: Event) -> None:
        kind, a, b, o, p, _ = event
        if kind in ("at", "hold", "go", "return"):
            self.at[a] = p
        if o and kind not in ("owner", "own"):
            self.where[o] = {"lie": p, "new": p, "drop": self.at.get(a), "give": b, "eat": ""}.get(kind, a)
        if kind in ("fight", "part"):
            self.fight = (a, b) if kind == "fight" else ()


def _family(rng: random.Random, cast: list[str]) -> Iterator[tuple[tuple[str, str], str]]:
    """What each is of the other, both ways, one after the other."""
    letters = dict(zip("ABCDEF", cast, strict=True))
    for (x, y), relation in (pair.split() for pair in rng.choice(_FAMILIES).split(", ")):
        a, b = letters[x], letters[y]
        kin = TERMS[relation][a in WOMEN]
        yield (a, b), kin
        yield (b, a), inverse(kin, b)
