"""The local text: UTF-8 files in `LABKIT_DATA`, cut into documents.

`educational` holds whole textbooks, one a file. A book is too large a unit to keep for validation, so a
document is a run of consecutive paragraphs of about 8,000 characters. `wikitext2` holds articles, which begin
at a ` = Title = ` line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from labkit.profile import LabError, data_dir, unknown
from labkit.tasks.documents import Document

SECTION_CHARS = 8_000

_BLANK = re.compile(r"\n\s*\n")
_TITLE = re.compile(r" = [^=].* = ?")


def text_files(name: str) -> list[Path]:
    """The `.txt` files of the local corpus `name`, sorted.

    Raises `LabError` for an unknown name, and for a folder that is missing or empty.
    """
    if name not in LOCAL:
        raise unknown("local text", name, LOCAL)
    folder = data_dir() / name
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise LabError(
            f"no .txt files in {folder}: put UTF-8 text there, or take another of {', '.join(LOCAL)}, "
            "or SOURCE=embedded, which needs none"
        )
    return files


def read_documents(name: str) -> list[Document]:
    """The documents of the local corpus `name`.

    Raises `LabError` as `text_files` does, and for a file that isn't UTF-8.
    """
    files, cut = text_files(name), LOCAL[name]
    return [
        Document(f"{path.name}#{index:05d}", paragraphs)
        for path in files
        for index, paragraphs in enumerate(cut(_read(path)))
    ]


def sections(text: str) -> Iterator[list[str]]:
    """Runs of consecutive paragraphs (set apart by blank lines) of up to `SECTION_CHARS` characters."""
    section: list[str] = []
    chars = 0
    for paragraph in _clean(_BLANK.split(text)):
        if chars + len(paragraph) > SECTION_CHARS and section:
            yield section
            section, chars = [], 0
        section.append(paragraph)
        chars += len(paragraph)
    if section:
        yield section


def articles(text: str) -> Iterator[list[str]]:
    """WikiText's articles: a paragraph is a line, and a line ` = Title = ` begins the next article."""
    article: list[str] = []
    for line in text.split("\n"):
        if _TITLE.fullmatch(line) and article:
            yield article
            article = []
        article += _clean([line])
    if article:
        yield article


LOCAL: dict[str, Callable[[str], Iterator[list[str]]]] = {"educational": sections, "wikitext2": articles}


def _clean(paragraphs: Iterable[str]) -> list[str]:
    joined = (" ".join(paragraph.split()) for paragraph in paragraphs)
    return [paragraph for paragraph in joined if paragraph]


def _read(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise LabError(
            f"{path} is not UTF-8 (byte {error.start:,} is 0x{data[error.start]:02x}): "
            f"convert it, for instance with `iconv -f LATIN1 -t UTF-8`, or take it out of the folder"
        ) from None
