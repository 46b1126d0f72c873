"""Gradient accumulation on several processes: gradients exchanged once a step against once a micro-batch.

    python -m benchmarks.no_sync [--profile laptop] [--nproc 2] [--accumulate 4] [--rounds 15]

DDP averages gradients over the processes in every backward pass unless `no_sync` holds it back. Both ways end with
the same gradients, which is checked; they take turns in the same processes, started by `labkit.training.launch`.
An exchange costs the same whatever the micro-batch, so it weighs most where micro-batches are small: the laptop's
step of 8 sequences, on 2 processes in 4 micro-batches each, has one sequence a micro-batch.
Writes results/bench/no_sync.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import time

import torch
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.publish import publish
from labkit.models.fast import FastLoss
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import PROFILES, seed_everything
from labkit.training.distributed import Ranks
from labkit.training.launch import launch

ROWS = (1, 2, 4)  # sequences a micro-batch


def accumulate(ddp: nn.Module, batches: list[Tensor], hold_back: bool) -> None:
    """Leave in `.grad` the gradient of the mean loss over the micro-batches, (rows, T + 1) each, of all processes."""
    ddp.zero_grad(set_to_none=True)
    for i, tokens in enumerate(batches):
        wait = hold_back and i < len(batches) - 1
        with ddp.no_sync() if wait else contextlib.nullcontext():
            (ddp(tokens[:, :-1], tokens[:, 1:]) / len(batches)).backward()


def work(profile: str, n_accumulate: int, rounds: int) -> None:
    """What each process does: both ways in turns. The first prints a line of JSON after each round, seconds by way."""
    ranks, p = Ranks.join(), PROFILES[profile]
    seed_everything(0)
    model = GPT2(GPT2Config(p.vocab_size, p.block_size, p.n_layer, p.n_head, p.n_embd)).to(ranks.device)
    ddp = ranks.wrap(FastLoss(model))
    seed_everything(1 + ranks.rank)  # each process has a text of its own
    tokens = torch.randint(p.vocab_size, (n_accumulate, max(ROWS), p.block_size + 1), device=ranks.device)
    for i in range(rounds + 1):
        for rows in ROWS:
            seconds, grads = {}, {}
            for name, hold_back in (("each", False), ("no_sync", True)):
                ranks.sum(0)  # begin together
                began = time.perf_counter()
                accumulate(ddp, list(tokens[:, :rows]), hold_back)
                ranks.sum(0)  # done when all are done
                seconds[name] = time.perf_counter() - began
                grads[name] = model.wte.weight.grad.clone()
            torch.testing.assert_close(grads["no_sync"], grads["each"], rtol=1e-3, atol=1e-5)
            if ranks.first and i:  # the first round allocates
                print(json.dumps({"rows": rows, **seconds}), flush=True)
    del ddp
    ranks.leave()


def measure(profile: str, nproc: int, n_accumulate: int, rounds: int) -> list[dict[str, object]]:
    """A row for each micro-batch size: median tokens/s of all processes together, both ways, and their ratio."""
    if torch.cuda.device_count() < nproc:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # for the processes that are started: then they meet over gloo on CPUs
    times: list[dict[str, float]] = []
    with tqdm(total=rounds * len(ROWS), desc="steps of both ways", leave=False) as bar:

        def line(text: str) -> None:
            if text.startswith("{"):
                times.append(json.loads(text))
                bar.update()

        launch("benchmarks.no_sync", nproc, echo=line, worker=True, profile=profile,
               accumulate=n_accumulate, rounds=rounds)  # fmt: skip
    return [_row(rows, nproc * n_accumulate * rows * PROFILES[profile].block_size, times) for rows in ROWS]


def _row(rows: int, tokens: int, times: list[dict[str, float]]) -> dict[str, object]:
    """Both ways with micro-batches of `rows` sequences, `tokens` a step."""
    each, no_sync = (statistics.median(t[name] for t in times if t["rows"] == rows) for name in ("each", "no_sync"))
    return {"sequences a micro-batch": rows, "synchronise each, tokens/s": tokens / each,
            "no_sync, tokens/s": tokens / no_sync, "times": each / no_sync}  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write; with --worker, be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose model (default: laptop)")
    parser.add_argument("--nproc", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--accumulate", type=int, default=4, help="micro-batches a step and process (default: 4)")
    parser.add_argument("--rounds", type=int, default=15, help="steps of each way that are timed (default: 15)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker:
        work(args.profile, args.accumulate, args.rounds)
        return
    rows = measure(args.profile, args.nproc, args.accumulate, args.rounds)
    publish("no_sync", f"{args.accumulate} micro-batches a step on {args.nproc} processes, {args.profile} model", rows)


if __name__ == "__main__":
    main()
