"""The speed ladder: what each lever adds to training tokens a second, and where `transformers` stands.

    python -m benchmarks.speed [--profile laptop] [--rounds 15]
    python -m benchmarks.speed --profile full          # GPT-2 124M at T = 1,024, on a GPU

Every rung is a process of its own, with its own allocator and its own peak memory, and they take turns step by step,
so that whatever else the machine does hits all alike. A step is forward, backward, clipping and AdamW on one batch.
Tokens a second come from the median step. The share of the matmul peak is best against best: the FLOPs of the model
(`labkit.models.flops`) in the fastest step, over those of the fastest plain product of two matrices in the same run.
Writes results/bench/speed.json.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.publish import publish
from labkit.evaluation.loss import batch_loss
from labkit.models.fast import FastLoss
from labkit.models.flops import flops_per_token
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import PROFILES, ROOT, Profile, pick_device, pick_dtype, seed_everything
from labkit.training.launch import ALLOCATOR, SHORT_SPINS

LARGEST_BATCH = 16  # sequences; the laptop's whole batch is 8


@dataclass(frozen=True)
class Rung:
    """One way to take a training step; each switch is one lever."""

    says: str
    bf16: bool = True
    allocator: bool = True
    head: bool = True
    attention: bool = True
    fused_adamw: bool = True
    transformers: bool = False


RUNGS: dict[str, Rung] = {
    "fp32": Rung("the plain model", bf16=False, allocator=False, head=False, attention=False, fused_adamw=False),
    "bf16": Rung(
        "matrix products with 8 bits of precision", allocator=False, head=False, attention=False, fused_adamw=False
    ),
    "allocator": Rung("freed memory is kept for the next step", head=False, attention=False, fused_adamw=False),
    "fused head": Rung("logits in chunks, gradients on the spot", attention=False, fused_adamw=False),
    "attention": Rung("two matrix products where rows are short", fused_adamw=False),
    "fused AdamW": Rung("one pass over the parameters"),
    "default allocator": Rung("all levers but the allocator", allocator=False),
    "transformers": Rung("GPT2LMHeadModel in bf16, compiled on a GPU", transformers=True),
    "transformers, default allocator": Rung(
        "the same, without the allocator settings", transformers=True, allocator=False
    ),
}
LADDER = list(RUNGS)[:6]


def training_step(rung: Rung, p: Profile) -> Callable[[], None]:
    """One step of the profile's model on random tokens, taken the rung's way."""
    seed_everything(0)
    device = pick_device()
    dtype = pick_dtype(device) if rung.bf16 else torch.float32
    model = GPT2(GPT2Config(p.vocab_size, p.block_size, p.n_layer, p.n_head, p.n_embd)).to(device)
    tokens = torch.randint(p.vocab_size, (min(p.batch_size, LARGEST_BATCH), p.block_size + 1), device=device)
    trained, loss = _loss(rung, model, dtype)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-3, fused=rung.fused_adamw)

    def step() -> None:
        loss(tokens[:, :-1], tokens[:, 1:]).backward()
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _loss(rung: Rung, model: GPT2, dtype: torch.dtype) -> tuple[nn.Module, Callable[[Tensor, Tensor], Tensor]]:
    """The module that is trained, and its loss of (x, y)."""
    if rung.transformers:
        from transformers.utils import logging  # a second of imports, for these children only

        logging.set_verbosity_error()
        theirs = model.to_hf().train().to(model.wte.weight.device)
        if model.wte.weight.device.type == "cuda":
            theirs.compile()

        def their_loss(x: Tensor, y: Tensor) -> Tensor:
            with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
                return theirs(input_ids=x, labels=x, use_cache=False).loss  # it shifts labels itself

        return theirs, their_loss
    fast = FastLoss(model, dtype)
    if not rung.attention:
        for block in model.h:
            del block.attn.attend  # back to the class's own
    return model, fast if rung.head else partial(batch_loss, model, dtype=dtype)


def matmul() -> Callable[[], None]:
    """One product of two square matrices in the training dtype: what the peak is measured with."""
    device = pick_device()
    n = matmul_size()
    a, b = torch.randn(2, n, n, device=device, dtype=pick_dtype(device))
    return lambda: torch.mm(a, b)


def matmul_size() -> int:
    """Large enough that nothing but the products counts."""
    return 8192 if pick_device().type == "cuda" else 2048


def child(name: str, profile: str) -> None:
    """Take one step for every line on stdin and print its seconds; at the end print the peak memory in MB."""
    device = pick_device()
    step = matmul() if name == "matmul" else training_step(RUNGS[name], PROFILES[profile])
    step()  # the first allocates
    for _ in sys.stdin:
        if device.type == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        print(time.perf_counter() - began, flush=True)
    peak = torch.cuda.max_memory_allocated() / 1e6 if device.type == "cuda" else _peak_rss_mb()
    print(peak, flush=True)


def _peak_rss_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose ru_maxrss begins with the peak of the process that started this one
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def ladder(profile: str, rounds: int = 15, names: Sequence[str] = tuple(RUNGS)) -> list[dict[str, object]]:
    """One row a rung: tokens/s, how many times the first rung's, share of the matmul peak, peak memory."""
    p = PROFILES[profile]
    seconds: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    # A GPU is quiet, and has no room for all of them at once: there each rung comes after the other.
    turns = [[name] for name in (*names, "matmul")] if pick_device().type == "cuda" else [[*names, "matmul"]]
    for group in turns:
        take_turns(group, profile, rounds, seconds, memory)
    peak = 2 * matmul_size() ** 3 / min(seconds["matmul"])
    tokens = min(p.batch_size, LARGEST_BATCH) * p.block_size
    flops = tokens * flops_per_token(
        GPT2Config(p.vocab_size, p.block_size, p.n_layer, p.n_head, p.n_embd), p.block_size
    )
    first = statistics.median(seconds[names[0]])
    return [
        {
            "rung": name,
            "what": RUNGS[name].says,
            "tokens_per_second": tokens / statistics.median(seconds[name]),
            "times": first / statistics.median(seconds[name]),
            "peak_share": flops / min(seconds[name]) / peak,
            "memory_mb": memory[name],
        }
        for name in names
    ]


def take_turns(
    names: Sequence[str], profile: str, rounds: int, seconds: dict[str, list[float]], memory: dict[str, float]
) -> None:
    """Let the children `names` step one after the other, `rounds` times; note their seconds and peak memory (MB)."""
    children = {name: _start(name, profile) for name in names}
    try:
        for _ in tqdm(range(rounds), desc="rounds", leave=False):
            for name, process in children.items():
                print("step", file=process.stdin, flush=True)
                seconds.setdefault(name, []).append(float(process.stdout.readline()))
        for name, process in children.items():
            memory[name] = float(process.communicate()[0])
    finally:
        for process in children.values():
            process.kill()


def _start(name: str, profile: str) -> subprocess.Popen[str]:
    environment = SHORT_SPINS | os.environ
    if name == "matmul" or RUNGS[name].allocator:  # read by glibc when a process starts, never later
        environment |= ALLOCATOR
    else:
        for variable in ALLOCATOR:
            environment.pop(variable, None)
    command = [sys.executable, "-m", "benchmarks.speed", f"--profile={profile}", f"--child={name}"]
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def speedups(rows: Sequence[dict[str, object]]) -> dict[str, float]:
    """How many times faster than `transformers`, with the allocator tuned for both and as it comes for both."""
    rate = {row["rung"]: row["tokens_per_second"] for row in rows}
    return {
        "tuned": rate["fused AdamW"] / rate["transformers"],
        "default": rate["default allocator"] / rate["transformers, default allocator"],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose model and batch (default: laptop)")
    parser.add_argument("--rounds", type=int, default=15, help="steps of each rung that are timed (default: 15)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        child(args.child, args.profile)
        return
    if args.profile == "full" and pick_device().type != "cuda":
        parser.exit(1, "speed: no GPU here, and 124M parameters take minutes a step on a CPU: run this where one is\n")
    rows = ladder(args.profile, args.rounds)
    against = speedups(rows)
    publish("speed", f"Training the {args.profile} model, a lever at a time", rows, profile=args.profile,
            rounds=args.rounds, speedup_vs_transformers=against)  # fmt: skip
    print(f"labkit / transformers: {against['default']:.2f} × as they come, {against['tuned']:.2f} × tuned allocator")


if __name__ == "__main__":
    main()
