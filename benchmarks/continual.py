"""Seven ways to learn tasks in turn, over seeds: what is known at the end, and how much of what naive tuning forgets.

    python -m benchmarks.continual [--profile laptop] [--seeds 3] [--steps 100]

The table of notebook 11 again: every method of `labkit.training.learners` learns the same three tasks in the same
order. A seed decides the order of the sentences, what is kept of them, and what begins at random; tasks, order and
backbone are the same for all. What is recovered is taken within a seed: naive tuning forgets more in one than in
another. Intervals are over seeds, Student's. Three minutes a seed on two cores, and a minute for the backbone if it
isn't kept already. Writes results/bench/continual.json; after Ctrl-C too, with the seeds that were finished.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from tqdm import tqdm

from benchmarks.publish import columns_over_seeds, publish
from labkit.evaluation.continual import average, backward_transfer, forgetting, forward_transfer, recovered
from labkit.profile import PROFILES, resolve
from labkit.training.continual import N_TEST, STEPS, learn_first, load_tasks, run_sequence, zero_shot
from labkit.training.learners import LEARNERS, TaskSequence

MEASURED = ("average", "forgotten", "recovered")

Rows = dict[str, dict[str, Any]]  # by method; "naive" is among them


def run_seed(
    sequence: TaskSequence, seed: int, steps: int, n_test: int = N_TEST, methods: Sequence[str] = tuple(LEARNERS)
) -> Rows:
    """A row of each method.

    `first`, `forgotten` and `recovered` are about the first task: accuracy at the end, what was lost, and the share of
    naive tuning's loss that was not (None where that loses nothing).
    """
    before = zero_shot(sequence, n_test)
    start = learn_first(sequence, steps, seed, n_test)
    bar = tqdm(methods, desc=f"seed {seed}", leave=False)
    found = {m: run_sequence(sequence, m, steps, seed=seed, n_test=n_test, start=start) for m in bar}
    naive = found["naive"].matrix
    return {
        method: {
            "average": average(o.matrix), "first": float(o.matrix[-1, 0]), "forgotten": forgetting(o.matrix)[0],
            "recovered": recovered(o.matrix, naive)[0] if forgetting(naive)[0] > 0 else None,
            "backward": backward_transfer(o.matrix), "forward": forward_transfer(o.matrix, before),
            "kept_kb": o.kept / 1e3, "seconds": o.seconds, "matrix": o.matrix.tolist(),
        }
        for method, o in found.items()
    }  # fmt: skip


def table(seeds: Sequence[Rows]) -> list[dict[str, object]]:
    """A row a method: means over seeds with their 95 % intervals, None where there are too few numbers for one."""
    rows = []
    for method in seeds[0]:
        row: dict[str, object] = {"method": method}
        for name in MEASURED:
            values = [seed[method][name] for seed in seeds if seed[method][name] is not None]
            row |= columns_over_seeds(name, values)
        row |= {name: fmean(seed[method][name] for seed in seeds) for name in ("kept_kb", "seconds")}
        rows.append(row)
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose sizes (default: laptop)")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each task (default: {STEPS})")
    args = parser.parse_args(argv)
    sequence = load_tasks(resolve(args.profile, "embedded", 0))
    finished: list[Rows] = []
    try:
        for seed in tqdm(range(args.seeds), desc="seeds"):
            finished.append(run_seed(sequence, seed, args.steps))
    except KeyboardInterrupt:
        print("interrupted")
    if finished:
        title = f"{len(sequence.data)} tasks in turn, {args.steps} steps each, {len(finished)} seeds"
        facts = {"profile": args.profile, "steps": args.steps, "tasks": [task.name for task in sequence.data]}
        publish("continual", title, table(finished), **facts, seeds=finished)


if __name__ == "__main__":
    main()
