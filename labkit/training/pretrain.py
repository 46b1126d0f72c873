"""Pretrain GPT-2: one loop for a notebook cell, two CPU processes or eight GPUs.

    python -m labkit.training.pretrain --profile laptop --out run
    torchrun --standalone --nproc-per-node=2 -m labkit.training.pretrain --profile laptop --out run

The recipe (optimiser, learning rate and context over time) goes by name, see `recipes.py`: "default", or "paper" for
the report's. For all: gradient norm clipped at 1, mixed precision in bf16 where the hardware has it. A step's global
batch is a pure function of (seed, step), cut into micro-batches that are dealt to the ranks: the loss curve depends
on neither the number of processes nor the micro-batch, but for rounding.

`out` receives log.jsonl (a row a step; validation rows carry `val_loss`), checkpoints/ (one at every evaluation, the
last `keep_checkpoints` stay) and, at the end, model/ as `transformers` saves it, with the tokenizer.

`--resume auto` continues from the newest good checkpoint in `out`, or starts if there is none: the same command serves
for the first life of a run and for every later one. On CPUs the weights then end bit for bit as if nothing had
happened (same number of processes and threads). Another number of processes may take over too: each step's batch
stays the same, is dealt differently, and the losses continue but for rounding. All nodes need to see `out`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import record

from labkit.evaluation.hellaswag import score
from labkit.evaluation.loss import bits_per_byte, loss_sum, validation_starts, windows
from labkit.models.fast import FastLoss
from labkit.models.files import save_model
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import LabError, Profile, pick_dtype, resolve, unknown
from labkit.tasks.hellaswag import Question, load_hellaswag
from labkit.tasks.webtext import Corpus, load_webtext
from labkit.training.checkpoint import find_checkpoint, keep_checkpoint, load_checkpoint
from labkit.training.distributed import Ranks, rank_slice
from labkit.training.log import Log
from labkit.training.options import parse_config
from labkit.training.recipes import RECIPES, set_rate


@dataclass(frozen=True)
class PretrainConfig:
    """What one run is: the profile gives the model, the text and the defaults; None means the profile's value."""

    out: str
    profile: str = "laptop"
    source: str = ""
    seed: int = 0
    recipe: str = "default"
    batch_size: int | None = None  # sequences an optimiser step, over all processes
    micro_batch_size: int | None = None  # sequences a forward pass of one process
    max_steps: int | None = None
    warmup_steps: int | None = None
    max_lr: float | None = None
    eval_every: int | None = None  # steps
    eval_tokens: int | None = None
    dtype: str = ""  # "float32" for exact comparisons; else the fastest the hardware has
    resume: str = ""  # "auto": the newest good checkpoint in `out`, if there is one; or the path of one
    keep_checkpoints: int = 2
    hellaswag: bool = False  # score the profile's HellaSwag questions at every evaluation, too

    def filled(self, profile: Profile) -> PretrainConfig:
        """The same with the profile's values in place of every None."""
        missing = [f.name for f in dataclasses.fields(self) if getattr(self, f.name) is None]
        return dataclasses.replace(self, **{name: getattr(profile, name) for name in missing})


def pretrain(config: PretrainConfig, echo: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Train as `config` says and return the log's rows (see `labkit.training.log`).

    Raises `LabError` if there is no such recipe, the batch doesn't divide over the processes, or `out` was trained
    with other settings.
    """
    ranks = Ranks.join()
    lab = resolve(config.profile, config.source, config.seed)
    c, p = config.filled(lab.profile), lab.profile
    if c.recipe not in RECIPES:
        raise unknown("recipe", c.recipe, RECIPES)
    recipe = RECIPES[c.recipe]
    if c.batch_size % (c.micro_batch_size * ranks.world_size):
        raise LabError(
            f"batch_size={c.batch_size} does not divide into micro-batches of {c.micro_batch_size} on "
            f"{ranks.world_size} processes: take a multiple of {c.micro_batch_size * ranks.world_size}, "
            "or a smaller micro_batch_size"
        )
    corpus = load_webtext(lab)
    questions = load_hellaswag(lab, corpus) if c.hellaswag else []
    model = GPT2(GPT2Config(corpus.tokenizer.vocab_size, p.block_size, p.n_layer, p.n_head, p.n_embd)).to(ranks.device)
    loss_of = FastLoss(model, getattr(torch, c.dtype) if c.dtype else pick_dtype(ranks.device))
    ddp = ranks.wrap(loss_of, *torch.zeros(2, 1, p.block_size, dtype=torch.long))
    optimizers = recipe.optimizers(model, c.max_lr)

    folder = Path(c.out) / "checkpoints"
    found = ranks.from_first(lambda: find_checkpoint(c.resume, folder, echo))
    start = restore(found, model, optimizers, c, corpus) if found else 0
    if found and ranks.first:
        echo(f"continuing from {found}")
    log = Log(Path(c.out) / "log.jsonl", start, c.max_steps, ranks.first, echo)
    seconds = log.seconds

    for step in range(start, c.max_steps + 1):
        if step % c.eval_every == 0 or step == c.max_steps:
            log.write({"step": step, **evaluate(loss_of, corpus, questions, c, ranks)})
            if ranks.first and step > start:
                keep_checkpoint(folder, snapshot(model, optimizers, step, c, corpus), c.keep_checkpoints, echo)
        if step == c.max_steps:
            break

        began = time.perf_counter()
        lr = set_rate(optimizers, recipe.rate(step, c.warmup_steps, c.max_steps))
        T = recipe.length(step, c.max_steps, p.block_size)
        rows = p.block_size // T  # short rows come in greater number: tokens a step stay the same
        x, y = corpus.batch("train", c.batch_size * rows, T, c.seed, step)
        loss = backward(ddp, *(rank_slice(half, c.micro_batch_size * rows, ranks) for half in (x, y)))
        grad_norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        loss = ranks.sum(loss)[0] / ranks.world_size
        seconds += time.perf_counter() - began
        log.write({"step": step, "loss": loss, "lr": lr, "grad_norm": grad_norm,
                   "tokens": (step + 1) * x.numel(), "seconds": seconds})  # fmt: skip

    if ranks.first:
        save_model(model, corpus.folder, Path(c.out) / "model")
    del ddp
    ranks.leave()
    return log.rows


def backward(ddp: nn.Module, xs: list[Tensor], ys: list[Tensor]) -> float:
    """Accumulate the gradient of the mean loss over this rank's micro-batches; returns that loss.

    Gradients travel between processes once a step, with the last micro-batch; `no_sync` holds them back till then.
    """
    total = 0.0
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        wait = i < len(xs) - 1 and hasattr(ddp, "no_sync")
        with ddp.no_sync() if wait else contextlib.nullcontext():
            loss = ddp(x, y) / len(xs)
            loss.backward()
        total += loss.item()
    return total


def evaluate(
    loss_of: FastLoss, corpus: Corpus, questions: list[Question], c: PretrainConfig, ranks: Ranks
) -> dict[str, float]:
    """Validation loss on fixed windows, and the share of `questions` answered rightly; the ranks divide the work."""
    T = loss_of.model.config.block_size
    starts = validation_starts(corpus.val, T, c.eval_tokens)[ranks.rank :: ranks.world_size]
    total, count = ranks.sum(*loss_sum(loss_of, windows(corpus.val, starts, T, c.micro_batch_size)))
    loss = total / count
    row = {"val_loss": loss, "val_bits_per_byte": bits_per_byte(loss, corpus.stats["bytes_per_token"])}
    if questions:
        mine = score(loss_of.model, corpus.tokenizer, questions[ranks.rank :: ranks.world_size], loss_of.dtype)
        correct, n = ranks.sum(mine.correct, mine.n)
        row |= {"hellaswag": correct / n, "hellaswag_questions": n}
    return row


def snapshot(
    model: GPT2, optimizers: list[torch.optim.Optimizer], step: int, c: PretrainConfig, corpus: Corpus
) -> dict:
    """All that step `step` and later ones depend on."""
    return {"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step,
            "config": dataclasses.asdict(c), "corpus": corpus.stats["hash"]}  # fmt: skip


def restore(path: Path, model: GPT2, optimizers: list[torch.optim.Optimizer], c: PretrainConfig, corpus: Corpus) -> int:
    """Load a `snapshot` and return its step. Raises `LabError` if it belongs to another run."""
    saved = load_checkpoint(path, next(model.parameters()).device)
    then, now = saved["config"], dataclasses.asdict(c)
    free = ("out", "resume", "keep_checkpoints", "micro_batch_size")  # the last: as the processes, but for rounding
    differ = [name for name in now if name not in free and now[name] != then.get(name)]
    if saved["corpus"] != corpus.stats["hash"]:
        differ.append("corpus")
    if differ:
        raise LabError(f"{path} was trained with another {', '.join(differ)}: choose another --out")
    model.load_state_dict(saved["model"])
    for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    return saved["step"]


def parse_args(argv: list[str] | None = None) -> PretrainConfig:
    """The command line: one option a field of `PretrainConfig`."""
    said = {
        "dtype": "of matrix products (default: the fastest that the hardware has)",
        "resume": "auto (the newest good checkpoint in --out) or a path",
        "hellaswag": "score HellaSwag at every evaluation, too",
    }
    return parse_config(PretrainConfig, "python -m labkit.training.pretrain", __doc__, argv, said)


@record
def main() -> None:
    """Entry point of `python -m` and torchrun."""
    try:
        pretrain(parse_args(), echo=lambda line: print(line, flush=True))
    except LabError as error:
        raise SystemExit(f"pretrain: {error}") from None


if __name__ == "__main__":
    main()
