"""Which part of an article should a model see that can't see it whole? Rules to make it fit.

    text = head_then_first_sentences(paper, 1024, lambda text: len(tokenizer.encode(text)))

A model with 1,024 positions sees a quarter of a PubMed article. Each function here chooses by a rule of its own, keeps
the order of reading, and cuts what it chose at the last word that fits: `count` says how many tokens a text has, and
the result never has more than `budget` of them. (A Chinese character counts as a word.) An article that fits is
returned whole, except by `first_sentences`. `COMPRESSIONS` has the rules that a model may use. `oracle` has seen the
abstract: nobody who has to write it can use that one, and it tells how much the choice could matter.

A cut costs about a dozen calls of `count`. `oracle` calls `score` once a sentence, and a few times for each it takes: a
tenth of a second for a PubMed article and the recall of words and word pairs.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from itertools import islice

from labkit.tasks.papers import Paper
from labkit.tasks.sentences import sentences

Count = Callable[[str], int]
HEAD_SHARE = 600 / 1024  # of the budget, in the summarising report's rule

_CHINESE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"  # and Japanese: scripts without spaces, and their punctuation
_SPACED = re.compile(r"\S+")
_WORD_END = re.compile(rf"[{_CHINESE}]|[^\s{_CHINESE}]+")


def truncate(paper: Paper, budget: int, count: Count) -> str:
    """The article's beginning."""
    return cut(paper.article, budget, count)


def head_then_first_sentences(paper: Paper, budget: int, count: Count) -> str:
    """The article's beginning, then the first sentence of every paragraph that it didn't reach.

    The summarising report's rule: 600 tokens of the beginning, up to 1,024 in all.
    """
    if fits(paper.article, budget, count):
        return paper.article
    head = cut(paper.article, int(budget * HEAD_SHARE), count)
    further = paper.paragraphs[_begun(paper, head) :]
    return cut(_lines([head, *_first_sentences(further)]), budget, count)


def head_then_first_sentences_with_repeat(paper: Paper, budget: int, count: Count) -> str:
    """A BUG, for the museum: the report's code goes through the paragraphs from the first one, not from the next.

    So the first sentences of the beginning are there twice, and as much is lost of what the article says later.
    """
    if fits(paper.article, budget, count):
        return paper.article
    head = cut(paper.article, int(budget * HEAD_SHARE), count)
    return cut(_lines([head, *_first_sentences(paper.paragraphs)]), budget, count)


def first_sentences(paper: Paper, budget: int, count: Count) -> str:
    """The first sentence of every paragraph, and nothing else, even of an article that fits."""
    return cut(_lines(_first_sentences(paper.paragraphs)), budget, count)


COMPRESSIONS: dict[str, Callable[[Paper, int, Count], str]] = {
    "truncate": truncate,
    "head, then first sentences": head_then_first_sentences,
    "first sentences": first_sentences,
}


def oracle(paper: Paper, budget: int, count: Count, score: Callable[[str, str], float]) -> str:
    """The sentences that together have the best `score(text, abstract)`, chosen greedily, in the order of reading.

    Each time the sentence is taken that adds most, until none adds anything or fits: as Nallapati et al. 2017
    ("SummaRuNNer") label sentences, with a budget. It cheats. It is near the best choice under a score that only grows,
    with less and less for each sentence, as recall does.
    """
    if fits(paper.article, budget, count):
        return paper.article
    every = [sentence for paragraph in paper.paragraphs for sentence in sentences(paragraph)]
    chosen: list[int] = []
    best = 0.0
    waiting = [(-score(sentence, paper.abstract), i) for i, sentence in enumerate(every)]
    heapify(waiting)
    while waiting:
        _, i = heappop(waiting)
        text = " ".join(every[j] for j in sorted([*chosen, i]))
        if not fits(text, budget, count):
            continue
        gain = score(text, paper.abstract) - best
        # What others gained before can only have become less: who still leads them is the best.
        if waiting and -gain > waiting[0][0]:
            heappush(waiting, (-gain, i))
        elif gain > 0:
            chosen.append(i)
            best += gain
        else:
            break
    return " ".join(every[j] for j in sorted(chosen))


def cut(text: str, budget: int, count: Count) -> str:
    """The text up to the last word with which it has no more than `budget` tokens."""
    if fits(text, budget, count):
        return text
    text = _bounded(text, budget)
    ends = [0, *(word.end() for word in _WORD_END.finditer(text))]
    return text[: ends[bisect_right(ends, budget, lo=1, key=lambda end: count(text[:end])) - 1]]


def fits(text: str, budget: int, count: Count) -> bool:
    """Whether it has no more than `budget` tokens."""
    return _bounded(text, budget) == text and count(text) <= budget


def _bounded(text: str, budget: int) -> str:
    """As much of it as could fit: what stands between spaces has a token at least, so long texts needn't be counted."""
    beyond = next(islice(_SPACED.finditer(text), budget, None), None)
    return text[: beyond.end()] if beyond else text


def _begun(paper: Paper, head: str) -> int:
    """In how many paragraphs the head of the article ends or has ended."""
    begun = start = 0
    for paragraph in paper.paragraphs:
        begun += start < len(head)
        start += len(paragraph) + 1
    return begun


def _first_sentences(paragraphs: Iterable[str]) -> list[str]:
    return [first for paragraph in paragraphs for first in sentences(paragraph)[:1]]


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(filter(None, texts))
