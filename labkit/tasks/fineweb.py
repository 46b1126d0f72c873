"""The full profile's text: FineWeb-Edu, streamed, tokenised with GPT-2's BPE on all cores, resumable.

It comes from the Hub, or from a folder that `labkit.fetch` has filled. One process reads the stream and writes the
shards; the others tokenise, always one chunk behind the reading. After each chunk (about 2 M tokens) the shards are
synced and the reader's place and the counts are saved beside them, in this order: a killed run goes on from the last
saved chunk, cuts off what the shards hold beyond it, and ends with the bytes of an uninterrupted one. The whole sample
(10 B tokens) is 20 GB on disk and hours of download.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm  # not tqdm.auto, which scolds notebooks that have no ipywidgets

from labkit.files import write_json_atomic
from labkit.hub import download, hub_errors, probe, repository
from labkit.profile import LabError, Profile, cpu_cores, data_dir
from labkit.tasks.bpe import GPT2BPE
from labkit.tasks.corpus import make_key, statistics
from labkit.tasks.documents import is_validation
from labkit.tasks.shards import SHARD_TOKENS, TOKEN, ShardWriter
from labkit.tasks.workers import process_map

if TYPE_CHECKING:
    from datasets import IterableDataset

TEXT, VOCABULARY = repository("fineweb_edu"), repository("gpt2_bpe")
CONFIG = "sample-10BT"
FORMAT = 1  # raise it when the shards' bytes change for the same settings
VAL_SHARE = 0.01  # of the documents: 100 M tokens of the whole sample
DOCUMENTS_A_TASK = 64
FETCH = "fetch it with `python -m labkit.fetch --only gpt2_bpe,fineweb_edu`"

Task = tuple[str, str]  # a document's id and its text


@dataclass(frozen=True)
class FineWeb:
    """The recipe (`webtext.Recipe`) of a corpus, with the sizes that tests make small.

    `source` is "hub", or "local" for what `labkit.fetch` has put into LABKIT_DATA: the same tokens.
    """

    train_tokens: int  # stop when training has these …
    val_tokens: int  # … and validation those, or at the end of the sample
    chunk_documents: int = 2_048  # read, tokenised and saved at a time
    shard_tokens: int = SHARD_TOKENS
    nproc: int = max(1, cpu_cores() - 1)  # that tokenise; one more reads
    source: str = "hub"

    @staticmethod
    def for_profile(profile: Profile, source: str = "hub") -> FineWeb:
        """Enough for every window of the profile's training to be read once."""
        tokens = profile.max_steps * profile.batch_size * profile.block_size
        return FineWeb(tokens, profile.eval_tokens, source=source)

    @property
    def key(self) -> str:
        """Changes whenever the tokens would; the number of processes doesn't matter."""
        sizes = {name: value for name, value in asdict(self).items() if name not in ("nproc", "source")}
        return make_key(TEXT.id, CONFIG, TEXT.revision, VOCABULARY.revision, VAL_SHARE, FORMAT, sizes)

    def build(self, folder: Path) -> dict[str, Any]:
        """Stream, tokenise and write, from where an interrupted build stopped. See `webtext.Recipe`.

        Raises `LabError` if the Hub can't be reached (at once), or stops answering (then a new run goes on), and for
        files that are not in LABKIT_DATA.
        """
        began = time.perf_counter()
        if self.source == "hub":
            probe()
        vocab, merges = _copy_tokenizer(folder, self.source)
        saved = folder / "progress.json"
        progress = json.loads(saved.read_bytes()) if saved.exists() else _NOTHING
        writers = {
            split: ShardWriter(folder, split, self.shard_tokens, progress["shards"][split])
            for split in ("train", "val")
        }
        spent = progress["seconds"]
        stream = open_stream(progress["place"], self.source)
        with (
            process_map(self.nproc, _begin, (vocab, merges)) as run,
            tqdm(total=self.train_tokens, initial=len(writers["train"]), unit="token", unit_scale=True) as bar,
        ):
            for chunk, tokens, place in self._tokenised(run, stream):
                if len(writers["train"]) >= self.train_tokens and len(writers["val"]) >= self.val_tokens:
                    break
                val_bytes = _write(chunk, chain.from_iterable(tokens), writers)
                progress = {
                    "place": place,
                    "shards": {split: writer.flush() for split, writer in writers.items()},
                    "documents": progress["documents"] + len(chunk),
                    "val_bytes": progress["val_bytes"] + val_bytes,
                    "seconds": spent + time.perf_counter() - began,
                }
                write_json_atomic(saved, progress)
                bar.update(len(writers["train"]) - bar.n)
        tokens = {split: sum(writer.close()) for split, writer in writers.items()}
        if not all(tokens.values()):
            raise LabError(f"{TEXT.id} has too few documents ({progress['documents']}) to keep some for validation")
        saved.unlink()
        stats = statistics(
            source=self.source,
            name=f"{TEXT.id} {CONFIG}",
            text=f"real text (not synthetic): {TEXT.id}, {CONFIG}, revision {TEXT.revision[:7]}",
            documents=progress["documents"],
            tokens=tokens,
            val_bytes=progress["val_bytes"],
            tokenizer=GPT2BPE(vocab, merges),
        )
        return stats | {"seconds": progress["seconds"]}

    def _tokenised(
        self, run: Callable[..., Iterator[Any]], stream: IterableDataset
    ) -> Iterator[tuple[list[Task], Iterator[list[np.ndarray]], dict[str, Any]]]:
        """Chunks, the tokens of their documents, and the reader's place after each; one is read ahead."""
        waiting: list[tuple[list[Task], Iterator[list[np.ndarray]], dict[str, Any]]] = []
        rows = ((row["id"], row["text"]) for row in stream)
        while True:
            with hub_errors("reading the stream (run again: it goes on from the last saved chunk)"):
                chunk = list(islice(rows, self.chunk_documents))
            if not chunk:
                break
            texts = [text for _, text in chunk]
            tasks = [texts[i : i + DOCUMENTS_A_TASK] for i in range(0, len(texts), DOCUMENTS_A_TASK)]
            waiting.append((chunk, run(_encode, tasks), stream.state_dict()))
            if len(waiting) > 1:
                yield waiting.pop(0)
        yield from waiting


def _write(chunk: list[Task], tokens: Iterable[np.ndarray], writers: dict[str, ShardWriter]) -> int:
    """Write each document to its split; the validation documents' bytes."""
    val_bytes = 0
    for (name, text), ids in zip(chunk, tokens, strict=True):
        if is_validation(name, VAL_SHARE):
            writers["val"].write(ids)
            val_bytes += len(text.encode())
        else:
            writers["train"].write(ids)
    return val_bytes


_NOTHING: dict[str, Any] = {
    "place": None, "shards": {"train": [], "val": []}, "documents": 0, "val_bytes": 0, "seconds": 0.0
}  # fmt: skip


def open_stream(place: dict[str, Any] | None = None, source: str = "hub") -> IterableDataset:
    """The sample's rows, from its beginning or from a place that `state_dict()` gave."""
    from datasets import load_dataset

    if source == "local":
        files = [str(path) for path in sorted(data_dir().glob("fineweb_edu/**/*.parquet"))]
        if not files:
            raise LabError(f"no .parquet files in {data_dir() / 'fineweb_edu'}: {FETCH}")
        stream = load_dataset("parquet", data_files=files, split="train", streaming=True)
    else:
        with hub_errors(f"opening {TEXT}"):
            stream = load_dataset(TEXT.id, CONFIG, revision=TEXT.revision, split="train", streaming=True)
    if place is not None:
        stream.load_state_dict(place)
    return stream


def _copy_tokenizer(folder: Path, source: str) -> tuple[Path, Path]:
    """GPT-2's vocabulary, copied beside the shards, which can be read alone from now on."""
    for name in ("vocab.json", "merges.txt"):
        path = data_dir() / "gpt2_bpe" / name if source == "local" else download("gpt2_bpe", name)
        if not path.is_file():
            raise LabError(f"{path} is not there: {FETCH}")
        shutil.copyfile(path, folder / name)
    return folder / "vocab.json", folder / "merges.txt"


_tokenizer: GPT2BPE  # of this worker process


def _begin(vocab: Path, merges: Path) -> None:
    global _tokenizer
    _tokenizer = GPT2BPE(vocab, merges)


def _encode(texts: Iterable[str]) -> list[np.ndarray]:
    return [np.array([*_tokenizer.encode(text), _tokenizer.eot], dtype=TOKEN) for text in texts]
