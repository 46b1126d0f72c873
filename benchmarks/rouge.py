"""Rewards a second: labkit's ROUGE-L against Google's `rouge-score`, on pairs of 200 words.

    python -m benchmarks.rouge [--words 200] [--pairs 100] [--rounds 5]

Reinforcement learning scores every text it samples, so a reward of milliseconds is paid on each step. The two take
turns on the same pairs, so that whatever else the machine does hits both alike. The texts are random words, as often
as words of English are (Zipf): time depends on lengths, hardly on what is said. Writes results/bench/rouge.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from tqdm import tqdm

from benchmarks.publish import publish
from labkit.evaluation.rouge import rouge_l

VOCABULARY = 2000  # as a field's abstracts have
Pairs = list[tuple[str, str]]


def random_pairs(n: int, n_words: int, seed: int = 0) -> Pairs:
    """Pairs of texts of `n_words` words."""
    rng = np.random.default_rng(seed)
    frequency = 1 / np.arange(1, VOCABULARY + 1)
    drawn = rng.choice(VOCABULARY, size=(n, 2, n_words), p=frequency / frequency.sum())
    first, second = ([" ".join(f"word{i}" for i in text) for text in drawn[:, side]] for side in (0, 1))
    return list(zip(first, second, strict=True))


def measure(pairs: Pairs, rounds: int) -> dict[str, Any]:
    """Both scorers' pairs a second, their ratio (medians over the rounds) and the largest difference of two scores."""
    google = RougeScorer(["rougeL"])
    scorers: dict[str, Callable[[str, str], float]] = {
        "rouge-score": lambda prediction, reference: google.score(reference, prediction)["rougeL"].fmeasure,
        "labkit": rouge_l,
    }
    speeds: dict[str, list[float]] = {name: [] for name in scorers}
    scores: dict[str, list[float]] = {}
    for _ in tqdm(range(rounds), leave=False):
        for name, scorer in scorers.items():
            began = time.perf_counter()
            scores[name] = [scorer(*pair) for pair in pairs]
            speeds[name].append(len(pairs) / (time.perf_counter() - began))
    ratios = [ours / theirs for theirs, ours in zip(*speeds.values(), strict=True)]
    return {
        "score": "ROUGE-L",
        **{f"{name}, pairs/s": statistics.median(values) for name, values in speeds.items()},
        "ratio": statistics.median(ratios),
        "largest difference": max(abs(ours - theirs) for theirs, ours in zip(*scores.values(), strict=True)),
    }


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=200, help="of each text (default: 200)")
    parser.add_argument("--pairs", type=int, default=100, help="scored a round (default: 100)")
    parser.add_argument("--rounds", type=int, default=5, help="of both, taking turns (default: 5)")
    args = parser.parse_args(argv)
    row = measure(random_pairs(args.pairs, args.words), args.rounds)
    publish("rouge", f"a reward on pairs of {args.words} words", [row], words=args.words, pairs=args.pairs)


if __name__ == "__main__":
    main()
