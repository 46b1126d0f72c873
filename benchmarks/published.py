"""What others have published: GPUs' data sheets, and how fast GPT-2s of known shape trained on them.

Rates are tokens/s and GPU. Where authors state an MFU of their own beside a rate, it checks our count of FLOPs.
Sources: llm-foundry's training benchmarks (MosaicML); logs of llm.c in modded-nanogpt's records and elsewhere; the
lecture that goes with build-nanogpt; a pull request on nanoGPT's MFU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.models.flops import flops_per_token, mfu
from labkit.models.gpt2 import GPT2Config


@dataclass(frozen=True)
class Gpu:
    """A GPU as its maker's data sheet has it (SXM form, without sparsity)."""

    name: str
    peak: float  # FLOP/s of dense bf16 matrix products
    memory: float  # bytes/s to its own memory
    nvlink: float  # bytes/s to the other GPUs of its machine, one way (sheets give the sum of both)


A100 = Gpu("A100 80 GB", 312e12, 2.04e12, 300e9)
H100 = Gpu("H100", 989e12, 3.35e12, 450e9)
H200 = Gpu("H200", 989e12, 4.8e12, 450e9)
# What large bf16 products really reached on one H200: the sheet's clock doesn't last under full load.
H200_MEASURED = Gpu("H200, as measured", 790e12, 4.8e12, 450e9)
GPUS = (A100, H100, H200, H200_MEASURED)


@dataclass(frozen=True)
class Run:
    """A published training run: how fast a GPU went, and the MFU its authors state, if they do."""

    name: str
    peak: float | None  # FLOP/s of its GPU; None where the GPU is not named
    config: GPT2Config  # block_size is the run's T
    rate: float  # tokens/s and GPU
    stated: float | None = None
    square: bool = True  # whether the stated MFU counts all T × T scores, or the causal half


def _mpt(T: int, size: str = "125M") -> GPT2Config:
    n_layer, n_head, n_embd = {"125M": (12, 12, 768), "760M": (24, 12, 1536), "1B": (24, 16, 2048)}[size]
    return GPT2Config(50_368, T, n_layer, n_head, n_embd)


PADDED = GPT2Config(vocab_size=50_304)  # GPUs multiply rounder shapes faster
STEP = 524_288  # tokens
RUNS = (
    Run("llm-foundry, MPT-125M, 8 × A100", A100.peak, _mpt(1024), 156_468, 0.4315),
    Run("llm-foundry, MPT-125M, T = 2,048", A100.peak, _mpt(2048), 142_830, 0.4479),
    Run("llm-foundry, MPT-125M, T = 8,192", A100.peak, _mpt(8192), 90_392, 0.4885),
    Run("llm-foundry, MPT-760M, 8 × H100", H100.peak, _mpt(1024, "760M"), 78_581, 0.3976),
    Run("llm-foundry, MPT-1B, 8 × A100", A100.peak, _mpt(1024, "1B"), 20_959, 0.5702),
    Run("llm.c, a log, A100", A100.peak, PADDED, STEP / 4.33991, 0.311, square=False),
    Run("build-nanogpt, A100, 16,384 tokens in 90 ms", A100.peak, PADDED, 16_384 / 0.090),
    Run("llm.c, 8 × A100, 10 B tokens in 90 min", A100.peak, PADDED, 10e9 / 5400 / 8),
    Run("llm.c, 8 × H100, a step in 139 ms", H100.peak, PADDED, STEP / 0.139 / 8),
    Run("nanoGPT, H100 (rate from its MFU)", H100.peak, PADDED, 380_000),
    Run("summarising report, 20 h, if 19,073 steps", None, GPT2Config(), 19_073 * STEP / 72_000 / 8),
    Run("summarising report, 20 h, if 76,000 steps", None, GPT2Config(), 76_000 * STEP / 72_000 / 8),
)  # fmt: skip


def causal_flops_per_token(config: GPT2Config, T: int) -> float:
    """`flops_per_token` with the causal half of the T × T scores only, as llm.c counts."""
    return flops_per_token(config, T) - 6 * config.n_layer * config.n_embd * T


def published_rows() -> list[dict[str, Any]]:
    """Published rates as MFU by our two counts, beside what their authors state."""
    rows = []
    for run in RUNS:
        T = run.config.block_size
        counts = {"full square": flops_per_token(run.config, T), "causal half": causal_flops_per_token(run.config, T)}
        rows.append({
            "run": run.name, "tokens/s a GPU": round(run.rate), "TFLOP/s": run.rate * counts["full square"] / 1e12,
            **{f"MFU, {n}, %": run.peak and 100 * mfu(run.rate, flops, run.peak) for n, flops in counts.items()},
            "stated, %": run.stated and 100 * run.stated, "stated counts": run.stated and list(counts)[not run.square],
        })  # fmt: skip
    return rows
