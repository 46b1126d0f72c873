"""The trained vocabulary: any text and back, no surprises with special tokens, the same file every time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.tasks.bpe import TrainedBPE

TEXTS = ["The tokens of a text are the tokens of its words.", "A word that recurs, recurs as one token."] * 20


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    return TrainedBPE.train(TEXTS, 300, tmp_path_factory.mktemp("bpe") / "tokenizer.json")


@given(st.text() | st.text(alphabet=" \n\tab'é中"))
def test_any_text_and_back(bpe, text):
    """Byte-level: no text is unknown, no space is lost."""
    ids = bpe.encode(text)
    assert bpe.decode(ids) == text
    assert all(0 <= i < bpe.vocab_size for i in ids)


def test_end_of_text_in_a_text_is_text(bpe):
    """A web page about GPT-2 must not end the document."""
    ids = bpe.encode("before<|endoftext|>after")
    assert bpe.eot not in ids
    assert bpe.decode([*ids, bpe.eot]) == "before<|endoftext|>after<|endoftext|>"
    assert bpe.encode_batch(["<|endoftext|>", "a word"]) == [
        bpe.encode("<|endoftext|>"),
        bpe.encode("a word"),
    ]


def test_training_is_deterministic(bpe, tmp_path):
    """The cache's hash, and the lesson's numbers, depend on it."""
    again = TrainedBPE.train(iter(TEXTS), 300, tmp_path / "tokenizer.json")
    assert 257 < again.vocab_size == bpe.vocab_size <= 300  # so short a text has no more pairs to merge
    ids = range(bpe.vocab_size)
    assert [again.decode([i]) for i in ids] == [bpe.decode([i]) for i in ids]
    assert len(bpe.encode(TEXTS[0])) < len(TEXTS[0]) / 2
