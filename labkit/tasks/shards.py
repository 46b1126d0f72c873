"""Tokens on disk: shards of raw little-endian uint16, read by memory map.

`train_00000.bin`, `train_00001.bin`, … hold one stream of tokens, documents joined by the end-of-text token,
cut wherever a shard is full. Opening costs microseconds whatever the size, a batch is one gather, and the
operating system keeps the pages in use in memory: 100 M tokens or 10 B, the process stays small.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labkit.profile import LabError

TOKEN = np.dtype("<u2")
SHARD_TOKENS = 100_000_000  # 200 MB


def shard_path(folder: Path, split: str, index: int) -> Path:
    """The file of the `index`-th shard of a split."""
    return folder / f"{split}_{index:05d}.bin"


class ShardWriter:
    """Appends tokens to a split's shards.

    `counts` (tokens in each shard, from an earlier `flush`) takes up the work there: whatever was written
    after that `flush` is cut off.
    """

    def __init__(self, folder: Path, split: str, shard_tokens: int = SHARD_TOKENS, counts: Sequence[int] = ()) -> None:
        self.folder, self.split, self.shard_tokens = folder, split, shard_tokens
        self.counts = list(counts)
        for path in sorted(folder.glob(f"{split}_*.bin"))[len(counts) :]:
            path.unlink()
        for index, count in enumerate(counts):
            path = shard_path(folder, split, index)
            if not path.is_file() or path.stat().st_size < count * TOKEN.itemsize:
                raise LabError(f"{path} lost what was written to it: delete the folder {folder} and run again")
            os.truncate(path, count * TOKEN.itemsize)
        self._file = open(shard_path(folder, split, len(counts) - 1), "ab") if counts else None

    def __len__(self) -> int:
        """Tokens written so far."""
        return sum(self.counts)

    def write(self, tokens: Sequence[int] | np.ndarray) -> None:
        """Append tokens, whole numbers below 65,536."""
        tokens = np.asarray(tokens, dtype=TOKEN)
        while len(tokens):
            if not self.counts or self.counts[-1] == self.shard_tokens:
                self._next()
            room = self.shard_tokens - self.counts[-1]
            self._file.write(tokens[:room].tobytes())
            self.counts[-1] += len(tokens[:room])
            tokens = tokens[room:]

    def flush(self) -> list[int]:
        """Put everything on the disk; the tokens in each shard, for a later writer's `counts`."""
        if self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        return list(self.counts)

    def close(self) -> list[int]:
        """`flush`, and release the file."""
        counts = self.flush()
        if self._file:
            self._file.close()
        return counts

    def _next(self) -> None:
        self.close()
        self._file = open(shard_path(self.folder, self.split, len(self.counts)), "wb")
        self.counts.append(0)


class Shards:
    """A split's tokens as one long sequence; `len()` is their number."""

    def __init__(self, folder: Path, split: str) -> None:
        self.split = split
        self._maps = [np.memmap(path, TOKEN, "r") for path in sorted(folder.glob(f"{split}_*.bin"))]
        self._lengths = np.array([len(shard) for shard in self._maps], dtype=np.int64)
        self._ends = np.cumsum(self._lengths)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def n_windows(self, length: int, stride: int) -> int:
        """How many windows of `length` tokens begin every `stride` tokens, each within one shard."""
        return int(self._windows(length, stride).sum())

    def starts(self, length: int, stride: int, numbers: np.ndarray | None = None) -> np.ndarray:
        """Where these windows begin, int64 (n,): all of them, or those of the given `numbers`, counted from 0.

        Raises `LabError` if no shard is that long, `IndexError` for a number that isn't there.
        """
        windows = self._windows(length, stride)
        last = np.cumsum(windows)
        if not windows.any():
            raise LabError(
                f"the {self.split} text has {len(self):,} tokens, too few for one window of {length:,}: "
                "take a smaller block_size, or a larger profile or source"
            )
        numbers = np.arange(last[-1]) if numbers is None else np.asarray(numbers, dtype=np.int64)
        if ((numbers < 0) | (numbers >= last[-1])).any():
            raise IndexError(f"the {self.split} text has {last[-1]:,} windows of {length:,} tokens")
        shard = np.searchsorted(last, numbers, side="right")
        return (self._ends - self._lengths)[shard] + (numbers - (last - windows)[shard]) * stride

    def _windows(self, length: int, stride: int) -> np.ndarray:
        """The number of windows in each shard."""
        return np.maximum(0, (self._lengths - length) // stride + 1)

    def window(self, starts: np.ndarray, length: int) -> np.ndarray:
        """The `length` tokens from each start, int64 (n, length).

        Raises `IndexError` for a window that leaves its shard or the text: tokens on either side of a shard's
        edge were never neighbours in a way that can be read by one gather.
        """
        starts = np.asarray(starts, dtype=np.int64)
        shard = np.searchsorted(self._ends, starts, side="right")
        inside = (starts >= 0) & (shard < len(self._ends))
        if not inside.all() or (starts + length > self._ends[shard]).any():
            raise IndexError(f"a window of {length} tokens crosses the edge of a shard of {self.split!r}")
        tokens = np.empty((len(starts), length), dtype=np.int64)
        for index in np.unique(shard):
            rows = shard == index
            begin = self._ends[index] - self._lengths[index]
            tokens[rows] = self._maps[index][(starts[rows] - begin)[:, None] + np.arange(length)]
        return tokens
