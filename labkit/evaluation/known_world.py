"""Does a continuation agree with the story so far? Read from its words, on worlds where everything is known.

    judgement = judge(told, continuation)
    print(judgement.logic, judgement.background, judgement.read, judgement.faults)

Novel-GPT names three criteria for a continuation and measures none: its logic (nobody drinks in the middle of a fight),
the background told before (childhood friends aren't brother and sister), and the style (see `style`). Here the first
two are counted. The sentences of a synthetic novel are read back by its own wordings; `State` follows who is where, who
has what, and the background. A *logic* fault is an event that can't follow from how things stand in its chapter; a
*background* fault contradicts what was told before the chapter began, or uses what never was. After a fault the event
counts as told, so that one mistake isn't counted again and again.

Only text is read, never what the generator knows. A sentence in other words is `unread`, and neither right nor wrong: a
model that mumbles has no faults, so quote `unread` beside them, and `claims`, the sentences that can have background
faults at all. `plant` makes stories with one known fault: the judge finds each kind in 19 of 20 or more, and none in
stories as they were written. A page takes a few milliseconds.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from labkit.profile import unknown
from labkit.tasks.synthetic_novels import FACTS, FOODS, KIN, OPENING, TERMS, WOMEN, WORDINGS, Event, inverse, write

CLAIMS = (*FACTS, "greet", "own", "return", "hold", "lie", "new")  # kinds that can contradict the background
PLANTS = {
    "actor": "logic", "companion": "logic", "object": "logic", "place": "logic", "fight": "logic",
    "kin": "background", "owner": "background", "home": "background",
}  # fmt: skip
_MOVED = ("drop", "give", "eat")
_CHANGED = {
    "actor": _MOVED, "object": _MOVED, "companion": ("talk", "give", "fight"), "place": ("go",), "fight": ("fight",),
    "kin": ("greet",), "owner": ("own",), "home": ("return",),
}  # fmt: skip
_ADDED = {"place": "at", "fight": "go"}  # a sentence of this kind, after the one it contradicts


class Fault(NamedTuple):
    """A sentence, what is wrong with it ("logic" or "background"), and why, in words."""

    sentence: str
    kind: str
    why: str


@dataclass(frozen=True)
class Judgement:
    """How many whole sentences a continuation has, how many can't be read, how many speak of the background; faults."""

    sentences: int
    unread: int
    claims: int
    faults: tuple[Fault, ...]

    @property
    def read(self) -> int:
        """Sentences that could be held against the story."""
        return self.sentences - self.unread

    @property
    def logic(self) -> int:
        """Sentences with a logic fault, of those that are `read`."""
        return sum(fault.kind == "logic" for fault in self.faults)

    @property
    def background(self) -> int:
        """Sentences with a background fault, of those that are `claims`."""
        return sum(fault.kind == "background" for fault in self.faults)


def judge(told: str, continuation: str) -> Judgement:
    """Hold a continuation against all that was told before it, which is believed.

    `told` is the book from its first word, whatever part of it a model has read, and ends with a whole sentence or a
    heading. What a continuation leaves unfinished at its end isn't counted.
    """
    state = State()
    for sentence in _sentences(told):
        state.follow(sentence)
    sentences = _sentences(continuation)
    unread = claims = 0
    faults: list[Fault] = []
    for sentence in sentences:
        event = read(sentence)
        if event is None:
            unread += not _HEADING.fullmatch(sentence)
        else:
            claims += event.kind in CLAIMS
            found = {"logic": state.logic(event), "background": state.background(event)}
            faults += [Fault(sentence, kind, why) for kind, why in found.items() if why]
        state.follow(sentence)
    headings = sum(bool(_HEADING.fullmatch(sentence)) for sentence in sentences)
    return Judgement(len(sentences) - headings, unread, claims, tuple(faults))


def total(judgements: Iterable[Judgement]) -> Judgement:
    """Many continuations' judgements as one."""
    every = list(judgements)
    sums = (sum(getattr(j, name) for j in every) for name in ("sentences", "unread", "claims"))
    return Judgement(*sums, tuple(fault for j in every for fault in j.faults))


def recap(told: str, about: str) -> str:
    """The background that was told of what `about` names (a chapter's opening, say), once each.

    That is the kinship of people who are both named, the homes of people and the owners of things.
    """
    facts = {sentence: event for sentence in _sentences(told) if (event := read(sentence)) and event.kind in FACTS}
    named = {"", *re.findall(r"\w+", about)}
    return " ".join(s for s, event in facts.items() if ({event.o} if event.o else {event.a, event.b}) <= named)


class State:
    """What is known after what was told so far: the background, and how things stand.

    `places` has the people of this chapter; `where` says who holds a thing or in which place it lies, "" once it is
    eaten. `kin[(a, b)]` is what a is of b. `logic` and `background` say what is wrong with an event, or "".
    """

    def __init__(self) -> None:
        self.kin: dict[tuple[str, str], str] = {}
        self.owners: dict[str, str] = {}
        self.homes: dict[str, str] = {}
        self.where: dict[str, str] = {}
        self._begin_chapter()

    def _begin_chapter(self) -> None:
        self.places: dict[str, str] = {}
        self.fighting: set[str] = set()
        self.opening = True  # nothing has happened yet

    def logic(self, event: Event) -> str:
        """Why the event can't follow from how things stand in this chapter."""
        kind, a, b, o, p, _ = event
        here = self.places.get(a)
        if kind in FACTS:
            return ""
        if kind in OPENING:
            if here and here != p:
                return f"{a} is in the {here}"
            return "" if self.opening else self._misplaced(event)
        if not here:
            return f"nobody has said where {a} is"
        if b and kind != "own" and (a == b or self.places.get(b) != here):
            return f"{b} is not with {a}"
        if kind == "part":
            return "" if {a, b} <= self.fighting else f"{a} and {b} don't fight"
        if busy := self.fighting & {a, b if kind != "own" else a}:
            return f"{min(busy)} is still fighting"
        if kind in ("go", "return") and p == here:
            return f"{a} is there already"
        if kind == "take" and self.where.get(o) != here:
            return f"the {o} is not in the {here}"
        if kind in ("drop", "give", "eat", "own") and self.where.get(o) != a:
            return f"{a} does not hold the {o}"
        return f"the {o} is nothing to eat" if kind == "eat" and o not in FOODS else ""

    def background(self, event: Event) -> str:
        """What the event contradicts of what was told before this chapter, or where it uses what never was."""
        kind, a, b, o, p, kin = event
        if kind == "kin" and self.kin.get((a, b), kin) != kin:
            return f"{a} is the {self.kin[a, b]} of {b}"
        if kind == "greet" and self.kin.get((b, a)) != kin:
            return f"{b} is not the {kin} of {a}"
        if (kind == "owner" and self.owners.get(o, b) != b) or (kind == "own" and self.owners.get(o) != b):
            return f"the {o} does not belong to {b}"
        if (kind == "home" and self.homes.get(a, p) != p) or (kind == "return" and self.homes.get(a) != p):
            return f"{a} does not live in the {p}"
        return self._misplaced(event) if self.opening else ""

    def _misplaced(self, event: Event) -> str:
        """Why the thing can't be where the event finds it."""
        found = {"hold": event.a, "lie": event.p, "new": ""}.get(event.kind)
        if found is None or (at := self.where.get(event.o, found)) == found:
            return ""
        return f"the {event.o} is " + (f"with {at}" if at.istitle() else f"in the {at}" if at else "eaten")

    def follow(self, sentence: str) -> None:
        """Take what the sentence tells as told, be it wrong; a heading begins a chapter, and time passes."""
        if _HEADING.fullmatch(sentence):
            self._begin_chapter()
        if (event := read(sentence)) is None:
            return
        kind, a, b, o, p, kin = event
        self.opening &= kind in (*OPENING, *FACTS)
        if kind == "kin":
            self.kin.setdefault((a, b), kin)
            self.kin.setdefault((b, a), inverse(kin, b))
        elif kind == "owner":
            self.owners.setdefault(o, b)
        elif kind == "home":
            self.homes.setdefault(a, p)
        elif p and a:
            self.places[a] = p
        if kind in ("lie", "new", "drop"):
            self.where[o] = p or self.places.get(a, "")
        elif kind in ("hold", "take", "own", "give", "eat"):
            self.where[o] = {"give": b, "eat": ""}.get(kind, a)
        elif kind == "fight":
            self.fighting |= {a, b}
        elif kind == "part":
            self.fighting -= {a, b}


def plant(story: str, kind: str, rng: random.Random) -> str:
    """The story with one fault of that kind (of `PLANTS`), in a place drawn at random.

    `actor`, `object`: who drops, gives or eats a thing, or the thing, is another. `companion`: who is talked to, fought
    or given something has not been in the chapter. `place`: who has just gone to one place is in another. `fight`:
    somebody leaves in the middle of one. `kin`, `owner`, `home`: another term, owner or place than was told. The rest
    of the story stays, and may disagree with it too. Raises `LabError` for an unknown kind, and `ValueError` for a
    story that has no sentence to change so.
    """
    if kind not in PLANTS:
        raise unknown("fault", kind, PLANTS)
    if not (changes := list(_changes(story, kind, rng))):
        raise ValueError(f"the story has no sentence for a fault of the kind {kind!r}")
    begin, end, instead = rng.choice(changes)
    return story[:begin] + instead + story[end:]


def _changes(story: str, kind: str, rng: random.Random) -> Iterator[tuple[int, int, str]]:
    """Every sentence's way to have that fault: what is to stand from where to where."""
    events = [event for sentence in _sentences(story) if (event := read(sentence))]
    people, things, places = ({getattr(e, role) for e in events for role in roles} - {""} for roles in ("ab", "o", "p"))
    present: set[str] = set()
    for match in _SENTENCE.finditer(story):
        event, style, wording = _parse(match[0].strip()) or (None, "", "")
        if event is None:
            present = set()  # a heading
            continue
        _, a, b, o, p, kin = event
        present |= {a, b} - {""}
        same_sex = {terms[b in WOMEN] for terms in TERMS.values()}
        role, others = {
            "actor": ("a", present - {a, b}), "companion": ("b", people - present), "object": ("o", things - {o}),
            "place": ("p", places - {p}), "fight": ("p", places), "kin": ("kin", same_sex - {kin}),
            "owner": ("b", people - {a, b}), "home": ("p", places - {p}),
        }[kind]  # fmt: skip
        if event.kind not in _CHANGED[kind] or not others:
            continue
        changed = event._replace(**{role: rng.choice(sorted(others))})
        if kind in _ADDED:
            added = rng.choice(WORDINGS[style][_ADDED[kind]])
            yield match.end(), match.end(), f" {write(added, changed)}"
        else:
            yield match.end() - len(match[0].lstrip()), match.end(), write(wording, changed)


def read(sentence: str) -> Event | None:
    """What a sentence tells, or None if none of the wordings fits."""
    parsed = _parse(sentence)
    return parsed and parsed[0]


@lru_cache(maxsize=1 << 16)  # half of all sentences occur again
def _parse(sentence: str) -> tuple[Event, str, str] | None:
    """The event, the style and the wording."""
    for kind, style, wording, pattern in _PATTERNS:
        if match := pattern.fullmatch(sentence):
            return Event(kind, **match.groupdict()), style, wording
    return None


def _pattern(wording: str) -> re.Pattern[str]:
    """A wording as what finds its roles: people are capitalised, all else is a word."""
    role = {"a": "[A-Z][a-z]+", "b": "[A-Z][a-z]+", "o": "[a-z]+", "p": "[a-z]+", "kin": "|".join(KIN)}
    pattern = re.escape(wording).replace(r"\{his\}", "(?:his|her)")
    return re.compile(re.sub(r"\\\{(\w+)\\\}", lambda m: f"(?P<{m[1]}>{role[m[1]]})", pattern))


_PATTERNS = [
    (kind, style, wording, _pattern(wording))
    for style, kinds in WORDINGS.items()
    for kind, wordings in kinds.items()
    for wording in wordings
]
_HEADING = re.compile(r"Chapter \d+")
_SENTENCE = re.compile(r"[^.\n]+\.?")


def _sentences(text: str) -> list[str]:
    """Sentences and headings in order; the last only if it is whole."""
    found = [sentence.strip() for sentence in _SENTENCE.findall(text) if sentence.strip()]
    whole = not found or found[-1].endswith(".") or _HEADING.fullmatch(found[-1])
    return found if whole else found[:-1]
