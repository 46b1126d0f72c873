"""Scaling on paper: what training a GPT-2 must cost in FLOPs, bytes, hours and money, before anything is run.

    python -m benchmarks.scaling [--profile full] [--gpus 1 8] [--tokens 1e10] [--price 2.0]
    python -m benchmarks.scaling --markdown

Everything follows from the model's sizes and a data sheet by the formulas below; nothing is measured here. Prints the
tables and writes results/bench/scaling.json. `--markdown` renews the tables inside benchmarks/scaling.md, which
explains them. Units: FLOP/s and bytes/s are written out in full, table columns name theirs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.publish import publish
from benchmarks.published import GPUS, H100, published_rows
from labkit.models.flops import flops_per_token, forward_flops_per_token
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import PROFILES, LabError, Profile

DOCUMENT = Path(__file__).with_suffix(".md")
MFUS = (0.4, 0.5, 0.6, 0.7)
Row = dict[str, Any]


@dataclass(frozen=True)
class Link:
    """The slowest link of a ring of GPUs."""

    name: str
    gpus: int
    bandwidth: float  # bytes/s, one way


LINKS = (
    Link("NVLink, one machine", 8, H100.nvlink),
    Link("400 Gbit/s, two machines", 16, 400e9 / 8),
    Link("100 Gbit/s, two machines", 16, 100e9 / 8),
)


def model_config(profile: Profile) -> GPT2Config:
    """The GPT-2 that a profile trains."""
    return GPT2Config(profile.vocab_size, profile.block_size, profile.n_layer, profile.n_head, profile.n_embd)


def run_tokens(profile: Profile) -> int:
    """The tokens that a profile's pretraining reads."""
    return profile.max_steps * profile.batch_size * profile.block_size


@cache
def parameters(config: GPT2Config) -> int:
    """Parameters of the real model, built without storage."""
    with torch.device("meta"):
        return GPT2(config).num_parameters()


def state_bytes(config: GPT2Config) -> dict[str, int]:
    """Bytes that stay on the GPU all through training: fp32 masters, bf16 products, AdamW."""
    N = parameters(config)
    return {
        "weights, fp32": 4 * N,
        "weights, bf16 copy": 2 * N,
        "gradients, fp32": 4 * N,
        "AdamW's two averages, fp32": 8 * N,
    }


def activation_bytes_per_token(config: GPT2Config) -> dict[str, int]:
    """Bytes a token leaves behind in the forward pass for the backward pass, under autocast to bf16.

    A block keeps 36 C: both norms' inputs in fp32 (8), the inputs of its four matrices (2, 2, 2, 8), q, k, v (6) and
    GELU's input (8) in bf16. Attention keeps no T × T scores (FlashAttention, Dao et al. 2022). The head keeps its
    norm's and its own input (6 C) and, unless it is computed in chunks, the log-probabilities in fp32 (4 V).
    """
    C = config.n_embd
    return {"blocks": config.n_layer * 36 * C, "head's inputs": 6 * C, "log-probabilities": 4 * config.vocab_size}


def traffic_bytes(config: GPT2Config, tokens: int) -> int:
    """The least a step of one micro-batch must move to and from memory.

    AdamW reads four fp32 numbers a parameter and writes three (28 bytes); forward and backward read the bf16 copy
    (4), which a cast has read and written (6), and write the gradient (4). Each activation is written and read once.
    """
    return 42 * parameters(config) + 2 * tokens * sum(activation_bytes_per_token(config).values())


def tokens_per_second(flops: float, peak: float, utilisation: float) -> float:
    """The rate of one GPU at a given MFU."""
    return utilisation * peak / flops


def all_reduce_seconds(gpus: int, size: float, bandwidth: float) -> float:
    """A ring all-reduce of `size` bytes: each GPU passes on 2 (n − 1)/n of them (Patarasuk & Yuan 2009)."""
    return 2 * (gpus - 1) / gpus * size / bandwidth


def tied_share(config: GPT2Config) -> float:
    """Share of the gradient that no backward pass hides: the embedding's is complete only at its very end."""
    return (config.vocab_size + config.block_size) * config.n_embd / parameters(config)


def exposed_seconds(config: GPT2Config, communication: float, micro_batch_compute: float) -> float:
    """What DDP's overlap leaves of an all-reduce: the embedding, and what outlasts the last backward pass."""
    tied = tied_share(config) * communication
    return tied + max(0.0, communication - tied - 2 / 3 * micro_batch_compute)


def model_rows() -> list[Row]:
    """Parameters and FLOPs of a token, the 6N rule beside the exact count, and of a whole run."""
    rows = []
    for name in ("laptop", "full"):
        p = PROFILES[name]
        config = model_config(p)
        T, N = config.block_size, parameters(config)
        embeddings = (config.vocab_size + T) * config.n_embd
        forward = sum(forward_flops_per_token(config, T).values())
        rows.append({
            "model": name, "T": T, "parameters": N, "6 N, MFLOP a token": 6 * N / 1e6,
            "6 N without embeddings": 6 * (N - embeddings) / 1e6, "exact, forward": forward / 1e6,
            "exact, forward and backward": flops_per_token(config, T) / 1e6,
            "tokens of a run": run_tokens(p), "its TFLOP": run_tokens(p) * flops_per_token(config, T) / 1e12,
        })  # fmt: skip
    return rows


def part_rows(config: GPT2Config) -> list[Row]:
    """Where a token's forward FLOPs go."""
    parts = forward_flops_per_token(config, config.block_size)
    total = sum(parts.values())
    return [{"part": p, "MFLOP a token": n / 1e6, "share, %": 100 * n / total} for p, n in parts.items()]


def byte_rows(config: GPT2Config, tokens: int) -> list[Row]:
    """What lies in a GPU's memory at the end of a micro-batch's forward pass."""
    sizes = state_bytes(config)
    sizes |= {f"activations, {p}": tokens * n for p, n in activation_bytes_per_token(config).items()}
    return [{"what": name, "GB": size / 1e9} for name, size in {**sizes, "sum": sum(sizes.values())}.items()]


def intensity_rows(config: GPT2Config, tokens: int) -> list[Row]:
    """FLOPs for each byte moved, against what each GPU needs to stay busy."""
    moved, flops = traffic_bytes(config, tokens), tokens * flops_per_token(config, config.block_size)
    return [
        {"GPU": g.name, "peak, TFLOP/s": g.peak / 1e12, "memory, TB/s": g.memory / 1e12,
         "needs, FLOP/byte": g.peak / g.memory, "step has, FLOP/byte": flops / moved,
         "products, ms": 1e3 * flops / g.peak, "memory, ms": 1e3 * moved / g.memory}
        for g in GPUS
    ]  # fmt: skip


def speed_rows(config: GPT2Config, gpus: Sequence[int], tokens: float, price: float) -> list[Row]:
    """Thousands of tokens/s by MFU, and what `tokens` take at one half, at `price` dollars a GPU hour."""
    flops = flops_per_token(config, config.block_size)
    rows = []
    for gpu in GPUS:
        for n in gpus:
            hours = tokens / (n * tokens_per_second(flops, gpu.peak, 0.5)) / 3600
            rows.append({
                "GPU": gpu.name, "GPUs": n,
                **{f"{m:.0%}, k tokens/s": n * tokens_per_second(flops, gpu.peak, m) / 1e3 for m in MFUS},
                "hours at 50%": hours, "$ at 50%": hours * n * price,
            })  # fmt: skip
    return rows


def all_reduce_rows(config: GPT2Config) -> list[Row]:
    """From how many tokens on an all-reduce of the fp32 gradient is cheap, on H100s at 50 % MFU."""
    rate = tokens_per_second(flops_per_token(config, config.block_size), H100.peak, 0.5)
    rows = []
    for link in LINKS:
        seconds = all_reduce_seconds(link.gpus, 4 * parameters(config), link.bandwidth)
        rows.append({
            "slowest link": link.name, "GPUs": link.gpus, "all-reduce, ms": 1e3 * seconds,
            "hidden* from, tokens a micro-batch": round(1.5 * (1 - tied_share(config)) * seconds * rate),
            "below 5 % from, tokens a step and GPU": round(seconds * rate / 0.05),
        })  # fmt: skip
    return rows


def accumulation_rows(config: GPT2Config, micro_batch: int) -> list[Row]:
    """What the all-reduce adds to a step's compute, in %, by accumulation steps: without overlap → with DDP's."""
    rate = tokens_per_second(flops_per_token(config, config.block_size), H100.peak, 0.5)
    rows = []
    for steps in (1, 2, 4, 8, 32):
        compute = steps * micro_batch / rate
        row: Row = {"accumulation": steps, "tokens a step and GPU": steps * micro_batch, "compute, ms": 1e3 * compute}
        for link in LINKS:
            seconds = all_reduce_seconds(link.gpus, 4 * parameters(config), link.bandwidth)
            exposed = exposed_seconds(config, seconds, micro_batch / rate)
            row[link.name] = f"{100 * seconds / compute:.1f} → {100 * exposed / compute:.1f}"
        rows.append(row)
    return rows


def tables(
    profile: str = "full", gpus: Sequence[int] = (1, 8), tokens: float | None = None, price: float = 2.0
) -> dict[str, list[Row]]:
    """All tables by name; `tokens` of the priced run (default: the profile's), `price` in dollars a GPU hour."""
    p = PROFILES[profile]
    config, micro_batch = model_config(p), p.micro_batch_size * p.block_size
    return {
        "models": model_rows(),
        "parts": part_rows(config),
        "bytes": byte_rows(config, micro_batch),
        "intensity": intensity_rows(config, micro_batch),
        "speed": speed_rows(config, gpus, tokens or run_tokens(p), price),
        "all-reduce": all_reduce_rows(config),
        "accumulation": accumulation_rows(config, micro_batch),
        "published": published_rows(),
    }


def markdown(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table; their keys are the columns."""
    rule = ["---" if isinstance(value, str) else "---:" for value in rows[0].values()]
    lines = [list(rows[0]), rule, *([_cell(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def renew(document: str, fresh: dict[str, list[Row]]) -> str:
    """`document` with each table between `<!-- NAME -->` and `<!-- /NAME -->` replaced by the fresh one."""
    for name, rows in fresh.items():
        before, _, rest = document.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if not end:
            raise LabError(f"no place for the table {name!r}: put <!-- {name} --> and <!-- /{name} --> into it")
        document = f"{before}<!-- {name} -->\n{markdown(rows)}\n{end}{after}"
    return document


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="full", choices=PROFILES, help="whose model and batch (default: full)")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8], help="numbers of GPUs (default: 1 8)")
    parser.add_argument("--tokens", type=float, help="of the priced run (default: the profile's)")
    parser.add_argument("--price", type=float, default=2.0, help="dollars a GPU hour (default: 2, merely an example)")
    parser.add_argument("--markdown", action="store_true", help="renew the tables in scaling.md, with the defaults")
    return parser.parse_args(argv)


def main() -> None:
    """Compute, print, write."""
    args = parse_args()
    if args.markdown:
        document = renew(DOCUMENT.read_text(encoding="utf-8"), tables())
        DOCUMENT.write_text(document, encoding="utf-8")
        print(document)
        return
    fresh = tables(args.profile, args.gpus, args.tokens, args.price)
    for name, rows in fresh.items():
        print(f"\n{name}\n{markdown(rows)}")
    title = f"expected on paper: {args.profile} model; ${args.price:g} a GPU hour is an example"
    publish("scaling", title, fresh["speed"], tables=fresh, settings=vars(args))


if __name__ == "__main__":
    main()
