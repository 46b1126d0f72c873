"""Repetition: how much a text says again, and from which length on.

    rep(text.split(), n=4), longest_run(ids.tolist()), distinct([text.split() for text in texts], n=2)
    pd.DataFrame(repetition_curve(chinese, [500, 1_000, 2_000, 4_000]))        # a str is its characters

On any sequence of tokens: words, ids, characters; numbers of different kinds of tokens don't compare. Nor do those of
different lengths: the longer a text the more of its n-grams it had before, a good novel's too. So a curve belongs
beside that of a human text at the same lengths. Runs cost the square of a text's length: 0.1 s for 10,000 tokens.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from labkit.evaluation.rouge import ngrams

Tokens = Sequence[Hashable]


def rep(tokens: Tokens, n: int) -> float:
    """rep-n, 0–1: the share of the n-grams that the text had before (Welleck et al. 2020, "Unlikelihood Training").

    A text without n-grams has 0.
    """
    return _share(_had_before(tokens, n))


def distinct(texts: Sequence[Tokens], n: int) -> float:
    """distinct-n, 0–1: different n-grams of all texts together, by all their tokens (Li et al. 2016).

    Many texts that say the same thing have a low one, even if none repeats itself; of a single text it says what `rep`
    does. No tokens have 0.
    """
    different = set().union(*(ngrams(_plain(tokens), n) for tokens in texts))
    return len(different) / max(1, sum(map(len, texts)))


def longest_run(tokens: Tokens) -> int:
    """How many tokens the longest block has that stands in the text twice, in a row and in order.

    The two may overlap: a text that repeats one token 100 times has a run of 99.
    """
    return int(max(_runs(tokens), default=0))


def repetition_curve(tokens: Tokens, lengths: Sequence[int], n: int = 4) -> list[dict[str, float]]:
    """A row for each of the rising `lengths`, on the first `length` tokens.

    Columns: `length`; rep-n; `rep-n, new`, the share among the n-grams that end after the length before, which shows
    where a text begins to repeat itself, while rep-n drags all of its beginning along; distinct-1, of words rather
    than phrases; `longest run`; and `last run`, how many of the last tokens stand in a row before: of a text in a
    loop, all since it began. Raises `ValueError` for lengths that don't rise, or that the text doesn't have.
    """
    if not all(a < b for a, b in zip([0, *lengths], lengths, strict=False)) or max(lengths, default=0) > len(tokens):
        raise ValueError(f"lengths must rise from 1 to at most {len(tokens)}, the text's own, not {list(lengths)}")
    before, runs, rows, last = _had_before(tokens, n), _runs(tokens), [], 0
    for length in lengths:
        end = max(0, length - n + 1)  # so many n-grams have so many tokens
        rows.append({
            "length": length,
            f"rep-{n}": _share(before[:end]),
            f"rep-{n}, new": _share(before[last:end]),
            "distinct-1": distinct([tokens[:length]], 1),
            "longest run": int(runs[:length].max()),
            "last run": int(runs[length - 1]),
        })  # fmt: skip
        last = end
    return rows


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _had_before(tokens: Tokens, n: int) -> list[bool]:
    """Of each n-gram in order."""
    seen: set[Hashable] = set()
    # `add` returns None: each n-gram is looked up, then known.
    return [gram in seen or bool(seen.add(gram)) for gram in ngrams(_plain(tokens), n)]


def _runs(tokens: Tokens) -> np.ndarray:
    """How many tokens, ending with each token, also stand in a row further ahead (tokens,)."""
    number: dict[Hashable, int] = {}
    ids = np.array([number.setdefault(token, len(number)) for token in _plain(tokens)], dtype=np.int32)
    runs = np.zeros_like(ids)
    alike = np.zeros(0, dtype=np.int32)  # alike[j]: how many tokens up to i equal those up to j
    for i in range(1, len(ids)):
        alike = (np.append(0, alike) + 1) * (ids[:i] == ids[i])
        runs[i] = alike.max()
    return runs


def _plain(tokens: Tokens) -> Tokens:
    if hasattr(tokens, "tolist"):  # each element of a tensor is a tensor, which equals no other as a key
        raise TypeError("tokens must be a list or a text: take tensor.tolist()")
    return tokens
