"""A corpus on disk: built once, whole or not there, and read by memory map.

A folder of the cache holds token shards, the tokenizer's files and `stats.json`. It is written beside its
place, under a lock, and renamed when whole: of two notebooks that need it at once the second waits, and a
build that was killed is never taken for a corpus. Opening checks every file's size (not its bytes: that would
read 20 GB).
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from filelock import FileLock, Timeout

from labkit.files import write_json_atomic
from labkit.profile import LabError, unknown
from labkit.tasks.bpe import Tokenizer, load_tokenizer
from labkit.tasks.shards import Shards

if TYPE_CHECKING:
    import torch

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio; multiplying by it spreads low bits upwards (Knuth, TAOCP 3, §6.4)


@dataclass(frozen=True)
class Corpus:
    """Tokens to train on and to validate with, their tokenizer, and what is known about them (`stats`)."""

    tokenizer: Tokenizer
    train: Shards
    val: Shards
    stats: dict[str, Any]
    folder: Path

    def batch(
        self, split: str, batch_size: int, block_size: int, seed: int, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs, and the same one token ahead as targets: both int64 (batch_size, block_size).

        A pure function of its arguments: it is the batch of all processes together, of which each takes its
        rows, and a run that starts again at `step` sees what it would have seen. Steps go through all windows
        in a random order, then through all of them in another: every token is read once an epoch.
        Raises `LabError` for another split than train and val, or if the text is shorter than one window.
        """
        import torch

        halves = {"train": self.train, "val": self.val}
        if split not in halves:
            raise unknown("split", split, halves)
        shards, length = halves[split], block_size + 1
        n = max(1, shards.n_windows(length, stride=block_size))  # `starts` says what to do about 0
        epochs, places = np.divmod(step * batch_size + np.arange(batch_size), n)
        numbers = np.concatenate([shuffle(places[epochs == e], n, seed, int(e)) for e in np.unique(epochs)])
        tokens = torch.from_numpy(shards.window(shards.starts(length, block_size, numbers), length))
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def shuffle(places: np.ndarray, n: int, seed: int, epoch: int) -> np.ndarray:
    """What stands at these places of a random order of 0 … n − 1, int64; every (seed, epoch) has another order.

    The order as a list would take 8 bytes a window, and half a second for half a billion tokens, in every process
    and epoch. A Feistel network (Luby & Rackoff 1988) needs neither: a number is written with two digits in base
    a ≈ √n and, round by round, a keyed hash of one digit is added to the other. Each round can be undone, so the whole
    is a permutation of 0 … a² − 1; what lands at n or beyond goes through again until it lands below ("cycle
    walking": Black & Rogaway 2002, "Ciphers with Arbitrary Finite Domains").
    """
    keys = np.random.default_rng((seed % 2**32, epoch)).integers(2**64 - 1, size=6, dtype=np.uint64, endpoint=True)
    base = math.isqrt(n - 1) + 1
    x = places.astype(np.uint64)
    outside = np.ones(len(x), dtype=bool)
    while outside.any():
        high, low = np.divmod(x[outside], base)
        for key in keys:
            hashed = (low ^ key) * GOLDEN
            hashed = (hashed ^ hashed >> 32) * GOLDEN
            high, low = low, (high + (hashed >> 32)) % base
        x[outside] = high * base + low
        outside = x >= n
    return x.astype(np.int64)


class Recipe(Protocol):
    """How a corpus is made."""

    @property
    def key(self) -> str:
        """Changes whenever the tokens would."""

    def build(self, folder: Path) -> dict[str, Any]:
        """Write shards and tokenizer into `folder`, and return `statistics`.

        The folder exists, and may hold what an interrupted build left there.
        """


def load_or_build(recipe: Recipe, folder: Path) -> Corpus:
    """Open the corpus in `folder`; if there is none, build it (one process at a time)."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if not folder.exists():  # the process that was waited for has built it
                _build(recipe, folder)
    return _open(folder)


def _build(recipe: Recipe, folder: Path) -> None:
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(exist_ok=True)
    began = time.perf_counter()
    stats = recipe.build(partial)
    seconds = stats.get("seconds", time.perf_counter() - began)  # a build in several runs adds up its own
    stats |= {"seconds": round(seconds, 1), "hash": _hash(partial)}
    stats["files"] = {path.name: path.stat().st_size for path in sorted(partial.iterdir())}
    write_json_atomic(partial / "stats.json", stats)
    partial.rename(folder)


def _open(folder: Path) -> Corpus:
    remedy = f"delete the folder {folder} and run again, which builds it anew"
    try:
        stats = json.loads((folder / "stats.json").read_bytes())
        wrong = [
            file
            for file, size in stats["files"].items()
            if not (folder / file).is_file() or (folder / file).stat().st_size != size
        ]
    except (OSError, ValueError, KeyError) as error:
        raise LabError(f"the cached corpus has no readable stats.json: {remedy}") from error
    if wrong:
        raise LabError(f"the cached corpus is damaged ({', '.join(wrong)} truncated or missing): {remedy}")
    return Corpus(load_tokenizer(folder), Shards(folder, "train"), Shards(folder, "val"), stats, folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder.with_name(folder.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("another process is building this text: waiting for it …", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.bin")):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def statistics(
    *,
    source: str,
    name: str,
    text: str,
    documents: int,
    tokens: dict[str, int],
    val_bytes: int,
    tokenizer: Tokenizer,
) -> dict[str, Any]:
    """What every corpus says about itself.

    `bytes_per_token` is UTF-8 bytes of the validation documents over validation tokens. End-of-text tokens
    count as tokens and stand for no bytes, so bits a byte = loss / ln 2 / bytes_per_token charges the model
    for ending documents.
    """
    return {
        "source": source,
        "name": name,
        "text": text,
        "synthetic": False,
        "documents": documents,
        "train_tokens": tokens["train"],
        "val_tokens": tokens["val"],
        "vocab_size": tokenizer.vocab_size,
        "bytes_per_token": val_bytes / tokens["val"],
    }


def make_key(*parts: object) -> str:
    """A short hash of everything the tokens depend on."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
