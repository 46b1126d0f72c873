"""What notebook 12 concludes rests on these stories being what they are said to be."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from labkit.tasks.synthetic_novels import FOODS, MEN, PLACES, STYLES, THINGS, WOMEN, inverse, synthetic_novels


@pytest.fixture(scope="module")
def data():
    return synthetic_novels(120, 30)


def sexes(term: str) -> set[bool]:
    """Of whom a kinship term can be said: women (True), men, or both."""
    if term in ("cousin", "friend"):
        return {True, False}
    return {term in ("mother", "daughter", "sister", "aunt", "niece")}


def test_the_same_numbers_give_the_same_books(data):
    again = synthetic_novels(12, 4)
    assert again.train == data.train[:12] and again.heldout == data.heldout[:4]
    assert len({book.text for book in data.train + data.heldout}) == 150
    assert len({book.title for book in data.train + data.heldout}) == 150


def test_held_out_people_are_together_in_no_other_book(data):
    """Else who is whose kin could be known from training."""
    trained = {frozenset(book.world.people) for book in data.train}
    assert trained.isdisjoint(frozenset(book.world.people) for book in data.heldout)
    facts = [set(book.world.kin.items()) for book in data.train]
    assert all(set(book.world.kin.items()) not in facts for book in data.heldout)
    names = {name for book in data.train for name in book.world.people}
    assert names == {*MEN, *WOMEN}, "but every name is known, and so is every word"
    known = set(re.findall(r"\w+", "".join(book.text for book in data.train)))
    assert {w for w in re.findall(r"\w+", "".join(b.text for b in data.heldout)) if not w.isdigit()} <= known


def test_kinship_is_that_of_a_family(data):
    """Both ways, with the right sexes; an aunt is a parent's sister, and cousins are their children."""
    for book in data.train:
        kin = book.world.kin
        assert len(kin) == 16
        for (a, b), term in kin.items():
            assert (a in WOMEN) in sexes(term) and kin[b, a] == inverse(term, b)
            if term in ("uncle", "aunt"):
                parents = {x for (x, y), t in kin.items() if y == b and t in ("father", "mother")}
                assert {kin[a, x] for x in parents} <= {"brother", "sister"} and parents
            if term == "cousin":
                parents = {x for (x, y), t in kin.items() if y in (a, b) and t in ("father", "mother")}
                assert kin[tuple(parents)] in ("brother", "sister")


def test_the_first_chapter_tells_the_whole_background(data):
    """In the plain style, whose sentences can be read off."""
    for book in data.train[::3]:
        text, world = book.chapters[0].text, book.world
        assert book.style == "plain"
        told = {(a, b): kin for a, kin, b in re.findall(r"(\w+) was the (\w+) of (\w+)\.", text)}
        assert len(told) == 8 and all(world.kin[pair] == kin for pair, kin in told.items())
        assert dict(re.findall(r"The (\w+) belonged to (\w+)\.", text)) == world.owners
        assert dict(re.findall(r"(\w+) lived in the (\w+)\.", text)) == world.homes
        assert len(world.owners) == len(world.homes) == 3


def test_every_chapter_says_where_people_are_before_they_act(data):
    """And what things there are; only a thing's owner may be named who isn't there."""
    people = {*MEN, *WOMEN}
    for book in data.train + data.heldout:
        for chapter in book.chapters[1:]:
            opening, events = (
                set(re.findall(r"\w+", re.sub(r"(of|treasure of) [A-Z]\w+", "", text))) for text in chapter.paragraphs
            )
            assert events & people <= opening and events & {*THINGS, *FOODS} <= opening, chapter.text
            assert opening & {*PLACES}


def test_half_of_the_chapters_tell_a_fact_again(data):
    """What a recap looks like must be known from training."""
    plain = [c.paragraphs[0] for book in data.train[::3] for c in book.chapters[1:]]
    again = sum(bool(re.search(r"was the|belonged|lived", opening)) for opening in plain)
    assert again / len(plain) == pytest.approx(0.5, abs=0.08)


def test_what_is_eaten_is_gone_until_there_is_a_fresh_one(data):
    """Read in the plain style, without knowing anything else."""
    for book in data.train[::3]:
        gone: set[str] = set()
        for sentence in re.findall(r"[^.\n]+\.", book.text):
            word = re.findall(r"\w+", sentence)
            if "fresh" in word:
                gone -= {*word}
            assert not gone & {*word}, sentence
            if "ate" in word:
                assert word[-1] in FOODS
                gone.add(word[-1])


def test_sizes_suit_a_tiny_model(data):
    words = re.findall(r"[A-Za-z]+", "".join(book.text for book in data.train))
    assert len(set(words)) < 300
    per_book = [len(book.chapters) for book in data.train]
    assert min(per_book) >= 11 and max(per_book) <= 17
    per_chapter = [c.text.count(".") for book in data.train for c in book.chapters]
    assert 6 <= min(per_chapter) and max(per_chapter) <= 25 and 12 <= sum(per_chapter) / len(per_chapter) <= 15
    assert Counter(book.style for book in data.train) == dict.fromkeys(STYLES, 40)
