"""What was fetched: `fetched.json` in the folder, with the size and the SHA-256 of every file.

A dataset enters it when all its files are in their places. So a file that was cut off, changed or lost later is found,
and no file that is half there can pass.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from labkit.fetch.transfer import checksum, inside
from labkit.files import write_json_atomic
from labkit.profile import LabError

NAME = "fetched.json"


def read(folder: Path) -> dict[str, Any]:
    """What was fetched into the folder, by name; nothing if nothing was. Raises `LabError` if it can't be read."""
    path = folder / NAME
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))["fetched"]
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"{path} is no list of what was fetched ({error!r}): delete it and fetch again") from None


def add(folder: Path, name: str, files: Iterable[Path], **about: object) -> None:
    """Enter a dataset or model, with all its files."""
    entries = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": checksum(path)} for path in files
    }
    write_json_atomic(folder / NAME, {"fetched": read(folder) | {name: about | {"files": entries}}})


def faults(folder: Path, name: str) -> Iterator[str]:
    """What is wrong with the files of a dataset or model that was fetched; nothing if all is as it was."""
    for file, entry in read(folder)[name]["files"].items():
        path = inside(folder, file)
        if not path.is_file():
            yield f"{file} is missing"
        elif path.stat().st_size != entry["bytes"]:
            yield f"{file} has {path.stat().st_size:,} bytes, not {entry['bytes']:,}"
        elif checksum(path) != entry["sha256"]:
            yield f"{file} has another checksum"
