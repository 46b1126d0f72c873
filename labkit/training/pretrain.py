"""Pretrain GPT-2: one loop for a notebook cell, two CPU processes or eight GPUs.

    python -m labkit.training.pretrain --profile laptop --out run
    torchrun --standalone --nproc-per-node=2 -m labkit.training.pretrain --profile laptop --out run

Recipe (GPT-3's, as the report says): AdamW with betas (0.9, 0.95), weight decay 0.1 on matrices only, gradient norm
clipped at 1, warm-up and cosine, mixed precision in bf16 where the hardware has it. A step's global batch is a pure
function of (seed, step), cut into micro-batches that are dealt to the ranks: the loss curve depends on neither the
number of processes nor the micro-batch, but for rounding.

`out` receives log.jsonl (a row a step; validation rows carry `val_loss`), checkpoint.pt (at every evaluation) and, at
the end, model/ as `transformers` saves it, with the tokenizer.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import record

from labkit.evaluation.loss import batch_loss, bits_per_byte, loss_sum, validation_starts, windows
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import LabError, Profile, pick_dtype, resolve
from labkit.tasks.bpe import Tokenizer, load_tokenizer
from labkit.tasks.webtext import Corpus, load_webtext
from labkit.training.checkpoint import load_checkpoint, save_checkpoint
from labkit.training.distributed import Ranks, rank_slice
from labkit.training.log import Log
from labkit.training.schedule import learning_rate


@dataclass(frozen=True)
class PretrainConfig:
    """What one run is: the profile gives the model, the text and the defaults; None means the profile's value."""

    out: str
    profile: str = "laptop"
    source: str = ""
    seed: int = 0
    batch_size: int | None = None  # sequences an optimiser step, over all processes
    micro_batch_size: int | None = None  # sequences a forward pass of one process
    max_steps: int | None = None
    warmup_steps: int | None = None
    max_lr: float | None = None
    lr_scale: float = 1.0  # the report: 3
    eval_every: int | None = None  # steps
    eval_tokens: int | None = None
    dtype: str = ""  # "float32" for exact comparisons; else the fastest the hardware has
    resume: bool = False  # continue from the checkpoint in `out`, if there is one

    def filled(self, profile: Profile) -> PretrainConfig:
        """The same with the profile's values in place of every None."""
        missing = [f.name for f in dataclasses.fields(self) if getattr(self, f.name) is None]
        return dataclasses.replace(self, **{name: getattr(profile, name) for name in missing})


def pretrain(config: PretrainConfig, echo: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Train as `config` says and return the log's rows (see `labkit.training.log`).

    Raises `LabError` if the batch doesn't divide over the processes, or `out` was trained with other settings.
    """
    ranks = Ranks.join()
    lab = resolve(config.profile, config.source, config.seed)
    c, p = config.filled(lab.profile), lab.profile
    if c.batch_size % (c.micro_batch_size * ranks.world_size):
        raise LabError(
            f"batch_size={c.batch_size} does not divide into micro-batches of {c.micro_batch_size} on "
            f"{ranks.world_size} processes: take a multiple of {c.micro_batch_size * ranks.world_size}, "
            "or a smaller micro_batch_size"
        )
    corpus = load_webtext(lab)
    model = GPT2(GPT2Config(corpus.tokenizer.vocab_size, p.block_size, p.n_layer, p.n_head, p.n_embd)).to(ranks.device)
    ddp = ranks.wrap(model)
    optimizer = make_optimizer(model)
    dtype = getattr(torch, c.dtype) if c.dtype else pick_dtype(ranks.device)
    max_lr = c.lr_scale * c.max_lr

    checkpoint = Path(c.out) / "checkpoint.pt"
    start = restore(checkpoint, model, optimizer, c, corpus) if c.resume and checkpoint.exists() else 0
    log = Log(Path(c.out) / "log.jsonl", start, c.max_steps, ranks.first, echo)
    seconds = log.seconds

    for step in range(start, c.max_steps + 1):
        if step % c.eval_every == 0 or step == c.max_steps:
            log.write({"step": step, **evaluate(model, corpus, c, ranks, dtype)})
            if ranks.first:
                save_checkpoint(checkpoint, snapshot(model, optimizer, step, c, corpus))
        if step == c.max_steps:
            break

        began = time.perf_counter()
        lr = learning_rate(step, max_lr, c.warmup_steps, c.max_steps, min_lr=0.1 * max_lr)
        for group in optimizer.param_groups:
            group["lr"] = lr
        x, y = corpus.batch("train", c.batch_size, p.block_size, c.seed, step)
        loss = backward(ddp, rank_slice(x, c.micro_batch_size, ranks), rank_slice(y, c.micro_batch_size, ranks), dtype)
        grad_norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss = ranks.sum(loss)[0] / ranks.world_size
        seconds += time.perf_counter() - began
        log.write({"step": step, "loss": loss, "lr": lr, "grad_norm": grad_norm,
                   "tokens": (step + 1) * x.numel(), "seconds": seconds})  # fmt: skip

    if ranks.first:
        save_model(model, corpus, Path(c.out) / "model")
    ranks.leave()
    return log.rows


def backward(ddp: nn.Module, xs: list[Tensor], ys: list[Tensor], dtype: torch.dtype) -> float:
    """Accumulate the gradient of the mean loss over this rank's micro-batches; returns that loss.

    Gradients travel between processes once a step, with the last micro-batch; `no_sync` holds them back till then.
    """
    total = 0.0
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        wait = i < len(xs) - 1 and hasattr(ddp, "no_sync")
        with ddp.no_sync() if wait else contextlib.nullcontext():
            loss = batch_loss(ddp, x, y, dtype) / len(xs)
            loss.backward()
        total += loss.item()
    return total


def evaluate(model: GPT2, corpus: Corpus, c: PretrainConfig, ranks: Ranks, dtype: torch.dtype) -> dict[str, float]:
    """Validation loss on fixed windows, shared out over the ranks."""
    starts = validation_starts(corpus.val, model.config.block_size, c.eval_tokens)[ranks.rank :: ranks.world_size]
    batches = windows(corpus.val, starts, model.config.block_size, c.micro_batch_size)
    total, count = ranks.sum(*loss_sum(model, batches, dtype))
    loss = total / count
    return {"val_loss": loss, "val_bits_per_byte": bits_per_byte(loss, corpus.stats["bytes_per_token"])}


def save_model(model: GPT2, corpus: Corpus, folder: Path) -> None:
    """The model as `transformers` saves it, with the files of its tokenizer (`labkit.tasks.bpe.load_tokenizer`)."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # one file; its bar would be the last thing a reader sees
    model.to_hf().save_pretrained(folder)
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):  # trained here, or GPT-2's own
        if (corpus.folder / name).exists():
            shutil.copy(corpus.folder / name, folder)


def load_model(folder: Path) -> tuple[GPT2, Tokenizer]:
    """The model and tokenizer that `save_model` wrote, ready to evaluate. Raises `LabError` if they aren't there."""
    from transformers import GPT2LMHeadModel

    if not (folder / "config.json").exists():
        raise LabError(f"no model in {folder}: train it first (notebook 02)")
    return GPT2.from_hf(GPT2LMHeadModel.from_pretrained(folder)).eval(), load_tokenizer(folder)


def make_optimizer(model: nn.Module) -> torch.optim.AdamW:
    """AdamW that decays matrices only: pulling biases and norms towards 0 would fight their purpose."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95), eps=1e-8, fused=True)


def snapshot(model: GPT2, optimizer: torch.optim.Optimizer, step: int, c: PretrainConfig, corpus: Corpus) -> dict:
    """All that step `step` and later ones depend on."""
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step,
            "config": dataclasses.asdict(c), "corpus": corpus.stats["hash"]}  # fmt: skip


def restore(path: Path, model: GPT2, optimizer: torch.optim.Optimizer, c: PretrainConfig, corpus: Corpus) -> int:
    """Load a `snapshot` and return its step. Raises `LabError` if it belongs to another run."""
    saved = load_checkpoint(path, next(model.parameters()).device)
    then, now = saved["config"], dataclasses.asdict(c)
    differ = [name for name in now if name not in ("out", "resume") and now[name] != then.get(name)]
    if saved["corpus"] != corpus.stats["hash"]:
        differ.append("corpus")
    if differ:
        raise LabError(f"{path} was trained with another {', '.join(differ)}: choose another --out")
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["step"]


def parse_args(argv: list[str] | None = None) -> PretrainConfig:
    """The command line: one option a field of `PretrainConfig`."""
    parser = argparse.ArgumentParser(prog="python -m labkit.training.pretrain", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    types = {"out": str, "profile": str, "source": str, "dtype": str, "max_lr": float, "lr_scale": float}
    for f in dataclasses.fields(PretrainConfig):
        flag = "--" + f.name.replace("_", "-")
        if f.name == "resume":
            parser.add_argument(flag, action="store_true", help="continue from the checkpoint in --out")
        else:
            required = f.default is dataclasses.MISSING
            default = None if required else f.default
            said = "required" if required else f"default {default if default not in (None, '') else 'the profile’s'}"
            parser.add_argument(flag, type=types.get(f.name, int), default=default, required=required, help=said)
    return PretrainConfig(**vars(parser.parse_args(argv)))


@record
def main() -> None:
    """Entry point of `python -m` and torchrun."""
    try:
        pretrain(parse_args(), echo=lambda line: print(line, flush=True))
    except LabError as error:
        raise SystemExit(f"pretrain: {error}") from None


if __name__ == "__main__":
    main()
