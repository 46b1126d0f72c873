"""REINFORCE on ROUGE-L: the loop in which a summariser learns from what its own texts earn (see `policy.py`).

    python -m labkit.training.reinforce --model student --out runs --method rloo,scst       # also under torchrun

An update's papers are cut into slices, each with random numbers of its own, and the slices are dealt to the processes:
one process and two take the same steps. Half of the time goes into writing, half into the gradient, a hundredth into
rewards.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import record

from labkit.evaluation.rouge import rouge_l
from labkit.evaluation.summarise import summarise_bart
from labkit.models.bart import load_bart
from labkit.models.files import save_pretrained
from labkit.profile import LabError, Profile, resolve, unknown
from labkit.tasks.pairs import encode
from labkit.tasks.papers import Paper, Papers
from labkit.tasks.summarisation import load_papers
from labkit.training.distributed import Ranks
from labkit.training.log import Log
from labkit.training.options import parse_config
from labkit.training.policy import METHODS, REWARDS, LogProbs, Writer
from labkit.training.recipes import BETAS

# Each method's own, as one for all would favour one of them; from trials on similar papers. A comparison should choose
# them on its own validation papers.
RATES = {"sampled": 3e-4, "scst": 3e-4, "rloo": 3e-4, "report": 1e-4, "cross-entropy": 3e-5, "mixed": 3e-4}
WARMUP_UPDATES = 10


@dataclass(frozen=True)
class ReinforceConfig:
    """One run for each method. `model` is the folder of the model that all begin with."""

    model: str
    out: str  # a folder; `out/<method>` gets the log and the model that came of it
    method: str = "rloo"  # or several, separated by commas, one after the other
    reward: str = "rougeL"
    profile: str = "laptop"
    source: str = ""
    dataset: str = "pubmed"  # which real papers
    seed: int = 0
    updates: int = 200
    papers: int = 12  # an update, over all processes
    slices: int = 2  # that they are cut into
    samples: int = 8  # texts for each paper
    lr: float = 0.0  # 0: the method's own
    eval_every: int = 50  # updates


def reinforce(config: ReinforceConfig, echo: Callable[[str], None] = print) -> dict[str, list[dict[str, Any]]]:
    """Train as `config` says; returns the rows of each method's log, and leaves the models in `out/<method>/model`.

    Raises `LabError` for an unknown method or reward, and for papers that don't divide into slices, or these over the
    processes.
    """
    c, ranks, methods = config, Ranks.join(), config.method.split(",")
    for kind, names, known in (("method", methods, METHODS), ("reward", [c.reward], REWARDS)):
        for name in names:
            if name not in known:
                raise unknown(kind, name, known)
    if c.papers % c.slices or c.slices % ranks.world_size:
        raise LabError(
            f"{c.papers} papers an update, {c.slices} slices and {ranks.world_size} processes don't divide evenly: "
            "papers must be a multiple of slices, and slices of processes"
        )
    lab = resolve(c.profile, c.source, c.seed)
    papers = load_papers(lab, c.dataset, optional=True)
    logs = {}
    for method in methods:
        path = Path(c.out) / method / "log.jsonl"
        log = Log(path, 0, c.updates, ranks.first, lambda line, name=method: echo(f"{name}: {line}"))
        train(replace(c, method=method), lab.profile, papers, ranks, log)
        logs[method] = log.rows
    ranks.leave()
    return logs


def train(c: ReinforceConfig, p: Profile, papers: Papers, ranks: Ranks, log: Log) -> None:
    """One method's run, from the model in the folder `c.model`."""
    model, tokenizer = load_bart(Path(c.model))
    model.to(ranks.device)
    writer = Writer(model, tokenizer, p.summary_tokens, c.samples, reward=c.reward)
    log_probs = ranks.wrap(LogProbs(model))
    optimizer = torch.optim.AdamW(model.parameters(), c.lr or RATES[c.method], BETAS, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: min(1.0, (update + 1) / WARMUP_UPDATES))
    began, resting = time.perf_counter(), 0.0

    for update in range(c.updates + 1):
        if update % c.eval_every == 0 or update == c.updates:
            pause = time.perf_counter()
            if ranks.first:
                log.write({"step": update, **validate(writer, papers.validation, p.source_tokens)})
            resting += time.perf_counter() - pause
        if update == c.updates:
            break
        chosen = np.random.default_rng((c.seed, update)).choice(len(papers.train), c.papers, replace=False)
        mine = list(enumerate(np.split(chosen, c.slices)))[ranks.rank :: ranks.world_size]
        totals = []
        for i, (number, indices) in enumerate(mine):
            wait = i < len(mine) - 1 and hasattr(log_probs, "no_sync")
            with log_probs.no_sync() if wait else contextlib.nullcontext():
                some, seed = [papers.train[j] for j in indices], _seed(c.seed, update, number)
                pairs = encode(tokenizer, some, p.source_tokens, p.summary_tokens)
                loss, reward = writer.loss(log_probs, c.method, some, pairs, seed)
                (loss / len(mine)).backward()
            totals.append((loss.item(), reward))
        grad_norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        loss, reward = (ranks.sum(fmean(column))[0] / ranks.world_size for column in zip(*totals, strict=True))
        log.write({"step": update, "loss": loss, "reward": reward, "grad_norm": grad_norm,
                   "seconds": time.perf_counter() - began - resting})  # fmt: skip

    if ranks.first:
        save_pretrained(model, tokenizer, log.path.parent / "model")


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def validate(writer: Writer, papers: Sequence[Paper], source_tokens: int) -> dict[str, float]:
    """Mean ROUGE-L and words of greedy abstracts."""
    texts = summarise_bart(
        writer.model, writer.tokenizer, [paper.article for paper in papers], source_tokens, writer.max_new_tokens
    )
    return {
        "rougeL": fmean(rouge_l(text, paper.abstract) for text, paper in zip(texts, papers, strict=True)),
        "words": fmean(len(text.split()) for text in texts),
    }


def parse_args(argv: list[str] | None = None) -> ReinforceConfig:
    """The command line: one option a field of `ReinforceConfig`."""
    said = {
        "method": f"of {', '.join(METHODS)}; several separated by commas (default: rloo)",
        "reward": f"one of {', '.join(REWARDS)} (default: rougeL)",
        "lr": "default: the method's own",
    }
    return parse_config(ReinforceConfig, "python -m labkit.training.reinforce", __doc__, argv, said)


@record
def main() -> None:
    """Entry point of `python -m` and torchrun."""
    try:
        reinforce(parse_args(), echo=lambda line: print(line, flush=True))
    except LabError as error:
        raise SystemExit(f"reinforce: {error}") from None


if __name__ == "__main__":
    main()
