"""Scenes: what a model reads, what it is held against, and whether the judge that is used on it works."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from labkit.evaluation.known_world import PLANTS
from labkit.evaluation.scenes import detects, judge_all, needing, scenes, unharmed
from labkit.tasks.novels import Chapter
from labkit.tasks.synthetic_novels import synthetic_novels

BOOKS = synthetic_novels(0, 12).heldout


def test_a_scene_is_the_book_and_nothing_is_lost_or_told_twice():
    """A prompt that tells what follows would make every continuation good."""
    for book in BOOKS:
        for scene in scenes(book, 99):
            assert book.text.startswith(scene.prompt + scene.follows) and scene.follows
            assert scene.opening.startswith("Chapter ") and scene.style == book.style
        assert len(scenes(book, 99)) == len(book.chapters) - 2 and len(scenes(book, 3)) == 3
        assert scenes(book, 3)[-1].told > scenes(book, 3)[0].told


def test_a_recap_tells_the_background_and_only_what_was_told():
    recaps = [scene for book in BOOKS for scene in scenes(book, 5)]
    for scene in recaps:
        assert all(sentence + "." in scene.told for sentence in scene.recap.removesuffix(".").split(". ") if sentence)
    assert sum(bool(scene.recap) for scene in recaps) > 0.9 * len(recaps)


def test_a_novel_without_a_world_is_recalled_by_its_headings():
    chapters = [Chapter(f"CHAPTER {i} Of one thing", ("One.", "Two.", "Three.")) for i in range(1, 6)]
    book = replace(BOOKS[0], chapters=chapters, world=None, style="Austen")
    (scene,) = scenes(replace(book, chapters=chapters[:3]), 9)
    assert scene.recap == "CHAPTER 1 Of one thing\nCHAPTER 2 Of one thing"
    assert scene.opening == "CHAPTER 3 Of one thing\n\nOne.\n\n" and scene.follows == "Two.\n\nThree."
    assert scenes(replace(book, chapters=[Chapter("", ("One.",))] * 5), 9) == []
    assert scenes(replace(book, chapters=[Chapter("", ("One.", "Two."))] * 3), 9)[0].opening == "One.\n\n"


def test_what_the_author_wrote_has_no_faults_and_what_another_wrote_has():
    some = [scene for book in BOOKS for scene in scenes(book, 3)]
    texts = [scene.follows for scene in some]
    own, others = judge_all(some, texts), judge_all(some, texts[20:] + texts[:20])
    assert not own.faults and own.unread == 0 < own.claims
    assert others.logic > 0.5 * others.read and others.background > 0
    with pytest.raises(ValueError, match="shorter"):
        judge_all(some, texts[1:])


def test_every_kind_of_fault_is_detected_and_none_where_none_is():
    for kind in PLANTS:
        found = [detects(book, kind) for book in BOOKS]
        assert found == [detects(book, kind) for book in BOOKS], "a fault that changes from call to call"
        assert sum(map(bool, found)) >= 0.8 * len(found)
    assert not any(unharmed(book).faults for book in BOOKS)
    assert all(unharmed(book, before).background for book, before in pairwise(BOOKS))


def test_only_sentences_that_use_the_background_need_it():
    text = "Anna went to the mill. Anna met her aunt Flora. Anna looked at the cup of Ben. Anna went home to the mill."
    assert [need for _, need in needing(text)] == [False, True, True, True]
    assert "".join(part for part, _ in needing(text)) == text and needing("") == [("", False)]
