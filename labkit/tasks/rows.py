"""The rows of a published dataset, from files in `LABKIT_DATA` or from the Hub, read alike and checked one by one.

    files = Files("pubmed", {"test": "pubmed/test.jsonl"}, {"test": "section/test.parquet"})
    papers = list(files.open("local")["test"].read(partial(read_row, parse, "PubMed article")))

A `local` file has one row a line, most often a JSON object; the Hub's files are Parquet, or have lines too. They are
named one by one, so that nothing else is downloaded and no dataset script is run (`datasets` 4 refuses to load a
repository that holds one, even a file beside it). What is missing or malformed is a `LabError` that names the file and
the row. Files of lines are held in memory; Parquet is read as it is asked for, a thousand rows at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from labkit.hub import download, repository
from labkit.profile import LabError, data_dir

T = TypeVar("T")
Row = str | bytes | Mapping[str, Any]  # a line of JSON, or what it says
BATCH_ROWS = 1_000


@dataclass(frozen=True)
class Rows:
    """A file's rows; `where` is what errors call the file."""

    where: str
    rows: Iterable[Row]

    def read(self, read: Callable[[Row, str, int], T]) -> Iterator[T]:
        """What `read` makes of every row, `where` and the row's number."""
        return (read(row, self.where, number) for number, row in enumerate(self.rows, 1))


@dataclass(frozen=True)
class Files:
    """A dataset's files by split: below `LABKIT_DATA`, and in the Hub's repository `name` (`hub.REPOSITORIES`)."""

    name: str
    local: Mapping[str, str]
    hub: Mapping[str, str]

    def open(self, source: str) -> dict[str, Rows]:
        """The rows of each split. Raises `LabError` if a file or the Hub is missing, and for SOURCE=embedded."""
        if source == "local":
            paths = {split: data_dir() / name for split, name in self.local.items()}
            return {split: Rows(str(path), _lines(path)) for split, path in paths.items()}
        if source != "hub":
            raise LabError(f"{self.name} is real data, which is not embedded: take SOURCE=local or hub")
        paths = {split: download(self.name, file) for split, file in self.hub.items()}
        where = {split: f"{file} of {repository(self.name)}" for split, file in self.hub.items()}
        return {split: Rows(where[split], read_file(path)) for split, path in paths.items()}


def read_file(path: Path) -> Iterable[Row]:
    """The rows of a file of the Hub's: Parquet, or lines."""
    return _parquet(path) if path.suffix == ".parquet" else _lines(path)


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise LabError(f"{path} is no whole Parquet file ({error}): delete it and run again") from error


def read_row(parse: Callable[[Mapping[str, Any]], T], what: str, row: Row, where: str, number: int) -> T:
    """The row, parsed.

    Raises `LabError`, naming `where` and the row's `number`, if it is no JSON or `parse` finds it is no `what`.
    """
    try:
        return parse(row if isinstance(row, Mapping) else json.loads(row))
    except (ValueError, TypeError, KeyError) as error:
        raise LabError(f"row {number} of {where} is no {what} ({error!r}): fetch the file again") from error


def _lines(path: Path) -> list[bytes]:
    """Bytes, so that a line that isn't UTF-8 is known by its number."""
    try:
        return path.read_bytes().splitlines()
    except OSError as error:
        raise LabError(f"can't read {path} ({error.strerror}): put the file there, or take SOURCE=embedded") from None
