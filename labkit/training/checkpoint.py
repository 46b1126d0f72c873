"""Checkpoints that are whole or absent, and found to be so before anything is built on them.

    checkpoints/step_00000080.pt      one file a checkpoint, the last few are kept
    checkpoints/step_00000100.pt.damaged

A file is written beside its place, flushed to disk, then renamed: a kill leaves it whole or not there at all. Disks
and copies fail too, and `torch.load` reads a flipped bit without a word. So the file ends with a SHA-256 of what stands
before it (the CRC-32s in torch's archive leave out the archive's own directory): reading it once more before it is
loaded finds a cut as well as a flip; then the one before it is taken. Loading uses `weights_only=True`: a checkpoint
can't run code here.

A checkpoint holds everything the next step depends on: weights, the optimiser's state, the step, the settings and the
text's hash. Batches are a pure function of (seed, step), and the loop draws no random numbers (no dropout): there is
neither a loader's nor a generator's state to save, and the number of processes may change from one life to the next.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from labkit.profile import LabError

_NAME = re.compile(r"step_(\d{8,})\.pt")
DIGEST_SIZE = hashlib.sha256().digest_size
_REMEDY = "take an earlier one, or --resume auto, which does"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain values) to `path` atomically: a kill leaves the old file or the new one.

    Raises `OSError` if it can't be written (disk full, no permission); what was written of it is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w+b") as stream:
            torch.save(state, stream)
            stream.write(_digest(stream, stream.tell()))
            stream.flush()
            os.fsync(stream.fileno())  # else a power cut may leave the new name on an empty file
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    except RuntimeError as error:  # torch's zip writer, closing after a write that failed, hides why
        partial.unlink(missing_ok=True)
        raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None
    _flush_folder(path.parent)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint written by `save_checkpoint`. Raises `LabError` if it is missing or damaged."""
    verify_checkpoint(path)
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise LabError(f"{path} is no checkpoint of this course ({error}): {_REMEDY}") from error


def verify_checkpoint(path: Path) -> None:
    """Read the whole file against its checksums. Raises `LabError` if it is missing, cut short or altered."""
    if not path.exists():
        raise LabError(
            f"no checkpoint at {path}: give the path of one that is there, as every node sees it (they must share the "
            "file system), or --resume auto"
        )
    try:
        with path.open("rb") as stream:
            size = max(0, path.stat().st_size - DIGEST_SIZE)
            whole = size and _digest(stream, size) == stream.read()
    except OSError as error:
        raise LabError(f"{path} can't be read ({error}): {_REMEDY}") from error
    if not whole:
        raise LabError(f"{path} is damaged (its checksum is not what was written): {_REMEDY}")


def _digest(stream: BinaryIO, size: int) -> bytes:
    """SHA-256 of the first `size` bytes, behind which the stream then stands."""
    digest = hashlib.sha256()
    stream.seek(0)
    while size:
        block = stream.read(min(size, 1 << 20))
        if not block:
            raise OSError("the file became shorter while it was read")
        digest.update(block)
        size -= len(block)
    return digest.digest()


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, oldest step first, damaged ones among them."""
    steps = {path: int(match[1]) for path in folder.glob("step_*.pt") if (match := _NAME.fullmatch(path.name))}
    return sorted(steps, key=steps.__getitem__)


def newest_checkpoint(folder: Path, warn: Callable[[str], None] = print) -> Path | None:
    """The newest good checkpoint in `folder`, or None.

    Damaged newer ones are named to `warn` and renamed to `….damaged`: out of the way, but nothing is thrown away on
    the word of one read.
    """
    for path in reversed(list_checkpoints(folder)):
        try:
            verify_checkpoint(path)
            return path
        except LabError as error:
            path.rename(path.with_name(f"{path.name}.damaged"))
            warn(f"warning: {error}; it is now {path.name}.damaged")
    return None


def find_checkpoint(resume: str, folder: Path, warn: Callable[[str], None] = print) -> Path | None:
    """What a run begins from: "" nothing, "auto" the newest good checkpoint in `folder`, else the file `resume`.

    For one process: it renames files. A run that begins from nothing moves the checkpoints of an earlier one to
    `<folder>.old` (replacing what is there), so that a later "auto" can't take them for its own.
    Raises `LabError` if the file is missing or damaged, or comes from elsewhere while `folder` has its own.
    """
    if resume == "auto":
        return newest_checkpoint(folder, warn)
    occupied = bool(list_checkpoints(folder))
    if resume:
        path = Path(resume)
        verify_checkpoint(path)
        if occupied and path.resolve().parent != folder.resolve():
            raise LabError(f"{folder} has checkpoints already: choose another --out, or --resume auto")
        return path
    if occupied:
        old = folder.with_name(f"{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    return None


def keep_checkpoint(folder: Path, state: dict[str, Any], keep: int, warn: Callable[[str], None] = print) -> Path | None:
    """Save `state` as the checkpoint of `state["step"]`, and of those up to it delete all but the newest `keep`.

    The old ones go only once the new one is on disk. If it can't be written they all stay, `warn` says so, and None
    is returned: training goes on, since a later checkpoint may find room.
    """
    path = folder / f"step_{state['step']:08d}.pt"
    try:
        save_checkpoint(path, state)
    except OSError as error:
        kept = list_checkpoints(folder)
        last = f"the last good one is {kept[-1].name}" if kept else "there is none yet"
        warn(f"warning: no checkpoint at step {state['step']:,} ({error}): {last}; training goes on, make room")
        return None
    here = list_checkpoints(folder)
    for old in here[: here.index(path) + 1][: -max(1, keep)]:
        old.unlink(missing_ok=True)
    return path


def _flush_folder(folder: Path) -> None:
    """Put a renaming on disk; elsewhere than on POSIX systems a folder can't be opened."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
