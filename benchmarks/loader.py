"""The shard loader on a shard of 1 GB: how soon the first batch is there, how fast batches come, what memory it takes.

    python -m benchmarks.loader [--gigabytes 1] [--batches 2000]

Set against the plainest reader, which loads the whole file. Before each opening the file is put out of the system's
page cache where the system allows it (Linux), so that start-up includes reading from the disk. Memory is what the
process itself holds: pages of the file belong to the system, which takes them back whenever it needs to.
The shard is random tokens in a temporary folder. Writes results/bench/loader.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.publish import publish
from labkit.tasks.corpus import Corpus
from labkit.tasks.shards import TOKEN, Shards, ShardWriter, shard_path

BATCH, BLOCK = 8, 256  # the laptop's batch
OPENINGS = 10
Batches = Callable[[int], torch.Tensor]  # step → inputs (BATCH, BLOCK)


def write_shard(folder: Path, n_bytes: int) -> Path:
    """One shard of random tokens, on the disk when this returns."""
    chunk = np.random.default_rng(0).integers(2**16, size=min(n_bytes // TOKEN.itemsize, 8_000_000), dtype=TOKEN)
    writer = ShardWriter(folder, "train", shard_tokens=n_bytes // TOKEN.itemsize)
    with tqdm(total=n_bytes, desc="writing", unit="B", unit_scale=True, leave=False) as bar:
        while left := n_bytes // TOKEN.itemsize - len(writer):
            writer.write(chunk[:left])
            bar.update(chunk[:left].nbytes)
    writer.close()
    return shard_path(folder, "train", 0)


def memory_map(path: Path) -> Batches:
    """What training uses."""
    shards = Shards(path.parent, "train")
    corpus = Corpus(tokenizer=None, train=shards, val=shards, stats={}, folder=path.parent)
    return lambda step: corpus.batch("train", BATCH, BLOCK, seed=0, step=step)[0]


def whole_file(path: Path) -> Batches:
    """The plainest reader: all tokens in memory, windows at random places."""
    tokens = np.fromfile(path, TOKEN)

    def batch(step: int) -> torch.Tensor:
        starts = np.random.default_rng(step).integers(len(tokens) - BLOCK, size=BATCH)
        window = tokens[starts[:, None] + np.arange(BLOCK + 1)]
        return torch.from_numpy(window.astype(np.int64))[:, :-1].contiguous()

    return batch


def private_mb() -> float | None:
    """Memory of this process without the pages of files it maps, in MB; None where the system doesn't say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) / 1e3


def forget(path: Path) -> None:
    """Put a file out of the page cache."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(path: Path, n_batches: int) -> list[dict[str, object]]:
    """A row for each reader of the shard; times are medians, memory is what `n_batches` batches added."""
    return [
        _measure("memory map", memory_map, path, n_batches, OPENINGS),
        _measure("whole file", whole_file, path, n_batches, openings=1),
    ]


def _measure(
    name: str, reader: Callable[[Path], Batches], path: Path, n_batches: int, openings: int
) -> dict[str, object]:
    opened, first, steps = [], [], []
    before = private_mb()
    for _ in tqdm(range(openings), desc=f"{name}: opening", leave=False):
        forget(path)
        began = time.perf_counter()
        batch = reader(path)
        opened.append(time.perf_counter() - began)
        batch(0)
        first.append(time.perf_counter() - began)
    for step in tqdm(range(n_batches), desc=f"{name}: batches", leave=False):
        began = time.perf_counter()
        batch(step)
        steps.append(time.perf_counter() - began)
    return {
        "reader": name,
        "opened, ms": 1e3 * statistics.median(opened),
        "first batch, ms": 1e3 * statistics.median(first),
        "tokens/s": BATCH * BLOCK / statistics.median(steps),
        "memory, MB": private_mb() - before if before is not None else None,
    }


def main(argv: list[str] | None = None) -> None:
    """Write the shard, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="size of the shard, 0.05 or more (default: 1)")
    parser.add_argument("--batches", type=int, default=2000, help="batches that are timed (default: 2000)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(write_shard(Path(folder), int(args.gigabytes * 1e9)), args.batches)
    title = f"shard loader, {args.gigabytes:g} GB in one shard, batches of {BATCH} × {BLOCK} tokens"
    publish("loader", title, rows, gigabytes=args.gigabytes)


if __name__ == "__main__":
    main()
