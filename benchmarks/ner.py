"""Does LoRA find names because its backbone was pretrained, on the real abstracts as well? BioNLP2004 tells.

    LABKIT_DATA=… python -m benchmarks.ner --source local [--seeds 1] [--epochs 4] [--train 0] [--test 0]

LoRA as in notebook 07 (labels at the last token of a word), once on the pretrained backbone and once on one with
random weights, trained on the same sentences in the same order; then the next seed, which has another random backbone,
head and order. Entity F1 on the test sentences, with an interval over sentences; over seeds as well if there are
several. With the full training set an epoch takes a minute or two on two cores, so the default ten minutes or more.
Writes results/bench/ner.json; after Ctrl-C too, with the trainings that were finished.
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

BACKBONES = ("pretrained", "random")
LORA = {"r": 16, "alpha": 16, "dropout": 0.1, "bias": "all"}


@dataclass(frozen=True)
class Run:
    """One training and what came of it on the test sentences; `counts` are `entity_counts`'."""

    seed: int
    backbone: str
    scores: EntityScores
    counts: np.ndarray
    seconds: float


def train(model: Any, tokenizer: Any, data: TaggedSentences, backbone: str, seed: int, epochs: float, lr: float) -> Run:
    """LoRA on `model`, or on its like with random weights."""
    began = time.perf_counter()
    torch.manual_seed(seed)
    start = model if backbone == "pretrained" else type(model)(model.config)
    tuned = adapt(tagger(start, seed), "lora", **LORA)
    context = model.config.max_position_embeddings
    train_tagger(tuned, tokenizer, align(tokenizer, data.train, context, "last"), epochs, lr, seed=seed)
    tags = tag(tuned, tokenizer, align(tokenizer, data.test, context, "last"), data.test)
    gold = [s.tags for s in data.test]
    return Run(seed, backbone, entity_scores(gold, tags), entity_counts(gold, tags), time.perf_counter() - began)


def table(runs: Sequence[Run]) -> list[dict[str, object]]:
    """A row a training, one for the difference within each seed, and one for its mean over seeds."""
    rows, gains = [], []
    for run in runs:
        s, (low, high) = run.scores, f1_interval(run.counts)
        rows.append({"backbone": run.backbone, "seed": run.seed, "entity F1": s.f1, "low": low, "high": high,
                     "precision": s.precision, "recall": s.recall, "macro F1": s.macro_f1, "accuracy": s.accuracy,
                     "seconds": run.seconds})  # fmt: skip
    empty = dict.fromkeys(rows[0])
    for seed in sorted({run.seed for run in runs}):
        pair = {run.backbone: run.counts for run in runs if run.seed == seed}
        if len(pair) == len(BACKBONES):
            gain, low, high = f1_difference(*(pair[name] for name in BACKBONES))
            gains.append(gain)
            rows.append({**empty, "backbone": "difference", "seed": seed, "entity F1": gain, "low": low, "high": high})
    if len(gains) > 1:
        low, high = over_seeds(gains)
        rows.append({**empty, "backbone": "over seeds", "entity F1": fmean(gains), "low": low, "high": high})
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose backbone (default: laptop)")
    parser.add_argument("--source", default="embedded", choices=SOURCES, help="of the sentences (default: embedded)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings on each backbone (default: 1)")
    parser.add_argument("--epochs", type=float, default=4, help="of each training (default: 4)")
    parser.add_argument("--lr", type=float, default=1e-2, help="at the start (default: 0.01)")
    parser.add_argument("--train", type=int, default=0, help="sentences to train on; 0: all (default)")
    parser.add_argument("--test", type=int, default=0, help="sentences to test on; 0: all (default)")
    args = parser.parse_args(argv)
    lab = resolve(args.profile, args.source)
    data, (model, tokenizer) = load_ner(lab, args.train or None, args.test or None), load_backbone(lab)
    runs: list[Run] = []
    bar = tqdm([(seed, backbone) for seed in range(args.seeds) for backbone in BACKBONES], desc="trainings")
    try:
        for seed, backbone in bar:
            runs.append(train(model, tokenizer, data, backbone, seed, args.epochs, args.lr))
            bar.set_postfix_str(f"{backbone} {runs[-1].scores.f1:.3f}")
    except KeyboardInterrupt:
        print("interrupted")
    if runs:
        title = f"LoRA, {args.epochs:g} epochs of {len(data.train):,} sentences, {len(data.test):,} tested: {data.name}"
        publish("ner", title, table(runs), **vars(args), sentences=data.name)


if __name__ == "__main__":
    main()
