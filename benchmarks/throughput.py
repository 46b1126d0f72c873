"""Training tokens a second: our GPT-2 against transformers' GPT2LMHeadModel, same weights, dtype, optimiser and run.

    python -m benchmarks.throughput [--profile laptop] [--rounds 10]

The two take turns, step by step, so that whatever else the machine does hits both alike; the median step counts.
Measured twice, with the system's memory allocator as it comes and as `labkit.training.launch` sets it for workers.
Prints the table and writes results/bench/throughput.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from labkit.evaluation.loss import batch_loss
from labkit.files import write_json_atomic
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import PROFILES, ROOT, pick_device, pick_dtype, seed_everything
from labkit.report.provenance import hardware, versions
from labkit.training.launch import ALLOCATOR
from labkit.training.pretrain import make_optimizer


def contenders(profile: str) -> dict[str, Callable[[], None]]:
    """One training step (forward, backward, AdamW) of each model on one micro-batch of the profile's whole batch."""
    seed_everything(0)
    p, device = PROFILES[profile], pick_device()
    dtype, batch = pick_dtype(device), min(p.batch_size, 8)
    ours = GPT2(GPT2Config(p.vocab_size, p.block_size, p.n_layer, p.n_head, p.n_embd))
    theirs = ours.to_hf().train().to(device)
    ours = ours.to(device)
    tokens = torch.randint(p.vocab_size, (batch, p.block_size + 1), device=device)

    def our_loss() -> torch.Tensor:
        return batch_loss(ours, tokens[:, :-1], tokens[:, 1:], dtype)

    def their_loss() -> torch.Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            return theirs(input_ids=tokens[:, :-1], labels=tokens[:, :-1], use_cache=False).loss

    def step(model: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
        optimizer = make_optimizer(model)

        def run() -> None:
            loss().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if device.type == "cuda":
                torch.cuda.synchronize()

        return run

    return {"labkit": step(ours, our_loss), "transformers": step(theirs, their_loss)}


def measure(profile: str, rounds: int) -> dict[str, float]:
    """Median tokens a second of each contender."""
    steps = contenders(profile)
    p = PROFILES[profile]
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for i in tqdm(range(rounds + 1), desc="rounds", leave=False):
        for name, run in steps.items():
            began = time.perf_counter()
            run()
            if i:  # the first round allocates
                seconds[name].append(time.perf_counter() - began)
    tokens = min(p.batch_size, 8) * p.block_size
    return {name: tokens / statistics.median(times) for name, times in seconds.items()}


def measure_in_child(profile: str, rounds: int, environment: dict[str, str]) -> dict[str, float]:
    """`measure` in a process of its own: the allocator reads its settings at start-up only."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.throughput",
        f"--profile={profile}",
        f"--rounds={rounds}",
        "--child",
    ]
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose model and batch (default: laptop)")
    parser.add_argument("--rounds", type=int, default=15, help="steps of each that are timed (default: 15)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(args.profile, args.rounds)))
        return

    results = {
        name: measure_in_child(args.profile, args.rounds, environment)
        for name, environment in (("default allocator", {}), ("tuned allocator", ALLOCATOR))
    }
    machine, dtype = hardware(), str(pick_dtype(pick_device())).removeprefix("torch.")
    table = Table(title=f"training tokens/s, {args.profile} model, {dtype}, {torch.get_num_threads()} threads")
    for column in ("", "labkit", "transformers", "ratio"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in results.items():
        ratio = row["ratio"] = row["labkit"] / row["transformers"]
        table.add_row(name, f"{row['labkit']:,.0f}", f"{row['transformers']:,.0f}", f"{ratio:.2f} ×")
    Console().print(table, machine)
    out = ROOT / "results" / "bench" / "throughput.json"
    write_json_atomic(out, {"profile": args.profile, "dtype": dtype, "rounds": args.rounds, "hardware": machine,
                            "versions": versions(), "tokens_per_second": results})  # fmt: skip
    print(out)


if __name__ == "__main__":
    main()
