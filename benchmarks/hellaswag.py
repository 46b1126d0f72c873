"""HellaSwag questions a second: each context read once, in a tree with its four endings, against row by row.

    python -m benchmarks.hellaswag [--profile laptop] [--rounds 8] [--questions 100]

Row by row is the usual way: a forward pass a question, of four padded rows, with the head on every position. The
two take turns on the same questions, so that whatever else the machine does hits both alike; tokenising is included.
The questions are HellaSwag's where LABKIT_DATA has them, else the embedded ones of their shape. The model has the
profile's size and random weights: time doesn't depend on them, and answers that differ by rounding would show.
Prints the table and writes results/bench/hellaswag.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.publish import publish
from labkit.evaluation.hellaswag import score, score_row_by_row
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import PROFILES, pick_device, pick_dtype, resolve
from labkit.tasks.bpe import Tokenizer
from labkit.tasks.hellaswag import NAMES, Question, load_hellaswag
from labkit.tasks.webtext import load_webtext

SCORERS = {"row by row": score_row_by_row, "tree": score}


def measure(
    model: GPT2, tokenizer: Tokenizer, rounds: Sequence[Sequence[Question]], dtype: torch.dtype
) -> dict[str, Any]:
    """Both scorers' questions a second, their ratio (medians over the rounds) and the share of equal answers."""
    for scorer in SCORERS.values():
        scorer(model, tokenizer, rounds[0], dtype)  # the first call allocates
    speeds: dict[str, list[float]] = {name: [] for name in SCORERS}
    answers: dict[str, list[int]] = {name: [] for name in SCORERS}
    for questions in tqdm(rounds, desc=str(dtype), leave=False):
        for name, scorer in SCORERS.items():
            began = time.perf_counter()
            result = scorer(model, tokenizer, questions, dtype)  # ends on the CPU: nothing is left running on a GPU
            speeds[name].append(len(questions) / (time.perf_counter() - began))
            answers[name] += result.predictions
    same = sum(a == b for a, b in zip(*answers.values(), strict=True))
    ratios = [tree / rows for rows, tree in zip(*speeds.values(), strict=True)]
    return {
        "dtype": str(dtype).removeprefix("torch."),
        **{name: statistics.median(values) for name, values in speeds.items()},
        "ratio": statistics.median(ratios),
        "same answers": same / len(answers["tree"]),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose model (default: laptop)")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each scorer (default: 8)")
    parser.add_argument("--questions", type=int, default=100, help="in a round (default: 100)")
    args = parser.parse_args()

    lab = resolve(args.profile, "local" if os.environ.get("LABKIT_DATA") else "embedded")
    p, device = lab.profile, pick_device()
    corpus = load_webtext(resolve(args.profile, "embedded"))
    questions = load_hellaswag(lab, corpus, args.rounds * args.questions)
    rounds = [questions[i : i + args.questions] for i in range(0, len(questions), args.questions)]
    torch.manual_seed(0)
    model = GPT2(GPT2Config(corpus.tokenizer.vocab_size, p.block_size, p.n_layer, p.n_head, p.n_embd)).to(device)
    dtypes = dict.fromkeys((torch.float32, pick_dtype(device)))
    rows = [measure(model, corpus.tokenizer, rounds, dtype) for dtype in dtypes]
    title = f"questions/s, {p.name} model, {len(questions)} × {NAMES[lab.source]}"
    publish("hellaswag", title, rows, profile=p.name, source=lab.source, questions=len(questions))


if __name__ == "__main__":
    main()
