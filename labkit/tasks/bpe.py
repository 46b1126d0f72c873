"""Byte-level byte-pair encoding, GPT-2's kind: any text is a sequence of tokens and back, without an unknown.

Two tokenizers with one face: a vocabulary trained here on the corpus itself (`tokenizers`, 8,192 entries in
two seconds), and GPT-2's own 50,257 from its two published files (`tiktoken`, the fastest encoder of that
format). Both take `<|endoftext|>` in a text for ordinary characters: only the library joins documents with
the real token.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from labkit.profile import LabError

if TYPE_CHECKING:
    import tokenizers

END_OF_TEXT = "<|endoftext|>"
GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def train_bpe(
    texts: Iterable[str], vocab_size: int, special_tokens: Sequence[str], add_prefix_space: bool = False
) -> tokenizers.Tokenizer:
    """A byte-level BPE of at most `vocab_size` entries: the special tokens first, the 256 bytes, and merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(special_tokens),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return bpe


class Tokenizer(Protocol):
    """What the course asks of a tokenizer."""

    vocab_size: int
    eot: int  # the id of <|endoftext|>

    def encode(self, text: str) -> list[int]:
        """The token ids of a text; no special tokens are added or recognised."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of many texts, on all cores."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids; bytes that are not UTF-8 become U+FFFD."""


class TrainedBPE:
    """A vocabulary trained on this corpus."""

    def __init__(self, path: Path) -> None:
        import tokenizers

        self._bpe = tokenizers.Tokenizer.from_file(str(path))
        self._bpe.encode_special_tokens = True  # "special tokens are encoded", that is: as ordinary text
        self.vocab_size = self._bpe.get_vocab_size()
        self.eot = self._bpe.token_to_id(END_OF_TEXT)

    @staticmethod
    def train(texts: Iterable[str], vocab_size: int, path: Path) -> TrainedBPE:
        """Train on `texts`, write `path` (`tokenizer.json`), and load it.

        The vocabulary has the 256 bytes, `<|endoftext|>`, and as many merges as fit; the same texts in the
        same order give the same file.
        """
        train_bpe(texts, vocab_size, [END_OF_TEXT]).save(str(path))
        return TrainedBPE(path)

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self._bpe.encode(text).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Tokenizer`."""
        return [encoding.ids for encoding in self._bpe.encode_batch_fast(list(texts))]

    def decode(self, ids: Iterable[int]) -> str:
        """See `Tokenizer`."""
        return self._bpe.decode([int(i) for i in ids], skip_special_tokens=False)


class GPT2BPE:
    """GPT-2's vocabulary, from its `vocab.json` and `merges.txt`.

    Raises `LabError` if the two files don't belong together.
    """

    def __init__(self, vocab: Path, merges: Path) -> None:
        import tiktoken
        import tiktoken.load

        try:
            self.eot = json.loads(vocab.read_bytes())[END_OF_TEXT]
            ranks = tiktoken.load.data_gym_to_mergeable_bpe_ranks(
                # tiktoken caches by path: the hashes make it notice other bytes under an old path.
                *(str(merges), str(vocab), _sha256(merges), _sha256(vocab))
            )
            self._bpe = tiktoken.Encoding(
                "gpt2", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={END_OF_TEXT: self.eot}
            )
        except (AssertionError, KeyError, ValueError) as error:
            raise LabError(
                f"{vocab} and {merges} are not one BPE vocabulary: delete both and fetch them again"
            ) from error
        self.vocab_size = self._bpe.n_vocab

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self._bpe.encode_ordinary(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Tokenizer`."""
        return self._bpe.encode_ordinary_batch(list(texts))

    def decode(self, ids: Iterable[int]) -> str:
        """See `Tokenizer`."""
        return self._bpe.decode([int(i) for i in ids])


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer whose files lie in a corpus folder."""
    trained = folder / "tokenizer.json"
    return TrainedBPE(trained) if trained.exists() else GPT2BPE(folder / "vocab.json", folder / "merges.txt")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
