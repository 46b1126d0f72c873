"""Logic and background are counted by reading: a judge that misreads would blame models for its own mistakes."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.evaluation.known_world import PLANTS, judge, plant, read, recap, total
from labkit.profile import LabError
from labkit.tasks.synthetic_novels import WORDINGS, Event, synthetic_novels, write

DATA = synthetic_novels(200, 10)
BOOKS = DATA.train + DATA.heldout
TOLD = """Chapter 1

Anna was the sister of Peter. Adam was the uncle of Anna. The bell belonged to Rose. The cup belonged to Anna. \
Peter lived in the mill. Adam lived in the barn.

Chapter 2

The rope lay in the garden. Anna was in the garden with the pear. Peter stood in the garden. Adam was in the mill. \
The cup lay in the mill.

Peter took the rope. Anna talked to Peter."""

CAN_FOLLOW = [
    "Anna gave the pear to Peter. Peter ate the pear.",
    "Peter went home to the mill. Peter left the rope there. Adam picked up the rope.",
    "Anna met her brother Peter. Peter met his sister Anna.",
    "Anna went to the mill. Anna met her uncle Adam. Adam thanked his niece Anna.",
    "Anna fought with Peter. Adam took the cup. Adam looked at the cup of Anna. Peter and Anna stopped fighting.",
    "Anna fought with Peter. Peter and Anna stopped fighting. Anna sat down with Peter.",
    "Chapter 3\n\nAnna was in the barn with the pear. Adam stood in the barn.\n\nAnna handed the pear to Adam.",
    "Chapter 3\n\nAnna was the sister of Peter. The cup lay in the mill. Peter was in the mill with the rope.",
    "Anna ate the pear.\n\nChapter 3\n\nThere was a fresh pear in the barn.",
    "Adam was the cousin of Rose.",  # nobody has said otherwise
]
LOGIC = {
    "Peter ate the pear.": "Peter does not hold the pear",
    "Anna gave the rope to Peter.": "Anna does not hold the rope",
    "Anna took the cup.": "the cup is not in the garden",
    "Anna took the rope.": "the rope is not in the garden",  # Peter has it
    "Peter ate the rope.": "nothing to eat",
    "Anna talked to Adam.": "Adam is not with Anna",
    "Anna talked to Anna.": "Anna is not with Anna",
    "Rose sat down with Anna.": "nobody has said where Rose is",
    "Anna talked to Rose.": "Rose is not with Anna",
    "Peter walked to the garden.": "Peter is there already",
    "Peter stood in the mill.": "Peter is in the garden",
    "The rope lay in the garden.": "the rope is with Peter",
    "There was a fresh pear in the mill.": "the pear is with Anna",
    "Anna and Peter stopped fighting.": "don't fight",
    "Anna fought with Peter. Anna ate the pear.": "Anna is still fighting",
    "Anna fought with Peter. Peter fought with Anna.": "is still fighting",
    "Anna went to the mill. Anna talked to Peter.": "Peter is not with Anna",
    "Anna ate the pear. Anna put down the pear.": "Anna does not hold the pear",
    "Chapter 3\n\nAnna went to the mill.": "nobody has said where Anna is",
}
BACKGROUND = {
    "Anna met her cousin Peter.": "Peter is not the cousin of Anna",
    "Anna met her sister Peter.": "Peter is not the sister of Anna",
    "Peter went home to the barn.": "Peter does not live in the barn",
    "Anna went home to the mill.": "Anna does not live in the mill",
    "Peter looked at the rope of Rose.": "the rope does not belong to Rose",
    "Chapter 3\n\nPeter was the uncle of Anna.": "Peter is the brother of Anna",
    "Chapter 3\n\nThe bell belonged to Anna.": "the bell does not belong to Anna",
    "Chapter 3\n\nAdam lived in the mill.": "Adam does not live in the mill",
    "Chapter 3\n\nAdam was in the mill with the rope.": "the rope is with Peter",
    "Chapter 3\n\nThe cup lay in the barn.": "the cup is in the mill",
    "Anna ate the pear.\n\nChapter 3\n\nThe pear lay in the garden.": "the pear is eaten",
}


@pytest.mark.parametrize("continuation", CAN_FOLLOW)
def test_what_can_follow_has_no_fault(continuation):
    judgement = judge(TOLD, continuation)
    assert judgement.faults == () and judgement.unread == 0 and judgement.read >= 1


@pytest.mark.parametrize("continuation", LOGIC)
def test_what_cannot_follow_is_a_logic_fault(continuation):
    judgement = judge(TOLD, continuation)
    assert (judgement.logic, judgement.background) == (1, 0)
    assert LOGIC[continuation] in judgement.faults[0].why


@pytest.mark.parametrize("continuation", BACKGROUND)
def test_what_was_told_otherwise_is_a_background_fault(continuation):
    judgement = judge(TOLD, continuation)
    assert (judgement.logic, judgement.background) == (0, 1) and judgement.claims >= 1
    assert BACKGROUND[continuation] in judgement.faults[0].why


@pytest.mark.parametrize("style", WORDINGS)
def test_every_wording_is_read_as_what_it_tells(style):
    """Two wordings that a sentence could be would make the judge's reading a matter of their order."""
    for kind, wordings in WORDINGS[style].items():
        for wording in wordings:
            roles = {"a": "Anna", "b": "Peter", "o": "pear", "p": "mill", "kin": "brother"}
            event = Event(kind, **{role: value for role, value in roles.items() if f"{{{role}}}" in wording})
            assert read(write(wording, event)) == event
            assert read(write(wording, event)[:-1]) is None


def test_stories_as_they_were_written_have_no_fault():
    """The generator's rules and the judge's were written apart; here they agree on 40,000 sentences."""
    judgement = total(judge("", book.text) for book in BOOKS)
    assert judgement.sentences > 35_000 and judgement.claims > 10_000
    assert judgement.unread == 0 and judgement.faults == ()


@pytest.mark.parametrize("kind", PLANTS)
def test_planted_faults_are_found_where_they_are(kind):
    found = tried = 0
    for i, book in enumerate(BOOKS[:100]):
        try:
            planted = plant(book.text, kind, random.Random(i))
        except ValueError:
            continue  # nobody fought in this book
        old, new = ([s.strip() for s in re.findall(r"[^.\n]+\.?", text)] for text in (book.text, planted))
        changed = next(b for a, b in zip([*old, ""], new, strict=False) if a != b)
        assert len(new) - len(old) == (kind in ("place", "fight")) and read(changed)
        tried += 1
        found += any(f.sentence == changed and f.kind == PLANTS[kind] for f in judge("", planted).faults)
    assert tried >= 95 and found / tried >= 0.9


def test_a_story_without_a_place_for_the_fault_and_an_unknown_fault_are_refused():
    with pytest.raises(ValueError, match="no sentence for a fault of the kind 'fight'"):
        plant(TOLD, "fight", random.Random(0))
    with pytest.raises(LabError, match="unknown fault 'kim': did you mean 'kin'"):
        plant(TOLD, "kim", random.Random(0))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(BOOKS) - 1), st.floats(0.1, 0.9))
def test_the_rest_of_a_story_follows_from_its_beginning(number, share):
    """Wherever it is cut: what `told` says must count as much as what the continuation has said itself."""
    text = BOOKS[number].text
    cut = text.index(".", int(share * len(text))) + 1
    judgement = judge(text[:cut], text[cut:])
    assert judgement.faults == () and judgement.unread == 0
    assert judgement.sentences == text.count(".") - text[:cut].count(".")


def test_another_story_s_rest_does_not():
    beginnings = [(a, b) for a, b in zip(BOOKS, BOOKS[3:], strict=False)][:50]
    mixed = total(
        judge("\n\n".join(c.text for c in a.chapters[:6]), b.chapters[6].paragraphs[1]) for a, b in beginnings
    )
    assert mixed.logic / mixed.read > 0.5


def test_one_mistake_is_counted_once():
    """Who has taken what isn't there has it from then on."""
    judgement = judge(TOLD, "Anna took the cup. Anna gave the cup to Peter. Peter looked at the cup of Anna.")
    assert (judgement.sentences, judgement.logic, judgement.background) == (3, 1, 0)


def test_mumbling_is_unread_and_an_unfinished_sentence_nothing():
    judgement = judge(TOLD, " It was was the of. Anna met her brother Peter.\n\nChapter 3\n\nAnna was in the")
    assert (judgement.sentences, judgement.unread, judgement.read, judgement.claims) == (2, 1, 1, 1)
    assert judgement.faults == ()
    assert judge(TOLD, "").sentences == judge(TOLD, "Peter to").sentences == judge(TOLD, "Chapter 3\n\n").sentences == 0


def test_a_recap_is_the_background_of_those_who_are_named():
    assert recap(TOLD, "Anna was in the barn. Peter stood in the barn.") == (
        "Anna was the sister of Peter. Peter lived in the mill."
    )
    assert recap(f"{TOLD}\n\n{TOLD}", "Adam, the bell in hand") == "The bell belonged to Rose. Adam lived in the barn."
    assert recap(TOLD, "Nora") == ""


def test_totals_add_up():
    one, other = judge(TOLD, "Anna took the cup. So."), judge(TOLD, "Anna met her cousin Peter.")
    both = total([one, other])
    assert (both.sentences, both.unread, both.claims, both.logic, both.background) == (3, 1, 1, 1, 1)
    assert total([]).sentences == 0
