"""Is REINFORCE better than cross-entropy, for equal updates, whatever the seed? Five trainings tell.

    python -m benchmarks.reinforce [--profile laptop] [--seeds 5] [--updates 100]

Each seed trains everything anew: a teacher, its student, the student on abstracts with optional sentences (all as in
notebooks 04 and 05), and from there every method. What is compared is ROUGE-L of greedy abstracts on held-out papers,
minus the cross-entropy control's of the same seed; the interval is over seeds, Student's. Three minutes a seed
on two cores. Writes results/bench/reinforce.json; after Ctrl-C too, with the seeds that were finished.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from tqdm import tqdm

from benchmarks.publish import publish
from labkit.evaluation.intervals import over_seeds
from labkit.evaluation.rouge import rouge_l
from labkit.evaluation.summaries import length
from labkit.evaluation.summarise import summarise_bart
from labkit.models.bart import load_bart, shrink, starting_bart
from labkit.models.files import save_pretrained
from labkit.profile import PROFILES, Lab, pick_device, resolve
from labkit.tasks.pairs import encode, seq2seq, shuffled
from labkit.tasks.papers import Paper
from labkit.tasks.summarisation import load_papers
from labkit.tasks.synthetic_papers import check_facts, synthetic_papers
from labkit.training.finetune import finetune
from labkit.training.launch import launch

CONTROL = "cross-entropy"
METHODS = (CONTROL, "report", "sampled", "scst", "rloo")
TEST_PAPERS = 600

Scores = dict[str, float]


def train_start(lab: Lab, folder: Path) -> None:
    """The model that all methods of a seed begin with, as notebooks 04 and 05 make it, in `folder`."""
    p, plain, optional = lab.profile, load_papers(lab), load_papers(lab, optional=True)
    teacher, tokenizer = starting_bart(lab, (text for a in plain.train[:4_000] for text in (a.article, a.abstract)))
    collate = partial(seq2seq, pad_id=tokenizer.pad_token_id)

    def supervise(model: torch.nn.Module, papers: list[Paper], batch: int, steps: int, lr: float, warmup: int) -> None:
        pairs = encode(tokenizer, papers, p.source_tokens, p.summary_tokens)
        loader = shuffled(pairs, batch, collate, lab.seed)
        finetune(model.to(pick_device()), lambda b: model(**b).loss, loader, steps, lr, warmup)

    supervise(teacher, plain.train, p.bart_batch, p.bart_steps, p.bart_lr, p.bart_steps // 6)
    student = shrink(teacher, len(teacher.model.decoder.layers) // 2)
    for papers in (plain.train, optional.train):
        supervise(student, papers, p.finetune_batch, p.finetune_steps, p.finetune_lr, p.finetune_steps // 10)
    save_pretrained(student, tokenizer, folder)


def score(lab: Lab, folder: Path, papers: Sequence[Paper]) -> Scores:
    """What the model in `folder` writes: `rougeL`, `words`, and `clean`, the share without a wrong fact."""
    model, tokenizer = load_bart(folder)
    p = lab.profile
    articles = [paper.article for paper in papers]
    texts = summarise_bart(model.to(pick_device()), tokenizer, articles, p.source_tokens, p.summary_tokens)
    pairs = list(zip(texts, papers, strict=True))
    return {
        "rougeL": fmean(rouge_l(text, paper.abstract) for text, paper in pairs),
        "words": fmean(map(length, texts)),
        "clean": fmean(check_facts(paper, text).wrong == 0 for text, paper in pairs),
    }


def run_seed(profile: str, seed: int, updates: int, papers: Sequence[Paper]) -> dict[str, Scores]:
    """Every method from this seed's start, and the start itself."""
    lab = resolve(profile, "embedded", seed)
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        train_start(lab, runs / "start")
        launch("labkit.training.reinforce", nproc=lab.nproc, echo=lambda line: None, model=runs / "start", out=runs,
               method=",".join(METHODS), profile=profile, source="embedded", seed=seed, updates=updates,
               eval_every=updates)  # fmt: skip
        found = {"start": score(lab, runs / "start", papers)}
        return found | {method: score(lab, runs / method / "model", papers) for method in METHODS}


def table(seeds: Sequence[dict[str, Scores]]) -> list[dict[str, object]]:
    """A row a method: means over seeds, and what it has over the control, with its 95 % interval."""
    rows = []
    for method in seeds[0]:
        gains = [seed[method]["rougeL"] - seed[CONTROL]["rougeL"] for seed in seeds]
        low, high = over_seeds(gains) if len(gains) > 1 and method != CONTROL else (None, None)
        means = {name: fmean(seed[method][name] for seed in seeds) for name in ("rougeL", "words", "clean")}
        rows.append({"method": method, **means, f"minus {CONTROL}": fmean(gains), "low": low, "high": high})
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="laptop", choices=PROFILES, help="whose sizes (default: laptop)")
    parser.add_argument("--seeds", type=int, default=5, help="trainings from the beginning (default: 5)")
    parser.add_argument("--updates", type=int, default=100, help="of each method (default: 100)")
    args = parser.parse_args(argv)
    papers = synthetic_papers(0, TEST_PAPERS, optional=True).test
    finished: list[dict[str, Scores]] = []
    bar = tqdm(range(args.seeds), desc="seeds")
    try:
        for seed in bar:
            finished.append(run_seed(args.profile, seed, args.updates, papers))
            bar.set_postfix_str(f"rloo {finished[-1]['rloo']['rougeL'] - finished[-1][CONTROL]['rougeL']:+.3f}")
    except KeyboardInterrupt:
        print("interrupted")
    if finished:
        title = f"ROUGE-L after {args.updates} updates, {len(finished)} seeds, {TEST_PAPERS} papers"
        publish("reinforce", title, table(finished), profile=args.profile, updates=args.updates, seeds=finished)


if __name__ == "__main__":
    main()
