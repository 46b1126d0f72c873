"""Nine ways to tune, over seeds: accuracy, macro-F1 and forgetting for equal steps.

    python -m benchmarks.tuning [--profile laptop] [--seeds 3] [--steps 150]

The table of notebook 10 again, with all test sentences: every method of `labkit.models.adapters`, on the same task and
backbone, for the same steps. A seed decides the order of the sentences, and what begins at random; the backbone is the
same for all. Intervals are over seeds, Student's. Three minutes a seed on two cores, and a minute for the backbone if
it isn't kept already. Writes results/bench/tuning.json; after Ctrl-C too, with the seeds that were finished.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from tqdm import tqdm

from benchmarks.publish import columns_over_seeds, publish
from labkit.models.adapters import METHODS
from labkit.profile import PROFILES, resolve
from labkit.training.compare_tuning import RATES, Task, load_task, measure

MEASURED = ("accuracy", "macro_f1", "forgetting")

Rows = dict[str, dict[str, Any]]  # by method


def run_seed(task: Task, seed: int, steps: int, methods: Sequence[str] = tuple(METHODS)) -> Rows:
    """A row of each method, as `measure` gives it."""
    with tempfile.TemporaryDirectory() as folder:
        bar = tqdm(methods, desc=f"seed {seed}", leave=False)
        return {method: measure(task, method, steps, Path(folder), seed=seed).row for method in bar}


def table(seeds: Sequence[Rows]) -> list[dict[str, object]]:
    """A row a method: means over seeds with their 95 % intervals, and what doesn't depend on the seed."""
    rows = []
    for method, first in seeds[0].items():
        row: dict[str, object] = {"method": method, "trainable": first["trainable"]}
        for name in MEASURED:
            row |= columns_over_seeds(name, [seed[method][name] for seed in seeds])
        row |= {name: fmean(seed[method][name] for seed in seeds) for name in ("seconds", "memory_mb", "disk_kb")}
        rows.append(row)
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose sizes (default: laptop)")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--steps", type=int, default=150, help="of each method (default: 150)")
    args = parser.parse_args(argv)
    task = load_task(resolve(args.profile, "embedded", 0))
    finished: list[Rows] = []
    try:
        for seed in tqdm(range(args.seeds), desc="seeds"):
            finished.append(run_seed(task, seed, args.steps))
    except KeyboardInterrupt:
        print("interrupted")
    if finished:
        title = f"{args.steps} steps of each method, {len(finished)} seeds, {len(task.test)} sentences"
        facts = {"profile": args.profile, "steps": args.steps, "rates": RATES}
        publish("tuning", title, table(finished), **facts, seeds=finished)


if __name__ == "__main__":
    main()
