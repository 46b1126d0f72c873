"""From the Hub's files to those that SOURCE=local reads: the same records, in the formats of the original datasets.

Each function takes the fetched files by their path in the repository, and the folder of the dataset; it writes the
local files, each whole or not at all, and returns their paths.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from labkit.files import write_bytes_atomic, write_lines_atomic
from labkit.profile import LabError
from labkit.tasks import hellaswag, ner, novels, paraphrase, pubmed, scitldr, sentiment, titles
from labkit.tasks.rows import Files, Rows, read_file, read_row

Fetched = Mapping[str, Path]
CSL_TEST = 1_000  # papers, as many as its benchmark's


def _json_lines(files: Files, make: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., list[Path]]:
    """What writes each split of `files` as a JSON object a line."""

    def convert(fetched: Fetched, folder: Path) -> list[Path]:
        written = []
        for split, name in files.local.items():
            rows = read_file(fetched[files.hub[split]])
            lines = (json.dumps(make(row), ensure_ascii=False) for row in rows)
            written.append(write_lines_atomic(folder / Path(name).name, lines))
        return written

    return convert


def _pubmed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A blank line between paragraphs, and the name that `pubmed` gives a row that has none."""
    name = hashlib.sha256(row["article"].encode()).hexdigest()[:12]
    return {"id": name, "article": row["article"].replace("\n", "\n\n"), "abstract": row["abstract"]}


def _pick(*names: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return lambda row: {name: row[name] for name in names}


def _bionlp2004(fetched: Fetched, folder: Path) -> list[Path]:
    """IOB2: a word and its tag a line, a blank line after each sentence."""
    written = []
    for split, name in ner.FILES.local.items():
        path = fetched[ner.FILES.hub[split]]
        sentences = Rows(path.name, read_file(path)).read(partial(read_row, ner.parse, "tagged sentence"))
        lines = ("".join(f"{w}\t{t}\n" for w, t in zip(s.tokens, s.tags, strict=True)) for s in sentences)
        written.append(write_lines_atomic(folder / Path(name).name, lines))
    return written


def _mrpc(fetched: Fetched, folder: Path) -> list[Path]:
    """Microsoft's two files: GLUE's validation pairs belong to the first."""
    parts = {"train": ("train", "validation"), "test": ("test",)}
    written = []
    for split, member in paraphrase.MEMBERS.items():
        rows = (row for part in parts[split] for row in read_file(fetched[paraphrase.FILES.hub[part]]))
        lines = (f"{row['label']}\t{row['idx']}\t{row['idx']}\t{row['sentence1']}\t{row['sentence2']}" for row in rows)
        written.append(write_lines_atomic(folder / member, ["\t".join(paraphrase.HEADER), *lines]))
    return written


def _financial_phrasebank(fetched: Fetched, folder: Path) -> list[Path]:
    """The members that the course reads, by their names: nothing in an archive decides where it is written."""
    written = []
    try:
        with zipfile.ZipFile(fetched[sentiment.ARCHIVE]) as archive:
            for member in sentiment.MEMBERS.values():
                written.append(folder / member)
                write_bytes_atomic(written[-1], sentiment.read_member(archive, f"{sentiment.ARCHIVE_FOLDER}/{member}"))
    except sentiment.DAMAGED as error:
        raise LabError(f"{sentiment.ARCHIVE} is no whole archive ({error}): fetch it again") from error
    return written


def _csl(fetched: Fetched, folder: Path) -> list[Path]:
    """Lines of the benchmark's three columns: 1,000 papers to test with, by a hash; all others to train on."""
    papers = list(titles.read_archive(fetched[titles.ARCHIVE], titles.ARCHIVE))
    test = {paper.id for paper in heapq.nsmallest(CSL_TEST, papers, key=titles.place_of)}
    lines = {True: [], False: []}
    for paper in papers:
        if paper.abstract and paper.title:
            lines[paper.id in test].append(f"{titles.TASK}\t{paper.abstract}\t{paper.title}")
    names = {True: titles.TEST, False: titles.DEV}
    return [write_lines_atomic(folder / Path(names[part]).name, lines[part]) for part in names]


def _novels(fetched: Fetched, folder: Path, most: int) -> list[Path]:
    """A text file a book, so many in each language; its author before the first underscore, as `local` expects it."""
    written = []
    for language, file in novels.HUB_FILES.items():
        rows = Rows(file, read_file(fetched[file]))
        found = islice(novels.read_novels(rows, language, Counter()), most)
        for text, book in found:
            stem = "_".join(filter(None, (_plain(book.style), _plain(book.title))))
            written.append(folder / language / f"{stem}.txt")
            write_bytes_atomic(written[-1], text.encode())
    return written


def _plain(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^\w]+|_+", "-", name).strip("-")[:60]


def convert(name: str, fetched: Fetched, folder: Path, profile: str) -> list[Path]:
    """Write the local files of a dataset, of novels as many as the profile has use for."""
    if name == "novels":
        return _novels(fetched, folder, novels.HUB_COUNTS[profile] + 2)
    return _CONVERT[name](fetched, folder)


_CONVERT: dict[str, Callable[[Fetched, Path], list[Path]]] = {
    "pubmed": _json_lines(pubmed.FILES, _pubmed),
    "scitldr": _json_lines(scitldr.FILES, _pick("paper_id", "source", "target")),
    "bionlp2004": _bionlp2004,
    "financial_phrasebank": _financial_phrasebank,
    "mrpc": _mrpc,
    "hellaswag": _json_lines(hellaswag.FILES, _pick("ctx", "endings", "label")),
    "csl": _csl,
}
