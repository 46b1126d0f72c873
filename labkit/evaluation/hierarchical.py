"""Summarise an article that is longer than the model's context: in pieces, then the summaries of the pieces.

    done = summarise_hierarchical(paper.paragraphs, summarise, count, budget=900, overlap=50)
    print(done.summary, done.levels, done.chunks)

The article is cut into chunks that fit the context, each is summarised, and their summaries, joined, are the article
of the next level, until one chunk holds everything. So the length of the article alone decides how many levels there
are; one that fits is summarised in a single pass, as if this file weren't there. What no chunk has in view, a thread
that runs through the whole article, is lost, and so is what the first summary dropped: that is the cost, besides a
call of the model for every chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from labkit.tasks.sentences import sentences


@dataclass(frozen=True)
class Hierarchy:
    """A `summary` and the way to it: how many chunks each level had, [] for an empty article.

    `truncated`: the summaries did not get shorter, so those of the later chunks were left out.
    """

    summary: str
    chunks: tuple[int, ...]
    truncated: bool = False

    @property
    def levels(self) -> int:
        """Times the model was called, all chunks of a level being one call."""
        return len(self.chunks)


def summarise_hierarchical(
    paragraphs: Sequence[str],
    summarise: Callable[[list[str]], list[str]],
    count: Callable[[str], int],
    budget: int,
    overlap: int,
) -> Hierarchy:
    """Summarise `paragraphs` in as many levels as it takes.

    `summarise` maps a batch of texts to their summaries, `count` counts a text's tokens, `budget` and `overlap` are in
    tokens, as in `cut`. Each level has fewer chunks than the one before it; if a model writes too much for that, its
    summaries are cut to one chunk, which is said in the result. Empty summaries are left out. Raises what `cut` does,
    and `ValueError` if `summarise` returns more or fewer texts than it got.
    """
    levels: list[int] = []
    truncated = False
    pieces = cut(paragraphs, count, budget, overlap)
    while pieces:
        levels.append(len(pieces))
        summaries = [summary.strip() for summary in summarise(pieces)]
        if len(summaries) != len(pieces):
            raise ValueError(f"{len(pieces)} texts gave {len(summaries)} summaries: return one for each")
        if len(pieces) == 1:
            return Hierarchy(summaries[0], tuple(levels), truncated)
        pieces = cut(summaries, count, budget, overlap)
        if len(pieces) >= levels[-1]:
            pieces, truncated = pieces[:1], True
    return Hierarchy("", tuple(levels), truncated)


class _Word(NamedTuple):
    text: str  # with the space or the line break after it
    ends: bool  # a sentence


def cut(paragraphs: Sequence[str], count: Callable[[str], int], budget: int, overlap: int) -> list[str]:
    """Chunks of `budget` tokens at most, in order, which together hold every word.

    A chunk ends with a sentence if it can; within a sentence longer than the budget, with a word; within a word longer
    than it, anywhere. Each begins by repeating the end of the one before: as many of its last words as make `overlap`
    tokens; fewer if that lets it begin with a sentence; none if they leave no room for the next word. White space is
    normalised. More words must never `count` less; it is asked some 25 times a chunk, about texts of up to two.
    Raises `ValueError` unless 0 ≤ overlap < budget, and for a budget that a single character exceeds.
    """
    if not 0 <= overlap < budget:
        raise ValueError(f"overlap {overlap} and budget {budget}: it must be 0 ≤ overlap < budget")
    words = _words(paragraphs)
    chunks = []
    start = done = 0  # the next chunk's first word, and the first that no chunk has yet
    while done < len(words):
        stop = start + _most(lambda n: count(_text(words[start : start + n])) <= budget, len(words) - start)  # noqa: B023
        if stop <= done and start < done:
            start = done  # the overlap left no room
            continue
        if stop == start:
            words[start : start + 1] = _halves(words[start], budget)
            continue
        if stop < len(words):
            stop = next((end for end in range(stop, done, -1) if words[end - 1].ends), stop)
        chunks.append(_text(words[start:stop]))
        done = stop
        start = stop - _most(lambda n: count(_text(words[stop - n : stop])) <= overlap, stop - start - 1)  # noqa: B023
        start = next((first for first in range(start, stop) if first and words[first - 1].ends), start)
    return chunks


def _words(paragraphs: Sequence[str]) -> list[_Word]:
    words = []
    for paragraph in paragraphs:
        for sentence in sentences(paragraph):
            parts = sentence.split()
            words += [_Word(f"{part} ", False) for part in parts[:-1]] + [
                _Word(f"{part} ", True) for part in parts[-1:]
            ]
        if words:
            words[-1] = _Word(f"{words[-1].text[:-1]}\n", True)
    return words


def _text(words: Sequence[_Word]) -> str:
    return "".join(word.text for word in words).strip()


def _halves(word: _Word, budget: int) -> list[_Word]:
    middle = len(word.text.strip()) // 2
    if not middle:
        raise ValueError(f"the single character {word.text.strip()!r} has more than {budget} tokens: raise the budget")
    return [_Word(word.text[:middle], False), _Word(word.text[middle:], word.ends)]


def _most(fits: Callable[[int], bool], limit: int) -> int:
    """The largest n ≤ `limit` that fits, if all smaller ones do; found from below, as most n are far too large."""
    low, step = 0, 1
    while low + step <= limit and fits(low + step):
        low, step = low + step, 2 * step
    while step := step // 2:
        if low + step <= limit and fits(low + step):
            low += step
    return low
