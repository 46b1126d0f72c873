"""Scores of a language model's tokens without keeping its logits: reduce them, batch by batch, to what a score needs.

    scores = evaluate_tokens(model, batches)                               # in a plain loop
    Trainer(..., preprocess_logits_for_metrics=reduce_for_trainer, compute_metrics=token_scores)

`Trainer` hands `compute_metrics` the logits of the whole evaluation set at once, (examples, length, vocabulary): four
bytes for every word that could have stood at any place. Loss and accuracy need a log-probability and an id a place,
twelve bytes. Both ways give the same numbers, to the last digit: sums are exact (`math.fsum`), so their order is
nothing. `naive_scores` is the way that doesn't scale, and `memory` measures both.

What is scored is each token *after the reference so far*. ROUGE of such tokens is no ROUGE of anything the model would
write; for that it has to write (`complete`).
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch
from torch import Tensor, nn

from labkit.models.qwen import new_qwen
from labkit.profile import ROOT
from labkit.report.provenance import peak_rss_mb
from labkit.tasks.pairs import IGNORE

if TYPE_CHECKING:
    from transformers import EvalPrediction

WAYS = ("ids", "logits")


def reduce_logits(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest ids, and the labels' log-probabilities (nats), both (batch, time), of logits (batch, time, V).

    `labels[:, t]` is what `logits[:, t]` is to predict; where it is `IGNORE` the log-probability means nothing.
    """
    log_probs = logits.float().log_softmax(-1)
    return logits.argmax(-1), log_probs.gather(-1, labels.clamp_min(0)[..., None])[..., 0]


def reduce_for_trainer(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """`reduce_logits` for `Trainer`, whose labels are not shifted: the outputs are (batch, time - 1)."""
    return reduce_logits(logits[:, :-1], labels[:, 1:])


def scores(ids: Tensor, log_probs: Tensor, labels: Tensor) -> dict[str, float]:
    """`token_loss` (nats a token) and `token_accuracy` (0–1) of all labels but `IGNORE`; the shapes are alike.

    Every token counts once. `Trainer`'s own `eval_loss` is a mean over batches, where those with few tokens count more.
    """
    asked = labels != IGNORE
    n = int(asked.sum())
    return {
        "token_loss": -math.fsum(log_probs[asked].tolist()) / n,
        "token_accuracy": int((ids == labels)[asked].sum()) / n,
    }


@torch.inference_mode()
def evaluate_tokens(model: nn.Module, batches: Iterable[dict[str, Tensor]]) -> dict[str, float]:
    """The `scores` of a model that is in evaluation mode; the batches are `pairs.causal`'s, their labels shifted."""
    device = next(model.parameters()).device
    kept = []
    for batch in batches:
        labels = batch["labels"].to(device)
        ids, log_probs = reduce_logits(model(input_ids=batch["input_ids"].to(device)).logits, labels)
        asked = labels != IGNORE
        kept.append((ids[asked], log_probs[asked], labels[asked]))
    return scores(*(torch.cat(parts) for parts in zip(*kept, strict=True)))


def token_scores(found: EvalPrediction) -> dict[str, float]:
    """`scores` as `Trainer`'s `compute_metrics`, of what `reduce_for_trainer` has left."""
    ids, log_probs = map(torch.from_numpy, found.predictions)
    return scores(ids, log_probs, torch.from_numpy(found.label_ids)[:, 1:])


def naive_scores(found: EvalPrediction) -> dict[str, float]:
    """`scores` as `Trainer`'s `compute_metrics`, of the logits of all batches."""
    labels = torch.from_numpy(found.label_ids)
    return scores(*reduce_for_trainer(torch.from_numpy(found.predictions), labels), labels[:, 1:])


def memory(
    n_batches: int = 80, batch_size: int = 1, length: int = 32, vocab_size: int = 32_768
) -> dict[str, dict[str, Any]]:
    """What an evaluation by `Trainer` needs either way, for a tiny model: a row for "ids" and one for "logits".

    A row has `kept_bytes`, what was handed to `compute_metrics` without the labels; `peak_bytes`, by how much a process
    grew meanwhile; and the `scores`. The process is one of its own, and the smaller way is the first there.
    """
    command = [sys.executable, "-m", "labkit.evaluation.streaming"]
    sizes = [str(size) for size in (n_batches, batch_size, length, vocab_size)]
    done = subprocess.run([*command, *sizes], cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _evaluate(way: str, n_batches: int, batch_size: int, length: int, vocab_size: int) -> dict[str, Any]:
    """A row of `memory`, measured on this process."""
    from transformers import Trainer, TrainingArguments

    torch.manual_seed(0)
    model = new_qwen(vocab_size, n_embd=16, n_layer=1, n_head=2, n_kv_head=1, block_size=length)
    texts = torch.randint(vocab_size, (n_batches * batch_size, length))
    row: dict[str, Any] = {}

    def compute_metrics(found: EvalPrediction) -> dict[str, float]:
        parts = found.predictions if isinstance(found.predictions, tuple) else (found.predictions,)
        row["kept_bytes"] = sum(part.nbytes for part in parts)
        row["scores"] = (token_scores if way == "ids" else naive_scores)(found)
        return {}

    with tempfile.TemporaryDirectory() as unused:
        arguments = TrainingArguments(
            unused, per_device_eval_batch_size=batch_size, report_to="none", use_cpu=True, disable_tqdm=True
        )
        trainer = Trainer(
            model,
            arguments,
            eval_dataset=[{"input_ids": ids, "labels": ids} for ids in texts],
            compute_metrics=compute_metrics,
            preprocess_logits_for_metrics=reduce_for_trainer if way == "ids" else None,
        )
        before = psutil.Process().memory_info().rss
        trainer.evaluate()
    return row | {"peak_bytes": _peak_rss() - before}


def _peak_rss() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose ru_maxrss begins with the peak of the process that started this one
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    return round(peak_rss_mb() * 1e6)


if __name__ == "__main__":
    print(json.dumps({way: _evaluate(way, *map(int, sys.argv[1:])) for way in WAYS}))
