"""From a tag for each word to a label for each token, and back.

    examples = align(tokenizer, data.train, max_tokens=96)               # what Trainer takes, a dict a sentence
    tags = word_predictions(logits.argmax(-1), labels, data.test)        # one tag a word, also for words that were cut

A tokenizer splits a word into one token or several; the first gets the word's label, the others and special tokens
get `IGNORE`, so that a word counts once however it is split. The i-th label of an example that isn't `IGNORE` is then
that of the sentence's i-th word: all that the way back needs.

A causal model reads no further than the token that it labels, at the first one often not even the word: `at="last"`
puts the label on a word's last token instead. A sentence that is longer than the context is cut after a whole word;
the words that were cut come back as O, so that the entities among them count as missed. A metric that compares
only what was labelled would forget them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

import numpy as np

from labkit.profile import LabError
from labkit.tasks.ner import LABELS, Sentence
from labkit.tasks.pairs import IGNORE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Example = dict[str, list[int]]  # input_ids, attention_mask and labels, all (time,)
_IDS = {label: i for i, label in enumerate(LABELS)}


def align(
    tokenizer: PreTrainedTokenizerFast,
    sentences: Sequence[Sentence],
    max_tokens: int,
    at: Literal["first", "last"] = "first",
) -> list[Example]:
    """The sentences as tokens, at most `max_tokens` with the special ones, each word's label at one of its tokens.

    Raises `LabError` for a tokenizer that loses the spaces between words or has no token for one of them, and if not
    even a sentence's first word fits.
    """
    check_spaces(tokenizer)
    return [_align(tokenizer, sentence, max_tokens, at) for sentence in sentences]


def check_spaces(tokenizer: PreTrainedTokenizerFast) -> None:
    """Raise `LabError` if the tokenizer glues words: "a", "b" must not become the tokens of "ab".

    GPT-2's own does so unless told otherwise, and `transformers` 5 no longer complains.
    """
    ids = tokenizer(["a", "b"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    if tokenizer.decode(ids) == "ab":
        raise LabError(f"{type(tokenizer).__name__} glues words together: load it with add_prefix_space=True")


def cut_words(sentences: Sequence[Sentence], examples: Sequence[Example]) -> int:
    """How many words didn't fit."""
    return sum(len(s.tokens) - _labelled(e["labels"]) for s, e in zip(sentences, examples, strict=True))


def word_predictions(
    predictions: Iterable[Sequence[int]], labels: Iterable[Sequence[int]], sentences: Sequence[Sentence]
) -> list[list[str]]:
    """A tag for each word of each sentence: what was predicted where it has its label; O for words that were cut.

    `predictions` and `labels` are ids, (batch, time), padded or not. Raises `ValueError` if their sizes differ, or
    if a sentence has more labels than words: then they are not of these sentences.
    """
    found = []
    for ids, marks, sentence in zip(predictions, labels, sentences, strict=True):
        tags = [LABELS[i] for i, mark in zip(ids, marks, strict=True) if mark != IGNORE]
        cut = len(sentence.tokens) - len(tags)
        if cut < 0:
            raise ValueError(f"{len(tags)} labels for {len(sentence.tokens)} words: not of this sentence")
        found.append(tags + ["O"] * cut)
    return found


def aligned_without_else(tokenizer: PreTrainedTokenizerFast, sentences: Sequence[Sentence]) -> list[Example]:
    """The report's alignment as printed, for the bug museum: the `else` before the second `append` is lost.

    Each word gets its label *and* one `IGNORE`, however many tokens it has: labels sit where they belong only if each
    word has two tokens. Their number is right all the same; their places, and the length of the list, are not.
    With GPT-2's tokenizer, 11 % of the words of BioNLP2004's entities keep their label, and 99 % of the lists are
    longer than their sentence, so that no batch of 16 can be padded: what the report scored was trained by other code.
    """
    examples = []
    for sentence in sentences:
        encoding, labels, before = tokenizer(list(sentence.tokens), is_split_into_words=True), [], None
        for word in encoding.word_ids():
            if word is None:
                labels.append(IGNORE)
            elif word != before:
                labels.append(_IDS[sentence.tags[word]])
                labels.append(IGNORE)
            before = word
        examples.append({**encoding, "labels": labels})
    return examples


def _align(tokenizer: PreTrainedTokenizerFast, sentence: Sentence, max_tokens: int, at: str) -> Example:
    words = list(sentence.tokens)
    encoding = tokenizer(words, is_split_into_words=True)
    sizes = Counter(encoding.word_ids())
    if empty := [word for i, word in enumerate(words) if not sizes[i]]:
        raise LabError(f"{type(tokenizer).__name__} has no token for {empty[0]!r}: leave such words out")
    ends = accumulate((sizes[i] for i in range(len(words))), initial=sizes[None])
    fitting = sum(end <= max_tokens for end in ends) - 1
    if fitting < 1:
        raise LabError(f"not even {words[0]!r} fits into max_tokens={max_tokens}: take more")
    if fitting < len(words):
        encoding = tokenizer(words[:fitting], is_split_into_words=True)
    of = encoding.word_ids()
    beside = [*of[1:], None] if at == "last" else [None, *of[:-1]]
    labels = [IGNORE if i in (None, other) else _IDS[sentence.tags[i]] for i, other in zip(of, beside, strict=True)]
    return {"input_ids": encoding["input_ids"], "attention_mask": encoding["attention_mask"], "labels": labels}


def _labelled(labels: Sequence[int]) -> int:
    return int(np.count_nonzero(np.asarray(labels) != IGNORE))
