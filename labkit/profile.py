"""The dial and the switch: one typed table that says how big everything is and where it comes from.

`PROFILE` sets the size of everything (smoke, laptop, full); `SOURCE` says where data and models come from
(embedded, local, hub). Every notebook resolves both in its first cell::

    lab = resolve(PROFILE, SOURCE, SEED)

and reads sizes from `lab.profile`, folders from `lab`, and the device and dtype from `pick_device`, `pick_dtype`.
Nothing falls back silently: a source that is missing is a `LabError` that says what to do.
`torch` is imported inside functions only, so that planning a batch run or harvesting text doesn't pay its two seconds.
"""

from __future__ import annotations

import difflib
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.memory import keep_freed_memory

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parents[1]


class LabError(Exception):
    """Something the reader can mend. The message says what is wrong and, in the same breath, what to do."""


def unknown(kind: str, name: object, choices: Iterable[str]) -> LabError:
    """The error for a name that is not on the list, with the nearest one that is.

    >>> print(unknown("profile", "labtop", ["smoke", "laptop", "full"]))
    unknown profile 'labtop': did you mean 'laptop'? (known: smoke, laptop, full)
    """
    choices = list(choices)
    near = difflib.get_close_matches(str(name), choices, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return LabError(f"unknown {kind} {str(name)!r}:{hint} (known: {', '.join(choices) or 'none'})")


@dataclass(frozen=True)
class Profile:
    """One position of the dial. Notebooks and library read their sizes here and nowhere else."""

    name: str
    purpose: str
    hardware: str
    memory_gb: float  # peak of the largest notebook
    disk_gb: float  # caches and results
    limit_minutes: float  # a notebook that takes longer is stopped and called "timeout"
    source: str  # the switch's default position
    # Text
    packages: tuple[str, ...]  # whose docstrings are the embedded corpus
    vocab_size: int  # of the byte-level BPE trained on it (the hub's is GPT-2's own)
    # GPT-2
    n_layer: int
    n_head: int
    n_embd: int
    block_size: int  # tokens of context
    # Pretraining
    nproc: int  # DDP processes
    batch_size: int  # sequences an optimiser step, over all processes
    micro_batch_size: int  # sequences a forward pass of one process
    max_steps: int
    warmup_steps: int
    max_lr: float
    eval_every: int  # steps
    eval_tokens: int  # validation tokens scored each time
    # Summarising
    train_papers: int  # at most
    test_papers: int  # and as many for validation
    source_tokens: int  # of an article that an encoder reads
    summary_tokens: int  # of an abstract
    bart_width: int  # of a BART that is made here
    bart_batch: int  # papers a step, for a BART with random weights, or the Hub's DistilBART
    bart_steps: int
    bart_lr: float
    finetune_batch: int  # papers a step, for what was trained before
    finetune_steps: int
    finetune_lr: float
    rl_updates: int  # of REINFORCE
    # The GPT-Neo and the Qwen that are made here
    neo_texts: int  # of each kind, that it is pretrained on
    neo_width: int  # the Qwen's, too
    neo_steps: int
    qwen_steps: int

    @property
    def needs(self) -> str:
        """What a machine must have, in words."""
        network = ", a network" if self.source == "hub" else ""
        return f"{self.hardware}, {self.memory_gb:g} GB memory, {self.disk_gb:g} GB disk{network}"


_SMOKE_PACKAGES = ("stdlib",)
# All are required by the course itself; chosen for prose per second of parsing.
_LAPTOP_PACKAGES = (
    "stdlib", "torch", "transformers", "sympy", "pandas", "numpy", "networkx", "matplotlib", "huggingface_hub",
    "datasets", "IPython", "tornado", "prompt_toolkit", "fontTools", "mpmath", "debugpy", "jinja2", "click", "anyio",
    "fsspec", "jupyter_server", "rich", "traitlets", "jupyter_client",
)  # fmt: skip

PROFILES: dict[str, Profile] = {
    p.name: p
    for p in (
        Profile(
            name="smoke", purpose="tests: does everything run?", hardware="2 CPU cores",
            memory_gb=4, disk_gb=3, limit_minutes=5, source="embedded",
            packages=_SMOKE_PACKAGES, vocab_size=1024,
            n_layer=2, n_head=2, n_embd=64, block_size=64,
            nproc=2, batch_size=8, micro_batch_size=4, max_steps=40, warmup_steps=5, max_lr=3e-3,
            eval_every=20, eval_tokens=4_096,
            train_papers=200, test_papers=16, source_tokens=96, summary_tokens=32,
            bart_width=16, bart_batch=8, bart_steps=16, bart_lr=3e-3,
            finetune_batch=8, finetune_steps=8, finetune_lr=2e-3, rl_updates=4,
            neo_texts=400, neo_width=32, neo_steps=20, qwen_steps=20,
        ),
        Profile(
            name="laptop", purpose="students and `make run`", hardware="2 CPU cores",
            memory_gb=8, disk_gb=5, limit_minutes=15, source="embedded",
            packages=_LAPTOP_PACKAGES, vocab_size=8192,
            n_layer=4, n_head=4, n_embd=256, block_size=256,
            nproc=2, batch_size=8, micro_batch_size=4, max_steps=280, warmup_steps=35, max_lr=1.6e-3,
            eval_every=100, eval_tokens=32_768,
            train_papers=12_000, test_papers=200, source_tokens=160, summary_tokens=96,
            bart_width=64, bart_batch=16, bart_steps=600, bart_lr=3e-3,
            finetune_batch=8, finetune_steps=250, finetune_lr=2e-3, rl_updates=60,
            neo_texts=24_000, neo_width=128, neo_steps=850, qwen_steps=600,
        ),
        Profile(
            name="full", purpose="the reports' own scale", hardware="1–8 GPUs with 24 GB or more",
            memory_gb=64, disk_gb=60, limit_minutes=48 * 60, source="hub",
            packages=_LAPTOP_PACKAGES, vocab_size=50_257,
            n_layer=12, n_head=12, n_embd=768, block_size=1024,
            nproc=8, batch_size=512, micro_batch_size=16, max_steps=19_073, warmup_steps=715, max_lr=6e-4,
            eval_every=250, eval_tokens=20 * 524_288,
            train_papers=24_000, test_papers=1_000, source_tokens=1024, summary_tokens=256,
            bart_width=256, bart_batch=16, bart_steps=4_500, bart_lr=3e-5,
            finetune_batch=16, finetune_steps=4_500, finetune_lr=3e-5, rl_updates=500,
            neo_texts=100_000, neo_width=256, neo_steps=10_000, qwen_steps=10_000,
        ),
    )
}  # fmt: skip

SOURCES: dict[str, str] = {
    "embedded": "made on the spot: docstrings of installed packages, seeded generators, tiny models trained here",
    "local": "the real datasets' original files in the folder LABKIT_DATA",
    "hub": "the same datasets, and the real checkpoints, from the Hugging Face Hub at pinned revisions",
}


def _folder(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default).expanduser().resolve()


def cache_dir() -> Path:
    """Where corpora and trained models are kept between runs (`LABKIT_CACHE`, else `data/cache`)."""
    return _folder("LABKIT_CACHE", ROOT / "data" / "cache")


def data_dir() -> Path:
    """The folder `LABKIT_DATA` with the real datasets' files. Raises `LabError` if it isn't there."""
    value = os.environ.get("LABKIT_DATA", "")
    folder = Path(value).expanduser().resolve()
    if not value or not folder.is_dir():
        said = f"LABKIT_DATA={value} is not a folder" if value else "LABKIT_DATA is not set"
        raise LabError(
            f"SOURCE=local needs the datasets' files, but {said}: "
            "set LABKIT_DATA to the folder that holds them, or take SOURCE=embedded, which needs none"
        )
    return folder


def results_base() -> Path:
    """The folder of all results (`LABKIT_RESULTS`, else `results`)."""
    return _folder("LABKIT_RESULTS", ROOT / "results")


def results_dir(profile: str, source: str, base: Path | None = None, dry_run: bool = False) -> Path:
    """`<base>/<profile>`, with `-<source>` where the source is not the profile's default, and `-dry-run` of one."""
    name = profile if source == PROFILES[profile].source else f"{profile}-{source}"
    return (base or results_base()) / (name + "-dry-run" * dry_run)


@dataclass(frozen=True, repr=False)
class Lab:
    """A resolved dial and switch: what the first cell of every notebook makes and shows."""

    profile: Profile
    source: str
    seed: int
    dry_run: bool = False  # its results are no results, and lie apart (`labkit.preflight`)

    @property
    def results(self) -> Path:
        """Where this run's metrics, figures and tables go."""
        return results_dir(self.profile.name, self.source, dry_run=self.dry_run)

    @property
    def nproc(self) -> int:
        """Training processes: one a GPU where there are any, else the profile's number."""
        import torch

        return torch.cuda.device_count() or self.profile.nproc

    def rows(self) -> list[tuple[str, str]]:
        """What a reader wants to know of this run, as (name, value) pairs."""
        p, device = self.profile, pick_device()
        return [
            ("profile", f"{p.name} ({p.purpose})"),
            ("source", f"{self.source}: {SOURCES[self.source]}"),
            ("seed", str(self.seed)),
            (
                "device",
                f"{device}, {str(pick_dtype(device)).removeprefix('torch.')}, {cpu_cores()} CPU cores",
            ),
            (
                "model",
                f"{p.n_layer} layers, {p.n_head} heads, width {p.n_embd}, context {p.block_size} tokens",
            ),
            (
                "training",
                f"{p.max_steps:,} steps of {p.batch_size} × {p.block_size} tokens on {self.nproc} processes",
            ),
        ]

    def __repr__(self) -> str:
        return "\n".join(f"{name:9}{value}" for name, value in self.rows())

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in self.rows()
        )
        return f"<table>{cells}</table>"


def resolve_source(profile: str, source: str = "") -> str:
    """The source that is meant: the profile's own for "".

    Raises `LabError` for an unknown profile or source, and for `local` without its folder.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    source = source or PROFILES[profile].source
    if source not in SOURCES:
        raise unknown("source", source, SOURCES)
    if source == "local":
        data_dir()
    return source


def resolve(profile: str = "laptop", source: str = "", seed: int = 0) -> Lab:
    """Turn the three parameters every notebook begins with into a `Lab`, and seed everything; freed memory is kept.

    Raises `LabError` as `resolve_source` does, and for a seed that is no whole number.
    """
    source = resolve_source(profile, source)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise LabError(f"SEED must be a whole number, not {seed!r}: give 0, 1, 2 …")
    seed_everything(seed)
    keep_freed_memory()
    return Lab(PROFILES[profile], source, seed)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (CPU and every GPU)."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def cpu_cores() -> int:
    """How many cores this process may use (fewer than the machine has under taskset or in a container)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pick_device() -> torch.device:
    """The GPU of this process (`LOCAL_RANK` under torchrun), or the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 faster than fp32, which takes AMX.

    AVX512-BF16 alone isn't enough: on a Xeon that hides its AMX, large bf16 products went at 0.6 times fp32's rate,
    and pretraining at 0.7 times.
    """
    import torch

    # torch 2.13 has no public name for it; an absent one means "no".
    return getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()


def pick_dtype(device: torch.device) -> torch.dtype:
    """The dtype of matrix products: bf16 where the hardware has it, else fp32."""
    import torch

    if device.type == "cuda":  # older GPUs only emulate it
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if cpu_has_bf16() else torch.float32


def autocast(device: torch.device) -> torch.autocast:
    """Matrix products in the fastest dtype of `device`, weights as they are; nothing changes where that is fp32."""
    import torch

    dtype = pick_dtype(device)
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
