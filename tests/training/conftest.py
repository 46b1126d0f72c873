"""Runs that several tests compare with: the same short training, undisturbed, in this process and in several."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from labkit.training.checkpoint import list_checkpoints, load_checkpoint
from labkit.training.launch import launch
from labkit.training.log import read_log
from labkit.training.pretrain import PretrainConfig, pretrain

WORKERS = str(Path(__file__).parent / "workers")

# A checkpoint at steps 4, 8 and 12; four micro-batches a step, for up to four processes.
SHORT = {
    "profile": "smoke", "batch_size": 4, "micro_batch_size": 1, "max_steps": 12, "warmup_steps": 2,
    "eval_every": 4, "eval_tokens": 256, "dtype": "float32",
}  # fmt: skip


@pytest.fixture
def workers_importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", WORKERS)


@contextmanager
def gloo_threads(folder: Path) -> Iterator[Callable[[], dict[str, list[str]]]]:
    """A function that tells which of gloo's threads each rank of the processes launched within took into its shutdown.

    Such a thread can abort a process whose work is done, so rarely that no test would see that itself. They are read
    from /proc, so elsewhere than on Linux there are none.
    """
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{WORKERS}/at_exit")
        patch.setenv("THREADS", str(folder))
        yield lambda: {f.name: [n for n in f.read_text().split("\n") if "gloo" in n] for f in sorted(folder.iterdir())}


@pytest.fixture(scope="session")
def alone(tmp_path_factory, corpus_cache):
    """The short run in this process, with every checkpoint."""
    out = tmp_path_factory.mktemp("alone")
    pretrain(PretrainConfig(out=str(out), keep_checkpoints=9, **SHORT), echo=lambda _: None)
    return out


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, corpus_cache):
    """`undisturbed(nproc)`: the folder of the short run in `nproc` processes, with every checkpoint."""

    @functools.cache
    def run(nproc: int) -> Path:
        out = tmp_path_factory.mktemp(f"undisturbed{nproc}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", WORKERS)
            patch.delenv("KILLS", raising=False)
            launch("faulty", nproc=nproc, out=out, keep_checkpoints=9, echo=lambda _: None, **SHORT)
        return out

    return run


def losses(out: Path) -> list[float]:
    """The training losses of a run."""
    return [row["loss"] for row in read_log(out / "log.jsonl") if "loss" in row]


def final_state(out: Path) -> dict:
    """The last checkpoint of a run."""
    return load_checkpoint(list_checkpoints(out / "checkpoints")[-1])


def tensors(state) -> list[torch.Tensor]:
    """Every tensor in a nest of dicts and lists, in order."""
    if isinstance(state, torch.Tensor):
        return [state]
    if isinstance(state, dict | list | tuple):
        return [t for item in (state.values() if isinstance(state, dict) else state) for t in tensors(item)]
    return []


def assert_same_bits(out: Path, other: Path) -> None:
    """Both runs ended, with equal weights and equal optimiser states."""
    a, b = final_state(out), final_state(other)
    assert a["step"] == b["step"] == SHORT["max_steps"]
    one, two = tensors(a), tensors(b)
    assert len(one) == len(two) > 2 * len(a["model"])  # weights, and at least one moment for each
    assert all(torch.equal(x, y) for x, y in zip(one, two, strict=True))
