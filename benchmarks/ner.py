"""Does LoRA find names because its backbone was pretrained, on the real abstracts as well? BioNLP2004 tells.

    LABKIT_DATA=… python -m benchmarks.ner --source local [--seeds 1] [--epochs 1] [--train 0] [--test 0]

LoRA, once on the pretrained backbone and once on one with random weights, trained on the same sentences in the same
order; and full fine-tuning, whose steps take half the time here, for twice the epochs. Then the next seed, which has
another random backbone, head and order. Labels are at the last token of a word, as in notebook 07. Entity F1 on the
test sentences, with an interval over sentences; over seeds as well if there are several. The full training set takes
about twelve minutes on two cores. Writes results/bench/ner.json; after Ctrl-C too, with the trainings that were
finished.

What was tried for a small model, on all 16,670 sentences (entity F1, one seed each). LoRA in queries and values alone,
as in the report: 0.39 after half an epoch and 0.38 after four; a rank of 64 there: 0.40. In every matrix: 0.43 after
half an epoch, 0.45 after one. Full: 0.45 after half an epoch, 0.51 after two. Context to the right didn't help: 0.37
with attention both ways, 0.38 with each sentence said twice (Springer et al. 2024). A backbone pretrained on the
sentences and on PubMed instead of the course's mixture: 0.44 instead of 0.43. A linear model on whole words and their
letters has 0.62. So what is short is room to learn words, more than sight.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.publish import publish
from labkit.evaluation.entities import EntityScores, entity_counts, entity_scores, f1_difference, f1_interval
from labkit.evaluation.intervals import over_seeds
from labkit.models.adapters import adapt
from labkit.profile import PROFILES, SOURCES, resolve
from labkit.tasks.alignment import align
from labkit.tasks.ner import TaggedSentences, load_ner
from labkit.training.tagging import tag, tagger, train_tagger
from labkit.zoo import load_backbone


@dataclass(frozen=True)
class Way:
    """A method of `adapt` with its sizes, learning rate and how many of `--epochs` it gets."""

    method: str
    sizes: dict[str, Any]
    lr: float
    times_epochs: float
    pretrained: bool = True


EVERY = ("q_proj", "k_proj", "v_proj", "out_proj", "c_fc", "c_proj")
LORA = {"r": 32, "alpha": 32, "bias": "all", "targets": EVERY}
WAYS = {
    "LoRA": Way("lora", LORA, 3e-3, 1),
    "LoRA, random backbone": Way("lora", LORA, 3e-3, 1, pretrained=False),
    "full": Way("full", {}, 1e-3, 2),
}


@dataclass(frozen=True)
class Run:
    """One training and what came of it on the test sentences; `counts` are `entity_counts`'."""

    seed: int
    way: str
    scores: EntityScores
    counts: np.ndarray
    seconds: float


def train(model: Any, tokenizer: Any, data: TaggedSentences, name: str, seed: int, epochs: float) -> Run:
    """Tune a copy of `model`, or of its like with random weights, in the way of that name."""
    began, way = time.perf_counter(), WAYS[name]
    torch.manual_seed(seed)
    start = model if way.pretrained else type(model)(model.config)
    tuned = adapt(tagger(start, seed), way.method, **way.sizes)
    context = model.config.max_position_embeddings
    examples = align(tokenizer, data.train, context, "last")
    train_tagger(tuned, tokenizer, examples, epochs * way.times_epochs, way.lr, seed=seed)
    tags = tag(tuned, tokenizer, align(tokenizer, data.test, context, "last"), data.test)
    gold = [s.tags for s in data.test]
    return Run(seed, name, entity_scores(gold, tags), entity_counts(gold, tags), time.perf_counter() - began)


def table(runs: Sequence[Run]) -> list[dict[str, object]]:
    """A row a training, one for the difference within each seed, and one for its mean over seeds."""
    rows, gains = [], []
    for run in runs:
        s, (low, high) = run.scores, f1_interval(run.counts)
        rows.append({"way": run.way, "seed": run.seed, "entity F1": s.f1, "low": low, "high": high,
                     "precision": s.precision, "recall": s.recall, "macro F1": s.macro_f1, "accuracy": s.accuracy,
                     "seconds": run.seconds})  # fmt: skip
    empty = dict.fromkeys(rows[0])
    pair = ("LoRA", "LoRA, random backbone")
    for seed in sorted({run.seed for run in runs}):
        counts = {run.way: run.counts for run in runs if run.seed == seed}
        if counts.keys() >= set(pair):
            gain, low, high = f1_difference(*(counts[name] for name in pair))
            gains.append(gain)
            rows.append({**empty, "way": "LoRA − random", "seed": seed, "entity F1": gain, "low": low, "high": high})
    if len(gains) > 1:
        low, high = over_seeds(gains)
        rows.append({**empty, "way": "over seeds", "entity F1": fmean(gains), "low": low, "high": high})
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose backbone (default: laptop)")
    parser.add_argument("--source", default="embedded", choices=SOURCES, help="of the sentences (default: embedded)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings in each way (default: 1)")
    parser.add_argument(
        "--epochs", type=float, default=1, help="of LoRA (default: 1); full fine-tuning gets twice them"
    )
    parser.add_argument("--train", type=int, default=0, help="sentences to train on; 0: all (default)")
    parser.add_argument("--test", type=int, default=0, help="sentences to test on; 0: all (default)")
    args = parser.parse_args(argv)
    lab = resolve(args.profile, args.source)
    data, (model, tokenizer) = load_ner(lab, args.train or None, args.test or None), load_backbone(lab)
    runs: list[Run] = []
    bar = tqdm([(seed, name) for seed in range(args.seeds) for name in WAYS], desc="trainings")
    try:
        for seed, name in bar:
            runs.append(train(model, tokenizer, data, name, seed, args.epochs))
            bar.set_postfix_str(f"{name} {runs[-1].scores.f1:.3f}")
    except KeyboardInterrupt:
        print("interrupted")
    if runs:
        title = f"{args.epochs:g} epochs of {len(data.train):,} sentences, {len(data.test):,} tested: {data.name}"
        publish("ner", title, table(runs), **vars(args), sentences=data.name)


if __name__ == "__main__":
    main()
