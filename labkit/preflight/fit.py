"""A part held against a machine: which levers it needs to fit, and how long it will take.

The levers are those that training pulls by itself, in its order: blocks are computed again where a GPU is small
(`models.checkpointing`), a batch is taken in pieces (`training.finetune`), a model is spread over GPUs where the
notebook can (`training.sharded`). Bytes: weights, gradients and Adam's two averages in fp32, copies, the bf16 weights
that autocast keeps (`footprint` counts them), and a tenth and a gigabyte for all that is there in passing.

Time is the part's FLOPs at the rate at which this machine multiplies large matrices, of which training reaches about
0.4 (`benchmarks/published.py`): an estimate to plan by, good to a factor of two, without writing and scoring.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch

from labkit.models.checkpointing import SCARCE
from labkit.preflight.footprint import Footprint
from labkit.preflight.parts import Part
from labkit.profile import cpu_cores, pick_device, pick_dtype
from labkit.report.provenance import cpu_model, memory_gb

UTILISATION = 0.4
ROOM, CONTEXT = 1.1, 1e9  # what memory holds in passing: a tenth more, and CUDA's own


@dataclass(frozen=True)
class Machine:
    """Where it is to run: bytes of one GPU (or of the CPU's memory), how many, FLOP/s of one."""

    name: str
    memory: float
    gpus: int  # 0: there is none, the CPU works
    rate: float

    @classmethod
    def this(cls) -> Machine:
        """The machine at hand; its rate takes a second to measure."""
        device = pick_device()
        if device.type == "cuda":
            about = torch.cuda.get_device_properties(device)
            return cls(about.name, about.total_memory, torch.cuda.device_count(), product_rate(8192))
        return cls(f"{cpu_model()}, {cpu_cores()} cores", memory_gb() * 1e9, 0, product_rate(1024))


@dataclass(frozen=True)
class Fit:
    """How a part runs on a machine. `pieces` of a batch, 0 if not even a row fits; `memory` bytes; `seconds`."""

    recomputes: bool
    shards: int
    pieces: int
    memory: float
    seconds: float

    @property
    def levers(self) -> str:
        """In words."""
        said = ["blocks computed again"] * self.recomputes
        said += [f"model over {self.shards} GPUs"] * (self.shards > 1)
        said += [f"batch in {self.pieces} pieces"] * (self.pieces > 1)
        return ", ".join(said) or "none"


def fit(part: Part, count: Footprint, machine: Machine) -> Fit:
    """The least cut in pieces with which `part` fits."""
    recomputes = part.recomputes and machine.memory < SCARCE and machine.gpus > 0
    kept = count.kept_recomputing if recomputes else count.kept
    shards = max(1, machine.gpus) if part.spread == "fsdp" else 1
    state = (4 * count.parameters + 12 * count.trained) / shards + 4 * count.parameters * part.copies
    rows = part.rows // shards or 1
    together = max(1, machine.gpus) if part.spread else 1
    flops = part.steps * count.flops * (4 / 3 if recomputes else 1)
    seconds = flops / (UTILISATION * machine.rate * together)
    pieces = 1
    while True:
        needed = ROOM * (state + kept * (rows / part.rows) / pieces) + CONTEXT
        if needed <= machine.memory:
            return Fit(recomputes, shards, pieces, needed, seconds)
        if pieces >= rows or (part.by == "pretrain" and part.spread):  # whose micro-batch is the profile's
            return Fit(recomputes, shards, 0, needed, seconds)
        pieces *= 2


def product_rate(n: int, rounds: int = 5) -> float:
    """FLOP/s of (n, n) @ (n, n) in the machine's fastest dtype, the median of some rounds."""
    device = pick_device()
    a = torch.randn(n, n, device=device, dtype=pick_dtype(device))
    seconds = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        (a @ a)[0, 0].item()  # waits for the GPU
        seconds.append(time.perf_counter() - began)
    return 2 * n**3 / statistics.median(seconds[2:])
