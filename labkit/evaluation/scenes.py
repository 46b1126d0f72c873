"""Scenes: a novel cut where a model is to go on, with all that was told before, and what the author wrote.

    some = scenes(book, most=3)
    texts = [go_on(scene.prompt) for scene in some]
    judge_all(some, texts).background, detects(book, "kin")

A scene is a chapter from the end of its opening, its first paragraph. A recap is what a reader who has forgotten would
want to be told: of a synthetic world the background of those who appear, of a real novel, which nobody has summed up
for us, the headings of its chapters so far. `detects` tests `known_world` itself: does it find a planted fault?
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.evaluation.known_world import PLANTS, Judgement, judge, plant, read, recap, total
from labkit.tasks.novels import Book, Chapter

BEGUN = 3  # chapters of a story that `detects` takes as told
NEEDS = ("greet", "own", "return")  # kinds of sentences that only who knows the background can foresee


@dataclass(frozen=True)
class Scene:
    """What was told before a chapter, its opening, what `follows`, a recap of what was told, and the book's style."""

    told: str
    opening: str
    follows: str
    recap: str
    style: str

    @property
    def prompt(self) -> str:
        """The book as far as it is to be continued."""
        return self.told + self.opening


def scenes(book: Book, most: int) -> list[Scene]:
    """Up to `most`, from all over the book but its first two chapters: none where a chapter is a single paragraph."""
    whole = [i for i in range(2, len(book.chapters)) if len(book.chapters[i].paragraphs) > 1]
    return [_scene(book, i) for i in whole[:: max(1, len(whole) // most)][:most]]


def _scene(book: Book, i: int) -> Scene:
    heading, (first, *others) = book.chapters[i]
    told, opening = _text(book.chapters[:i]), f"{heading}\n\n{first}\n\n".lstrip()
    headings = "\n".join(chapter.heading for chapter in book.chapters[:i])
    return Scene(told, opening, "\n\n".join(others), recap(told, opening) if book.world else headings, book.style)


def _text(chapters: Sequence[Chapter]) -> str:
    return "".join(chapter.text + "\n\n" for chapter in chapters)


def judge_all(some: Sequence[Scene], texts: Sequence[str]) -> Judgement:
    """Each text as the continuation of its scene, all together."""
    return total(judge(scene.prompt, text) for scene, text in zip(some, texts, strict=True))


def unharmed(book: Book, before: Book | None = None) -> Judgement:
    """The book's later chapters as they were written, after its own beginning or that of the book `before`."""
    return judge(_text((before or book).chapters[:BEGUN]), _text(book.chapters[BEGUN:]))


def detects(book: Book, kind: str) -> bool | None:
    """Whether a fault of that kind (`PLANTS`), planted into the later chapters, is reported under its criterion.

    None if no sentence of theirs could have it.
    """
    try:
        story = plant(_text(book.chapters[BEGUN:]), kind, random.Random(f"{kind} in {book.title}"))
    except ValueError:
        return None
    return any(fault.kind == PLANTS[kind] for fault in judge(_text(book.chapters[:BEGUN]), story).faults)


def needing(text: str) -> list[tuple[str, bool]]:
    """The text in parts, and of each whether it is a sentence that needs the background; joined they are the text."""
    parts = re.split(r"(?<=\.)(?= )", text)
    return [(part, bool((event := read(part.strip())) and event.kind in NEEDS)) for part in parts]
