"""From documents to a corpus that can be trusted: nothing twice, no validation text in training.

A document is a name and a list of paragraphs. Installed packages and textbooks alike repeat themselves
(licences, parameter descriptions, headings), and a sentence that is in both halves makes the validation loss
too good. So each paragraph is kept once in the whole corpus, where it first occurs, and whole documents go to
one half or the other by a hash of their name: neither the order of the files nor the number of processes
matters.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from labkit.profile import LabError

_NOT_LETTERS = re.compile(r"[\W\d_]+")


class Document(NamedTuple):
    """A text with a stable name, as paragraphs (which never contain a blank line)."""

    name: str
    paragraphs: list[str]

    @property
    def text(self) -> str:
        """The paragraphs, one blank line apart."""
        return "\n\n".join(self.paragraphs)


def fingerprint(paragraph: str) -> str:
    r"""What two paragraphs share if they are the same up to case, spaces, digits and punctuation.

    >>> fingerprint("Added in version 1.2.") == fingerprint("Added  in\nversion 2.0")
    True
    """
    letters = _NOT_LETTERS.sub(" ", paragraph).strip().lower()
    return letters or paragraph.strip()  # "3.1" and "3.2" have no letters to go by


def deduplicate(documents: Iterable[Document], min_chars: int = 200) -> list[Document]:
    """Keep each paragraph where it first occurs (by `fingerprint`), and documents with `min_chars` left."""
    seen: set[str] = set()
    kept = []
    for name, paragraphs in documents:
        fresh = []
        for paragraph in paragraphs:
            key = fingerprint(paragraph)
            if key not in seen:
                seen.add(key)
                fresh.append(paragraph)
        document = Document(name, fresh)
        if len(document.text) >= min_chars:
            kept.append(document)
    return kept


def is_validation(name: str, share: float) -> bool:
    """Whether this document is one of the `share` (0–1) kept for validation; its name alone decides."""
    return _position(name) < share


def split(documents: list[Document], share: float = 0.05) -> tuple[list[Document], list[Document]]:
    """Documents for training and for validation: about `share` of them for validation, at least one for each.

    Raises `LabError` if there are fewer than two documents.
    """
    if len(documents) < 2:
        raise LabError(
            f"{len(documents)} usable documents are too few to keep one for validation: "
            "add packages to the profile, or more text files to the folder"
        )
    # In a tiny corpus all names may lie on one side of the line: then it is moved until one is on the other.
    places = [_position(document.name) for document in documents]
    line = min(max(share, min(places) + 2**-52), max(places))
    train = [document for document in documents if not is_validation(document.name, line)]
    val = [document for document in documents if is_validation(document.name, line)]
    return train, val


def _position(name: str) -> float:
    """A name's place in [0, 1), as good as random and the same everywhere."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48
