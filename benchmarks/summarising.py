"""Abstracts a second: labkit's `write` against `transformers`' generate, for a batch of 32 papers.

    python -m benchmarks.summarising [--batch 32] [--rounds 7]

Half of REINFORCE's time is writing. The two take turns on the same model and sources, and write equally many tokens,
as the end is ruled out; an untrained model of the profile's size will do. Greedily they must write the same. One
thread, as a process of a launched run has. Writes results/bench/summarising.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.publish import publish
from labkit.evaluation.seq2seq import write
from labkit.models.bart import shrink, starting_bart
from labkit.profile import PROFILES, pick_device, resolve
from labkit.tasks.synthetic_papers import synthetic_papers

NEW_TOKENS = 40  # an abstract


def measure(profile: str, batch: int, rounds: int, sampled: bool) -> dict[str, Any]:
    """Both writers' abstracts a second (medians over the rounds), their ratio, and whether their tokens are equal."""
    papers = synthetic_papers(max(batch, 200), 1).train
    teacher, tokenizer = starting_bart(resolve(profile, "embedded"), (p.article for p in papers))
    model = shrink(teacher, len(teacher.model.decoder.layers) // 2).to(pick_device()).eval()
    articles = [p.article for p in papers[:batch]]
    sources = tokenizer(articles, padding=True, return_tensors="pt", return_token_type_ids=False).to(model.device)
    theirs = {"min_new_tokens": NEW_TOKENS, "max_new_tokens": NEW_TOKENS, "do_sample": sampled, "top_k": 0}
    ours = {"max_new_tokens": NEW_TOKENS, "eos_bias": -1e9, "temperature": float(sampled)}
    writers: dict[str, Callable[[], Tensor]] = {
        "transformers": lambda: model.generate(**sources, **theirs)[:, 1:],
        "labkit": lambda: write(model, **sources, **ours),
    }
    speeds: dict[str, list[float]] = {name: [] for name in writers}
    tokens: dict[str, Tensor] = {}
    for i in tqdm(range(rounds + 1), leave=False):
        for name, writer in writers.items():
            began = time.perf_counter()
            tokens[name] = writer()
            if i:  # the first round warms up
                speeds[name].append(batch / (time.perf_counter() - began))
    ratios = [fast / slow for slow, fast in zip(*speeds.values(), strict=True)]
    return {
        "how": "sampled" if sampled else "greedy",
        "batch": batch,
        **{f"{name}, abstracts/s": statistics.median(values) for name, values in speeds.items()},
        "ratio": statistics.median(ratios),
        "same tokens": None if sampled else torch.equal(*tokens.values()),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose model (default: laptop)")
    parser.add_argument("--batch", type=int, default=32, help="papers at a time (default: 32)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each (default: 7)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = [measure(args.profile, args.batch, args.rounds, sampled) for sampled in (True, False)]
    publish("summarising", f"Writing abstracts of {NEW_TOKENS} tokens, a batch at a time", rows, profile=args.profile)


if __name__ == "__main__":
    main()
