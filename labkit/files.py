"""Files that are either whole or not there.

Results are read while they are being written (by the batch runner, by the index, by a person with an editor)
and runs are killed at awkward moments. So a file is written beside its destination and renamed over it: a
reader sees the old one or the new one, never half of one. The cost is a second file for a moment, and that a
destination that is a symbolic link is replaced by a plain file.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path`, all or nothing; missing folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        # mkstemp makes the file private to its owner; results are for whoever may read the folder.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, all or nothing; missing folders are made."""
    write_bytes_atomic(path, text.encode("utf-8"))


def write_lines_atomic(path: Path, lines: Iterable[str]) -> Path:
    """Write lines to `path` as UTF-8, all or nothing, without holding them in memory; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"{line}\n" for line in lines)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)
    return path


def write_json_atomic(path: Path, obj: Any) -> None:
    """Write `obj` as indented, strict JSON: a NaN or an infinity raises ValueError and the old file stays."""
    write_text_atomic(path, json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
