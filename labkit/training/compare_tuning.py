"""One way to tune, measured: a row of notebook 10's table, and of the benchmark over seeds.

    task = load_task(resolve("laptop"), n_test=200)
    outcome = measure(task, "lora", steps=150, folder=Path("lora"))
    print(outcome.row["accuracy"], outcome.row["forgetting"])

Every method gets the same task (the tone of financial news), backbone, steps, batches and seed. What differs is the
learning rate: one for all would decide the comparison, since a method with few numbers needs a large one (`rates`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from labkit.evaluation.classification import macro_f1_interval, score
from labkit.evaluation.intervals import wilson
from labkit.evaluation.labels import score_labels
from labkit.models.adapters import METHODS, adapt, save_adapter
from labkit.models.freezing import trainable
from labkit.models.kept import kept_bytes
from labkit.profile import Lab, pick_device
from labkit.tasks.labelled import Labelled
from labkit.tasks.mixture import prose
from labkit.tasks.pairs import IGNORE, Pair, causal
from labkit.tasks.sentiment import INSTRUCTION, Sentence, load_sentiment
from labkit.training.sharded import tune_sharded
from labkit.training.tuning import answer_loss, encode_examples, tune
from labkit.zoo import load_backbone

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

BATCH = 16  # sentences a step
PROSE_TOKENS = 128  # of a piece of prose, at most
# For the course's small GPT-Neo: the best of three, a factor of three apart, on validation sentences after 60 steps.
# Tried once, on a backbone of an earlier mixture: starting points, no optimum.
RATES = {
    "full": 1e-3,
    "top_layers": 6e-3,
    "head_only": 9e-3,
    "bitfit": 3e-2,
    "bottleneck": 1.5e-2,
    "lora": 1.5e-2,
    "prompt_tuning": 3e-2,
    "prefix_tuning": 9e-2,
    "ia3": 9e-2,
}
# Large models want smaller ones. Not tried here: those of the methods' papers, for models of 0.1 to 3 billion numbers.
LARGE = 100_000_000
LARGE_RATES = {
    "full": 2e-5,  # Devlin et al. 2019
    "top_layers": 5e-5,  # theirs is the largest that was tried for all layers
    "head_only": 1e-3,  # no paper's; as in notebook 07
    "bitfit": 1e-3,  # Ben Zaken et al. 2022
    "bottleneck": 3e-4,  # Houlsby et al. 2019
    "lora": 2e-4,  # Hu et al. 2021, for GPT-2 and GPT-3
    "prompt_tuning": 3e-2,  # peft's example; Lester et al. 2021 take 0.3, with Adafactor
    "prefix_tuning": 1e-2,  # peft's example: without Li & Liang's network, which wants 5e-5
    "ia3": 3e-3,  # Liu et al. 2022
}
SIZES: dict[str, dict[str, Any]] = {"prompt_tuning": {"n_tokens": 20}, "prefix_tuning": {"n_tokens": 20}}


@dataclass(frozen=True)
class Task:
    """What all methods share. `before` is the backbone's loss on `prose`, held-out text, nats a token."""

    backbone: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    data: Labelled[Sentence]
    pairs: list[Pair]
    test: list[Sentence]
    prose: list[str]
    before: float


class Outcome(NamedTuple):
    """The row of the table; what it is made of."""

    row: dict[str, Any]
    model: nn.Module
    predicted: list[int]
    losses: list[float]  # of each step, nats a token


def load_task(lab: Lab, n_test: int = 400, n_prose: int = 100) -> Task:
    """The backbone, on the device, and the sentences; the first `n_test` of the test set."""
    backbone, tokenizer = load_backbone(lab)
    backbone.to(pick_device())
    data = load_sentiment(lab)
    room = backbone.config.max_position_embeddings - max(size["n_tokens"] for size in SIZES.values())
    pairs = encode_examples(tokenizer, data.train, data.labels, room)
    texts = prose(lab, "val", n_prose)
    return Task(backbone, tokenizer, data, pairs, data.test[:n_test], texts, prose_loss(backbone, tokenizer, texts))


def tunable(task: Task, method: str, seed: int = 0) -> nn.Module:
    """A copy of the backbone, ready to be tuned; what begins at random does so by `seed`."""
    sizes = dict(SIZES.get(method, {}))
    if method == "prompt_tuning":
        sizes["text_ids"] = task.tokenizer(INSTRUCTION)["input_ids"]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return adapt(copy.deepcopy(task.backbone), method, **sizes)


def rates(model: nn.Module) -> dict[str, float]:
    """Each method's learning rate for a model of that size."""
    return LARGE_RATES if trainable(model)[1] >= LARGE else RATES


def measure(task: Task, method: str, steps: int, folder: Path, lr: float | None = None, seed: int = 0) -> Outcome:
    """Tune by `method` for so many steps, save to `folder` what was trained, and measure.

    In the row: `trainable` numbers; `accuracy` and `macro_f1` with intervals over sentences; `seconds` of tuning;
    `memory_mb` (`training_bytes`) and `disk_kb`; `forgetting`, what language modelling lost, nats a token, with the
    tuned numbers in use; and whether they `come_off`, so that the backbone is as it was.
    """
    model = tunable(task, method, seed)
    own = dict(task.backbone.named_parameters())  # a method that adds numbers gives them names of their own
    batch = causal(task.pairs[:BATCH], pad_id=0)
    memory = training_bytes(model, batch)
    began = time.perf_counter()
    by = partial(tune_sharded, nproc=gpus) if method == "full" and (gpus := torch.cuda.device_count()) > 1 else tune
    log = by(model, task.pairs, steps * BATCH / len(task.pairs), lr or rates(task.backbone)[method], BATCH, seed)
    seconds = time.perf_counter() - began
    prompts, truth = [s.prompt for s in task.test], [s.label for s in task.test]
    predicted = score_labels(model, task.tokenizer, prompts, task.data.labels).argmax(1).tolist()
    found = score(truth, predicted, len(task.data.labels))
    low, high = wilson(sum(t == p for t, p in zip(truth, predicted, strict=True)), len(truth))
    f1_low, f1_high = macro_f1_interval(truth, predicted, len(task.data.labels))
    row = {
        "method": method, "by": METHODS[method].by, "trainable": trainable(model)[0],
        "accuracy": found.accuracy, "low": low, "high": high,
        "macro_f1": found.macro_f1, "f1_low": f1_low, "f1_high": f1_high,
        "seconds": seconds, "memory_mb": memory / 1e6, "disk_kb": save_adapter(model, folder).stat().st_size / 1e3,
        "forgetting": prose_loss(model, task.tokenizer, task.prose) - task.before,
        "comes_off": not any(p.requires_grad and name in own for name, p in model.named_parameters()),
    }  # fmt: skip
    return Outcome(row, model, predicted, [step["loss"] for step in log])


def training_bytes(model: nn.Module, batch: dict[str, Tensor]) -> int:
    """What must be in memory at once to take a step on `batch`: counted, not read off the machine.

    Parameters; a gradient and Adam's two averages for each number that is trained; and all that the forward pass keeps
    for the backward pass, halved copies of matrices included. What a backward pass needs in passing isn't counted.
    """
    parameters = list(model.parameters())
    on_device = {name: tensor.to(parameters[0].device) for name, tensor in batch.items()}
    model.train()
    kept, _ = kept_bytes(model, lambda: answer_loss(model, on_device))
    model.eval()
    size = {p: p.numel() * p.element_size() for p in parameters}
    return sum(size.values()) + 3 * sum(size[p] for p in parameters if p.requires_grad) + kept


@torch.inference_mode()
def prose_loss(model: nn.Module, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> float:
    """Cross-entropy of each next token of `texts`, nats a token: what a language model is for."""
    device = next(model.parameters()).device
    encoded = tokenizer(list(texts), max_length=PROSE_TOKENS, truncation=True)["input_ids"]
    total, tokens = 0.0, 0
    for begin in range(0, len(encoded), BATCH):
        rows = [torch.tensor(ids) for ids in encoded[begin : begin + BATCH]]
        logits = model(input_ids=pad_sequence(rows, batch_first=True).to(device)).logits[:, :-1].float()
        targets = pad_sequence(rows, batch_first=True, padding_value=IGNORE)[:, 1:].to(device)
        total += F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum").item()
        tokens += int((targets != IGNORE).sum())
    return total / tokens


def validation_loss(task: Task, model: nn.Module, n: int = 96) -> float:
    """Cross-entropy of the answers to the first `n` validation sentences, nats a token."""
    room = task.backbone.config.max_position_embeddings
    pairs = encode_examples(task.tokenizer, task.data.validation[:n], task.data.labels, room)
    device = next(model.parameters()).device
    collate = partial(causal, pad_id=0)
    batches = [collate(pairs[i : i + BATCH]) for i in range(0, len(pairs), BATCH)]
    with torch.inference_mode():
        losses = [answer_loss(model, {k: v.to(device) for k, v in batch.items()}).item() for batch in batches]
    return fmean(losses)
