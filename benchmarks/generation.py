"""Generation: our KV cache against reading the whole text again for each token, and against `transformers`' generate.

    python -m benchmarks.generation [--profile laptop] [--new-tokens 256] [--rounds 5] [--threads N]

All continue the same one-token prompts greedily with the same weights in fp32, the model's context being just long
enough, and must come to the same tokens. They take turns, so that whatever else the machine does hits all alike; the
median counts. Writes results/bench/generation.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.publish import publish
from labkit.evaluation.generate import generate
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import PROFILES, LabError, pick_device, seed_everything

BATCHES = (1, 4)


def contenders(profile: str, batch: int, new_tokens: int) -> dict[str, Callable[[], Tensor]]:
    """The three ways to continue the same prompts; each returns tokens (batch, 1 + new_tokens)."""
    seed_everything(0)
    p, device = PROFILES[profile], pick_device()
    model = GPT2(GPT2Config(p.vocab_size, 1 + new_tokens, p.n_layer, p.n_head, p.n_embd)).eval()
    theirs = model.to_hf().to(device)
    model = model.to(device)
    prompt = torch.randint(p.vocab_size, (batch, 1), device=device)
    ours = partial(generate, model, prompt, new_tokens, temperature=0)
    return {
        "cached": ours,
        "naive": partial(ours, use_cache=False),
        "transformers": partial(theirs.generate, prompt, attention_mask=torch.ones_like(prompt),
                                max_new_tokens=new_tokens, do_sample=False, pad_token_id=0),
    }  # fmt: skip


def measure(profile: str, new_tokens: int, rounds: int, batches: tuple[int, ...] = BATCHES) -> list[dict[str, object]]:
    """A row for each batch size: median tokens/s of each way, and how many times faster the cache is.

    Raises `LabError` if they differ in a token.
    """
    rows = []
    for batch in batches:
        ways = contenders(profile, batch, new_tokens)
        seconds = _take_turns(ways, rounds, f"batch {batch}")
        rows.append({
            "batch": batch,
            **{f"{name}, tokens/s": batch * new_tokens / s for name, s in seconds.items()},
            "cached / naive": seconds["naive"] / seconds["cached"],
            "cached / transformers": seconds["transformers"] / seconds["cached"],
        })  # fmt: skip
    return rows


def _take_turns(ways: dict[str, Callable[[], Tensor]], rounds: int, label: str) -> dict[str, float]:
    """Median seconds of each, after a first round that doesn't count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for i in tqdm(range(rounds + 1), desc=label, leave=False):
        tokens = {}
        for name, way in ways.items():
            began = time.perf_counter()
            tokens[name] = way().cpu()
            if i:
                seconds[name].append(time.perf_counter() - began)
        wrong = [name for name, its in tokens.items() if not torch.equal(its, tokens["naive"])]
        if wrong:
            raise LabError(f"{', '.join(wrong)}: other tokens than without a cache. Run the tests of generate")
    return {name: statistics.median(times) for name, times in seconds.items()}


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose model (default: laptop)")
    parser.add_argument("--new-tokens", type=int, default=256, help="tokens to generate (default: 256)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each that are timed (default: 5)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads for all (default: torch's own number)")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    rows = measure(args.profile, args.new_tokens, args.rounds)
    publish("generation", f"greedy generation of {args.new_tokens} tokens, {args.profile} model, fp32", rows)


if __name__ == "__main__":
    main()
