"""The quality ladder: validation bits a byte of each recipe for the same compute, over several seeds.

    python -m benchmarks.recipes [--profile laptop] [--steps 320] [--seeds 3]

"The same compute" is time, not steps: an optimiser that costs more a step gets fewer of them. First the recipes take
training steps in turns; their median times, over the lengths that each reads, say how many steps cost as much as
`--steps` of tuned AdamW. Then each trains that many, seed after seed. Writes results/bench/recipes.json; after Ctrl-C
too, with the seeds that were finished.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence

import torch
from torch import nn
from tqdm import tqdm

from benchmarks.publish import publish
from labkit.models.fast import FastLoss
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import PROFILES, Profile, pick_device
from labkit.training.pretrain import PretrainConfig, pretrain
from labkit.training.recipes import RECIPES, Recipe, set_rate

BASELINE = "adamw"


class Stepper:
    """A model in training by a recipe, on random tokens: what a step costs."""

    def __init__(self, recipe: Recipe, p: Profile) -> None:
        model = GPT2(GPT2Config(p.vocab_size, p.block_size, p.n_layer, p.n_head, p.n_embd)).to(pick_device())
        self.recipe, self.loss_of, self.optimizers = recipe, FastLoss(model), recipe.optimizers(model, p.max_lr)
        self.tokens = torch.randint(p.vocab_size, (p.batch_size * p.block_size + 1,), device=pick_device())
        self.profile = p

    def seconds(self) -> float:
        """The time of one step, the mean over the recipe's lengths."""
        set_rate(self.optimizers, 1e-3)
        return statistics.mean(self._step(self.profile.block_size // part) for part in self.recipe.lengths)

    def _step(self, T: int) -> float:
        began = time.perf_counter()
        self.loss_of(self.tokens[:-1].view(-1, T), self.tokens[1:].view(-1, T)).backward()
        nn.utils.clip_grad_norm_(self.loss_of.parameters(), 1.0).item()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - began


def equal_steps(profile: str, steps: int, names: Iterable[str], rounds: int = 9) -> dict[str, int]:
    """How many steps of each recipe take the time of `steps` steps of the baseline."""
    steppers = {name: Stepper(RECIPES[name], PROFILES[profile]) for name in {BASELINE, *names}}
    seconds: dict[str, list[float]] = {name: [] for name in steppers}
    for i in tqdm(range(rounds + 1), desc="cost of a step", leave=False):
        for name, stepper in steppers.items():
            if (taken := stepper.seconds()) and i:  # the first round allocates
                seconds[name].append(taken)
    cost = {name: statistics.median(taken) for name, taken in seconds.items()}
    return {name: round(steps * cost[BASELINE] / cost[name]) for name in names}


def bits_per_byte(name: str, profile: str, steps: int, seed: int, source: str = "") -> float:
    """Final validation bits a byte of one run."""
    with tempfile.TemporaryDirectory() as out:
        config = PretrainConfig(out=out, profile=profile, source=source, seed=seed, recipe=name, max_steps=steps,
                                warmup_steps=steps // 8, eval_every=steps)  # fmt: skip
        return pretrain(config, echo=lambda line: None)[-1]["val_bits_per_byte"]


def table(results: dict[str, list[float]], steps: dict[str, int], seeds: int) -> list[dict[str, object]]:
    """A row a recipe, from the first `seeds` runs of each: mean and standard deviation of bits a byte."""
    means = {name: statistics.mean(bits[:seeds]) for name, bits in results.items()}
    return [
        {
            "recipe": name,
            "what": RECIPES[name].says,
            "steps": steps[name],
            "bits_per_byte": means[name],
            "sd": statistics.stdev(bits[:seeds]) if seeds > 1 else None,
            f"against {BASELINE}, %": 100 * (means[name] / means[BASELINE] - 1) if BASELINE in means else None,
            "seeds": seeds,
        }
        for name, bits in results.items()
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose model and text (default: laptop)")
    parser.add_argument("--steps", type=int, help="of the baseline (default: the profile's)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each recipe (default: 3)")
    args = parser.parse_args(argv)
    steps = equal_steps(args.profile, args.steps or PROFILES[args.profile].max_steps, RECIPES)
    results: dict[str, list[float]] = {name: [] for name in RECIPES}
    runs = tqdm([(seed, name) for seed in range(args.seeds) for name in RECIPES], desc="runs")
    try:
        for seed, name in runs:
            results[name].append(bits_per_byte(name, args.profile, steps[name], seed))
            runs.set_postfix_str(f"{name} {results[name][-1]:.3f} bits a byte")
    except KeyboardInterrupt:
        print("interrupted")
    finished = min(map(len, results.values()))
    if finished:
        publish("recipes", f"Bits a byte of the {args.profile} model for the same compute",
                table(results, steps, finished), profile=args.profile, runs=results)  # fmt: skip


if __name__ == "__main__":
    main()
